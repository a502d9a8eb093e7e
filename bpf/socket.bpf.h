/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the socket-address hooks share: from the context to an attempt, and from a refusal to its errno.
 */
#ifndef VNE_SOCKET_BPF_H
#define VNE_SOCKET_BPF_H

#include <linux/in.h>
#include <linux/in6.h>
#include "judge.bpf.h"

#define VNE_SOCK_STREAM 1
#define VNE_SOCK_DGRAM 2

#define VNE_ENETUNREACH 101
#define VNE_EADDRNOTAVAIL 99
#define VNE_ECONNREFUSED 111

/* Third word of ::ffff:a.b.c.d. */
#define VNE_MAPPED_BE bpf_htonl(0xffff)

/* TCP for every stream socket, as MPTCP is TCP on the wire; VNE_ICMP for both families' ping. */
static __always_inline __u32 vne_socket_protocol(const struct bpf_sock_addr *ctx)
{
	if (ctx->type == VNE_SOCK_STREAM)
		return VNE_TCP;
	return ctx->protocol == VNE_ICMPV6 ? VNE_ICMP : ctx->protocol;
}

/* The address that a call of either family names; an IPv4-mapped IPv6 address is its IPv4 address. */
static __always_inline struct vne_address vne_named4(const struct bpf_sock_addr *ctx)
{
	return vne_address4(bpf_ntohl(ctx->user_ip4));
}

static __always_inline struct vne_address vne_named6(const struct bpf_sock_addr *ctx)
{
	return vne_address6(ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]);
}

/* Has the call name another address. An AF_INET6 socket is given an IPv4 address in its mapped form. */
static __always_inline void vne_put4(struct bpf_sock_addr *ctx, __u32 address)
{
	ctx->user_ip4 = bpf_htonl(address);
}

static __always_inline void vne_put6(struct bpf_sock_addr *ctx, struct vne_address address)
{
	__be32 words[4];

	vne_address_words_be(address, words);
	ctx->user_ip6[0] = words[0];
	ctx->user_ip6[1] = words[1];
	ctx->user_ip6[2] = words[2];
	ctx->user_ip6[3] = words[3];
}

/* A socket's own end and its peer; IPv4 also of an AF_INET6 socket that is bound or connected to a mapped address. */
static __always_inline struct vne_address vne_socket_local6(const struct bpf_sock *sk)
{
	return vne_address6(sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]);
}

static __always_inline struct vne_address vne_socket_remote6(const struct bpf_sock *sk)
{
	return vne_address6(sk->dst_ip6[0], sk->dst_ip6[1], sk->dst_ip6[2], sk->dst_ip6[3]);
}

/* What a call asks for, as far as every hook knows it alike. A datagram socket has a port if it was bound or has sent.
 */
static __always_inline struct vne_attempt vne_asked(const struct bpf_sock_addr *ctx, struct vne_address remote)
{
	struct vne_attempt attempt = {
		.remote = remote,
		.remote_port = bpf_ntohs(ctx->user_port),
		.protocol = vne_socket_protocol(ctx),
	};
	const struct bpf_sock *sk = ctx->sk;

	if (sk)
		attempt.local_port = sk->src_port;
	return attempt;
}

static __always_inline struct vne_address vne_local4(const struct bpf_sock_addr *ctx)
{
	const struct bpf_sock *sk = ctx->sk;

	return vne_address4(sk ? bpf_ntohl(sk->src_ip4) : 0);
}

static __always_inline struct vne_address vne_local6(const struct bpf_sock_addr *ctx)
{
	const struct bpf_sock *sk = ctx->sk;
	struct vne_address none = {};

	return sk ? vne_socket_local6(sk) : none;
}

/* The value of `wildcard` for a socket that asked for one when it was bound. */
#define VNE_ASKED_WILDCARD 1

/* Its value for one that is bound to nothing and has sent to loopback: whose it is. */
static __always_inline __u32 vne_asked_nothing(const struct vne_attachment *application)
{
	return 0x80000000u | (__u32)application->cgroup;
}

static __always_inline struct vne_attachment *vne_attached(void)
{
	return bpf_get_local_storage(&attachment, 0);
}

/* Why a socket must not be judged at all: it lives in another network namespace than the instance. */
static __always_inline int vne_socket_refusal(void *ctx, const struct vne_identity *identity)
{
	return bpf_get_netns_cookie(ctx) == identity->netns ? VNE_REASON_PERMITTED_USE : VNE_REASON_FOREIGN_NAMESPACE;
}

/* Finds policy and environment, for the hooks that do not ask for a peer. */
static __always_inline int vne_socket_prepare(struct vne_judge *judge, void *ctx)
{
	if (!vne_judge_prepare_here(judge))
		return VNE_REASON_UNCONFIGURED;
	return vne_socket_refusal(ctx, &judge->application->identity);
}

/*
 * The application address that a call goes from, if it goes to the own environment by what this CPU remembers; else 0.
 * A socket that is bound to something else is judged.
 */
static __always_inline __be32 vne_source_inside4(void *ctx, const struct vne_counters *here, __u32 protocol,
						 __be32 remote, __be32 local)
{
	const struct vne_known *known = &here->known;
	__u32 epoch = vne_knows(here);
	__be32 own = known->address4_be;

	return epoch && (!local || local == own) && known->protocols & vne_protocol_bit(protocol) &&
			       vne_knows_inside4(known, remote) && bpf_get_netns_cookie(ctx) == known->netns &&
			       vne_knows(here) == epoch
		       ? own
		       : 0;
}

/* The same of an AF_INET6 socket, whose address may be a mapped one; none where it has to be judged. */
static __always_inline struct vne_address vne_source_inside6(void *ctx, const struct vne_counters *here, __u32 protocol,
							     struct vne_address remote, struct vne_address local)
{
	const struct vne_known *known = &here->known;
	struct vne_address own, none = {};
	__be64 remote_be[2];
	__u32 epoch;

	if (vne_is_ipv4(remote)) {
		__be32 own4;

		if (!vne_is_wildcard(local) && !vne_is_ipv4(local))
			return none;
		own4 = vne_source_inside4(ctx, here, protocol, bpf_htonl(remote.low), bpf_htonl(local.low));
		return own4 ? vne_address4(bpf_ntohl(own4)) : none;
	}
	epoch = vne_knows(here);
	own = vne_address_from_be(known->address6_be);
	vne_address_to_be(remote_be, remote);
	return epoch && (vne_is_none(local) || vne_is_same(local, own)) &&
			       known->protocols & vne_protocol_bit(protocol) && vne_knows_inside6(known, remote_be) &&
			       bpf_get_netns_cookie(ctx) == known->netns && vne_knows(here) == epoch
		       ? own
		       : none;
}

/* The errno of a refusal, where it is not EPERM: what a host without the address would say. */
static __always_inline void vne_socket_refuse(__u32 reason)
{
	if (reason == VNE_REASON_LOOPBACK)
		bpf_set_retval(-VNE_ECONNREFUSED);
	else if (reason == VNE_REASON_NO_FAMILY)
		bpf_set_retval(-VNE_ENETUNREACH);
	else if (reason == VNE_REASON_FOREIGN_ADDRESS || reason == VNE_REASON_SOURCE)
		bpf_set_retval(-VNE_EADDRNOTAVAIL);
}

/* The verdict of a hook that does not ask for a peer. */
static __always_inline int vne_socket_conclude(const struct vne_judge *judge, __u32 hook, __u32 reason,
					       const struct vne_attempt *attempt)
{
	if (vne_conclude(judge, hook, reason, attempt, VNE_CALLER))
		return 1;
	vne_socket_refuse(reason);
	return 0;
}

#endif
