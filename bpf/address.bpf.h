/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Addresses of both families as numbers, and what an application's own addresses are. No map and no hook.
 */
#ifndef VNE_ADDRESS_BPF_H
#define VNE_ADDRESS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "vne_abi.h"

#define VNE_AF_INET 2
#define VNE_AF_INET6 10

#define VNE_LOCALHOST4 0x7f000001u

#define VNE_TCP 6
#define VNE_UDP 17
#define VNE_ICMP 1
#define VNE_ICMPV6 58
/* MPTCP's IPPROTO_…: TCP on the wire, of its own kind in sockets only. */
#define VNE_MPTCP 262

static __always_inline struct vne_address vne_address4(__u32 address)
{
	struct vne_address result = { .low = VNE_ADDRESS_IPV4 | address };

	return result;
}

/* From four words in network byte order. */
static __always_inline struct vne_address vne_address6(__u32 first, __u32 second, __u32 third, __u32 fourth)
{
	struct vne_address result = {
		.high = (__u64)bpf_ntohl(first) << 32 | bpf_ntohl(second),
		.low = (__u64)bpf_ntohl(third) << 32 | bpf_ntohl(fourth),
	};

	return result;
}

static __always_inline void vne_address_words_be(struct vne_address address, __be32 *words)
{
	words[0] = bpf_htonl((__u32)(address.high >> 32));
	words[1] = bpf_htonl((__u32)address.high);
	words[2] = bpf_htonl((__u32)(address.low >> 32));
	words[3] = bpf_htonl((__u32)address.low);
}

static __always_inline int vne_is_ipv4(struct vne_address address)
{
	return !address.high && address.low >> 32 == VNE_ADDRESS_IPV4 >> 32;
}

static __always_inline int vne_is_same(struct vne_address one, struct vne_address other)
{
	return one.low == other.low && one.high == other.high;
}

static __always_inline int vne_is_none(struct vne_address address)
{
	return !(address.high | address.low);
}

/* :: and 0.0.0.0. */
static __always_inline int vne_is_wildcard(struct vne_address address)
{
	return vne_is_none(address) || vne_is_same(address, vne_address4(0));
}

/* ::1, and ::, which a connect takes for it. */
static __always_inline int vne_is_localhost6(struct vne_address address)
{
	return !address.high && address.low <= 1;
}

/* 127.0.0.0/8, 0.0.0.0, ::1 and ::, and the addresses that private loopbacks have of IPv6. */
static __always_inline int vne_is_loopback(struct vne_address address)
{
	__u32 ipv4 = address.low;

	if (vne_is_ipv4(address))
		return ipv4 >> 24 == 127 || !ipv4;
	return vne_is_localhost6(address) || address.high >> 32 == VNE_LOOPBACK6_PREFIX;
}

/* The application address of the same family; none where it has none. */
static __always_inline struct vne_address vne_own_address(const struct vne_identity *identity, struct vne_address like)
{
	if (vne_is_ipv4(like) && identity->address4)
		return vne_address4(identity->address4);
	if (vne_is_ipv4(like)) {
		struct vne_address none = {};

		return none;
	}
	return identity->address6;
}

static __always_inline int vne_is_own_address(const struct vne_identity *identity, struct vne_address address)
{
	if (vne_is_ipv4(address))
		return identity->address4 && (__u32)address.low == identity->address4;
	return !vne_is_none(address) && vne_is_same(address, identity->address6);
}

/* Where 127.0.b.n is in the block: 128 * b + n; 0 where there is no such address. */
static __always_inline __u32 vne_loopback_offset(__u32 asked)
{
	__u32 host = (asked ? asked : VNE_LOCALHOST4) - 0x7f000000u, number = host & 0xff;

	return host < 0x200 && number && number < 127 ? (host >> 8 << 7) + number : 0;
}

/* The application's own address for 127.0.b.n, and for 0.0.0.0; 0 where there is none. */
static __always_inline __u32 vne_own_loopback4(const struct vne_identity *identity, __u32 asked)
{
	__u32 offset = vne_loopback_offset(asked);

	return offset && identity->loopback4 ? identity->loopback4 + offset : 0;
}

/* The own loopback address that a call means; none where there is none. */
static __always_inline struct vne_address vne_own_loopback(const struct vne_identity *identity,
							   struct vne_address asked)
{
	struct vne_address none = {};
	__u32 ipv4;

	if (!vne_is_ipv4(asked))
		return vne_is_localhost6(asked) ? identity->loopback6 : none;
	ipv4 = vne_own_loopback4(identity, asked.low);
	return ipv4 ? vne_address4(ipv4) : none;
}

/* The way back: 127.0.b.n for an address of the application's own loopback, 0 for any other. */
static __always_inline __u32 vne_asked_loopback4(const struct vne_identity *identity, __u32 address)
{
	__u32 offset = address - identity->loopback4, number = offset & 127;

	if (!identity->loopback4 || offset > 255 || !number || number == 127)
		return 0;
	return 0x7f000000u | offset >> 7 << 8 | number;
}

static __always_inline int vne_is_own_loopback(const struct vne_identity *identity, struct vne_address address)
{
	if (vne_is_ipv4(address))
		return !!vne_asked_loopback4(identity, address.low);
	return !vne_is_none(address) && vne_is_same(address, identity->loopback6);
}

/* An address that only the application's own sockets have. */
static __always_inline int vne_is_own(const struct vne_identity *identity, struct vne_address address)
{
	return vne_is_own_address(identity, address) || vne_is_own_loopback(identity, address);
}

#endif
