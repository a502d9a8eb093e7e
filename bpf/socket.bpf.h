/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the socket-address hooks share: from the context to an attempt, and from a refusal to its errno.
 */
#ifndef VNE_SOCKET_BPF_H
#define VNE_SOCKET_BPF_H

#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include "record.bpf.h"

#define VNE_AF_INET 2
#define VNE_AF_INET6 10
#define VNE_SOCK_STREAM 1
#define VNE_SOCK_DGRAM 2

#define VNE_ENETUNREACH 101
#define VNE_EADDRNOTAVAIL 99
#define VNE_ECONNREFUSED 111

/* Third word of ::ffff:a.b.c.d. */
#define VNE_MAPPED_BE bpf_htonl(0xffff)

/* TCP for every stream socket, as MPTCP is TCP on the wire. */
static __always_inline __u32 vne_socket_protocol(const struct bpf_sock_addr *ctx)
{
	return ctx->type == VNE_SOCK_STREAM ? VNE_TCP : ctx->protocol;
}

/* An IPv4-mapped IPv6 address is its IPv4 address. */
static __always_inline int vne_is_mapped(const struct bpf_sock_addr *ctx)
{
	return !ctx->user_ip6[0] && !ctx->user_ip6[1] && ctx->user_ip6[2] == VNE_MAPPED_BE;
}

static __always_inline int vne_is_unspecified6(const struct bpf_sock_addr *ctx)
{
	return !ctx->user_ip6[0] && !ctx->user_ip6[1] && !ctx->user_ip6[2] && !ctx->user_ip6[3];
}

static __always_inline struct vne_attachment *vne_attached(void)
{
	return bpf_get_local_storage(&attachment, 0);
}

/* Finds policy and environment, and refuses a socket of another network namespace than the instance's. */
static __always_inline int vne_socket_prepare(struct vne_judge *judge, void *ctx)
{
	if (!vne_judge_prepare(judge, vne_attached()))
		return VNE_REASON_UNCONFIGURED;
	if (bpf_get_netns_cookie(ctx) != judge->application->netns)
		return VNE_REASON_FOREIGN_NAMESPACE;
	return VNE_REASON_PERMITTED_USE;
}

/* The hook's verdict, and the errno of a refusal where it is not EPERM: what a host without the address would say. */
static __always_inline int vne_socket_conclude(const struct vne_judge *judge, __u32 hook, __u32 reason,
					       const struct vne_attempt *attempt)
{
	if (vne_conclude(judge, hook, reason, attempt, VNE_CALLER))
		return 1;
	if (reason == VNE_REASON_LOOPBACK)
		bpf_set_retval(-VNE_ECONNREFUSED);
	else if (reason == VNE_REASON_NO_IPV6)
		bpf_set_retval(-VNE_ENETUNREACH);
	else if (reason == VNE_REASON_FOREIGN_ADDRESS || reason == VNE_REASON_SOURCE)
		bpf_set_retval(-VNE_EADDRNOTAVAIL);
	return 0;
}

#endif
