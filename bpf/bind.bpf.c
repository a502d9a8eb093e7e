/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Binding: a wildcard becomes the application address, loopback the application's own, the application address stays,
 * anything else is refused with EADDRNOTAVAIL as on a host that does not own it. getsockname (name.bpf.c) still says
 * what was asked for. Where groups may be heard a datagram socket is bound as it asks, to a wildcard or to a group,
 * since one that has an address gets no group's datagrams; the packets are judged all the same.
 */
#include "only6.bpf.h"

/* Remembers in the socket that a wildcard was asked for, or with 0 that none was. */
static __always_inline void vne_remember_wildcard(struct bpf_sock_addr *ctx, __u32 value)
{
	struct bpf_sock *sk = ctx->sk;
	__u32 *asked;

	if (!sk)
		return;
	asked = bpf_sk_storage_get(&wildcard, sk, NULL, value ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (asked)
		*asked = value;
}

/* Whether a socket that hears groups is bound to what it asks for; over loopback its wildcard is the application's. */
static __always_inline int vne_bind_for_groups(struct bpf_sock_addr *ctx, struct vne_judge *judge,
					       const struct vne_attempt *attempt)
{
	if (!vne_takes_groups(judge, attempt->protocol))
		return 0;
	if (vne_is_wildcard(attempt->remote)) {
		vne_remember_wildcard(ctx, vne_asked_nothing(judge->application));
		return 1;
	}
	if (!vne_is_group(judge, &attempt->remote))
		return 0;
	vne_remember_wildcard(ctx, 0);
	return 1;
}

/* Where IPv4 is bound to; 0 where it may not be. Without an IPv4 address a wildcard is loopback only. */
static __always_inline __u32 vne_bound4(const struct vne_attachment *application, __u32 asked)
{
	if (asked == application->identity.address4 || !asked)
		return application->identity.address4 ? application->identity.address4
						      : vne_own_loopback4(&application->identity, 0);
	return vne_own_loopback4(&application->identity, asked);
}

SEC("cgroup/bind4")
int vne_bind4(struct bpf_sock_addr *ctx)
{
	struct vne_attempt attempt = {
		.remote = vne_named4(ctx),
		.local_port = bpf_ntohs(ctx->user_port),
		.protocol = vne_socket_protocol(ctx),
	};
	__u32 asked = attempt.remote.low, bound;
	struct vne_judge judge;
	int reason = vne_socket_prepare(&judge, ctx);

	if (reason == VNE_REASON_PERMITTED_USE && !vne_bind_for_groups(ctx, &judge, &attempt)) {
		vne_remember_wildcard(ctx, asked ? 0 : VNE_ASKED_WILDCARD);
		bound = vne_bound4(judge.application, asked);
		if (bound)
			vne_put4(ctx, bound);
		else
			reason = VNE_REASON_FOREIGN_ADDRESS;
	}
	return vne_socket_conclude(&judge, VNE_HOOK_BIND, reason, &attempt);
}

/*
 * Where IPv6 is bound to; none where it may not be. A dual-stack `::` is bound to the IPv4 address in its mapped form,
 * as a socket that is bound to an IPv6 address takes no IPv4.
 */
static __always_inline struct vne_address vne_bound6(struct bpf_sock_addr *ctx,
						     const struct vne_attachment *application, struct vne_address asked)
{
	struct vne_address none = {};

	if (vne_is_ipv4(asked)) {
		__u32 bound = vne_bound4(application, asked.low);

		return bound ? vne_address4(bound) : none;
	}
	if (vne_is_none(asked)) {
		if (application->identity.address4 && !vne_is_only6(ctx))
			return vne_address4(application->identity.address4);
		return vne_is_none(application->identity.address6) ? application->identity.loopback6
								   : application->identity.address6;
	}
	if (vne_is_localhost6(asked))
		return application->identity.loopback6;
	return vne_is_same(asked, application->identity.address6) ? asked : none;
}

SEC("cgroup/bind6")
int vne_bind6(struct bpf_sock_addr *ctx)
{
	struct vne_attempt attempt = {
		.remote = vne_named6(ctx),
		.local_port = bpf_ntohs(ctx->user_port),
		.protocol = vne_socket_protocol(ctx),
	};
	struct vne_address bound;
	struct vne_judge judge;
	int reason = vne_socket_prepare(&judge, ctx);

	if (reason == VNE_REASON_PERMITTED_USE && !vne_bind_for_groups(ctx, &judge, &attempt)) {
		vne_remember_wildcard(ctx, vne_is_wildcard(attempt.remote) ? VNE_ASKED_WILDCARD : 0);
		bound = vne_bound6(ctx, judge.application, attempt.remote);
		if (vne_is_none(bound))
			reason = VNE_REASON_FOREIGN_ADDRESS;
		else
			vne_put6(ctx, bound);
	}
	return vne_socket_conclude(&judge, VNE_HOOK_BIND, reason, &attempt);
}
