/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Connecting: the decision first, so that a refusal is an errno and nothing is sent; then the application address is
 * bound as the local one, whatever route the packet takes. A call to loopback goes to the application's own.
 */
#include "loopback.bpf.h"

/* What an unbound socket gets as its own end. */
static __always_inline struct vne_address vne_connect_source(const struct vne_attachment *application,
							     const struct vne_attempt *attempt,
							     const struct vne_loopback_route *route, __u32 reason)
{
	struct vne_address own = vne_own_address(application, attempt->remote);

	if (reason == VNE_REASON_OWN_LOOPBACK)
		return route->source;
	return reason == VNE_REASON_SHARED && vne_is_none(own) ? vne_loopback_source(application, attempt->remote)
							       : own;
}

/* A bound socket keeps its address. It may be one of the own loopback only where the call stays in the application. */
static __always_inline int vne_has_source(const struct vne_attachment *application, const struct vne_attempt *attempt,
					  struct vne_address local, __u32 reason)
{
	if (vne_is_own_loopback(application, local))
		return reason == VNE_REASON_OWN_LOOPBACK || reason == VNE_REASON_SHARED ||
		       vne_is_own_address(application, attempt->remote);
	return vne_is_own_address(application, local);
}

/* The source could not be had; counted as a denial of its own, after the connect was allowed. */
static __always_inline int vne_refuse_source(const struct vne_attempt *attempt)
{
	vne_judge_call(attempt, VNE_HOOK_CONNECT, VNE_REASON_SOURCE);
	vne_socket_refuse(VNE_REASON_SOURCE);
	return 0;
}

SEC("cgroup/connect4")
int vne_connect4(struct bpf_sock_addr *ctx)
{
	const struct vne_attachment *application = vne_attached();
	struct vne_attempt attempt = {
		.remote = vne_named4(ctx),
		.remote_port = bpf_ntohs(ctx->user_port),
		.protocol = vne_socket_protocol(ctx),
	};
	struct vne_loopback_route route = {};
	struct bpf_sock *sk = ctx->sk;
	__u32 judged, reason;

	/* A datagram socket has a port here only if it was bound or has sent. */
	if (sk)
		attempt.local_port = sk->src_port;
	if (vne_is_loopback(attempt.remote) && vne_loopback_find(ctx, application, &attempt, &route))
		attempt.flags |= VNE_ATTEMPT_LISTENS;
	judged = vne_judge_call(&attempt, VNE_HOOK_CONNECT, vne_socket_refusal(ctx, application));
	reason = judged & VNE_JUDGED_REASON;
	if (!(judged & VNE_JUDGED_PASS)) {
		vne_socket_refuse(reason);
		return 0;
	}
	if (reason == VNE_REASON_OWN_LOOPBACK)
		vne_put4(ctx, route.destination.low);
	if (!sk || !vne_has_source(application, &attempt, vne_address4(bpf_ntohl(sk->src_ip4)), reason)) {
		struct sockaddr_in source = {
			.sin_family = VNE_AF_INET,
			.sin_addr.s_addr = bpf_htonl(vne_connect_source(application, &attempt, &route, reason).low),
		};

		if (bpf_bind(ctx, (struct sockaddr *)&source, sizeof(source)))
			return vne_refuse_source(&attempt);
	}
	return 1;
}

/* A call to ::1 that only a wildcard of both families takes: where IPv6 is not steered, it goes over IPv4. */
static __always_inline int vne_loopback_find_mapped(struct bpf_sock_addr *ctx, const struct vne_attachment *application,
						    const struct vne_attempt *attempt, struct vne_loopback_route *route)
{
	if (application->steered || !vne_is_dual_at(ctx, application, attempt))
		return 0;
	route->source = vne_address4(application->loopback4 + 1);
	route->destination = vne_address4(application->address4);
	return 1;
}

SEC("cgroup/connect6")
int vne_connect6(struct bpf_sock_addr *ctx)
{
	const struct vne_attachment *application = vne_attached();
	struct vne_attempt attempt = {
		.remote = vne_named6(ctx),
		.remote_port = bpf_ntohs(ctx->user_port),
		.protocol = vne_socket_protocol(ctx),
	};
	struct vne_loopback_route route = {};
	struct bpf_sock *sk = ctx->sk;
	__u32 judged, reason;

	if (sk)
		attempt.local_port = sk->src_port;
	if (vne_is_loopback(attempt.remote) && (vne_loopback_find(ctx, application, &attempt, &route) ||
						vne_loopback_find_mapped(ctx, application, &attempt, &route)))
		attempt.flags |= VNE_ATTEMPT_LISTENS;
	judged = vne_judge_call(&attempt, VNE_HOOK_CONNECT, vne_socket_refusal(ctx, application));
	reason = judged & VNE_JUDGED_REASON;
	if (!(judged & VNE_JUDGED_PASS)) {
		vne_socket_refuse(reason);
		return 0;
	}
	if (reason == VNE_REASON_OWN_LOOPBACK)
		vne_put6(ctx, route.destination);
	if (!sk || !vne_has_source(application, &attempt, vne_socket_local6(sk), reason)) {
		struct sockaddr_in6 source = { .sin6_family = VNE_AF_INET6 };

		vne_address_words_be(vne_connect_source(application, &attempt, &route, reason),
				     source.sin6_addr.in6_u.u6_addr32);
		if (bpf_bind(ctx, (struct sockaddr *)&source, sizeof(source)))
			return vne_refuse_source(&attempt);
	}
	return 1;
}
