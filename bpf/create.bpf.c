/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Making a socket: only families and protocols that the other hooks cover whole. Refused with EPERM.
 */
#include "socket.bpf.h"

static __always_inline __u32 vne_created_protocol(const struct bpf_sock *ctx)
{
	if (ctx->family != VNE_AF_INET && ctx->family != VNE_AF_INET6)
		return 0;
	if (ctx->type == VNE_SOCK_STREAM && (ctx->protocol == VNE_TCP || ctx->protocol == VNE_MPTCP))
		return VNE_TCP;
	if (ctx->type == VNE_SOCK_DGRAM && ctx->protocol == VNE_UDP)
		return VNE_UDP;
	if (ctx->type == VNE_SOCK_DGRAM && ctx->protocol == (ctx->family == VNE_AF_INET ? VNE_ICMP : VNE_ICMPV6))
		return VNE_ICMP;
	return 0;
}

/* Whether a socket may be made by what is known without a look. */
static __always_inline int vne_is_made_inside(struct bpf_sock *ctx, const struct vne_counters *here, __u32 protocol)
{
	__u32 epoch = vne_knows(here);

	return epoch && here->known.protocols & vne_protocol_bit(protocol) &&
	       bpf_get_netns_cookie(ctx) == here->known.netns && vne_knows(here) == epoch;
}

SEC("cgroup/sock_create")
int vne_create(struct bpf_sock *ctx)
{
	struct vne_attempt attempt = { .protocol = ctx->protocol };
	struct vne_counters *here = vne_here();
	struct vne_judge judge;
	int reason;

	if (vne_is_made_inside(ctx, here, vne_created_protocol(ctx))) {
		vne_count(here, VNE_HOOK_CREATE, VNE_REASON_PERMITTED_USE);
		return 1;
	}
	reason = vne_socket_prepare(&judge, ctx);
	if (reason == VNE_REASON_PERMITTED_USE && !vne_speaks(&judge.environment->own, vne_created_protocol(ctx)))
		reason = VNE_REASON_PROTOCOL;
	return vne_socket_conclude(&judge, VNE_HOOK_CREATE, reason, &attempt);
}
