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
	struct vne_address own = vne_own_address(&application->identity, attempt->remote);

	if (reason == VNE_REASON_OWN_LOOPBACK)
		return route->source;
	return reason == VNE_REASON_SHARED && vne_is_none(own) ? vne_loopback_source(application, attempt->remote)
							       : own;
}

/* A bound socket keeps its address. It may be one of the own loopback only where the call stays in the application. */
static __always_inline int vne_has_source(const struct vne_attachment *application, const struct vne_attempt *attempt,
					  struct vne_address local, __u32 reason)
{
	if (vne_is_own_loopback(&application->identity, local))
		return reason == VNE_REASON_OWN_LOOPBACK || reason == VNE_REASON_SHARED ||
		       vne_is_own_address(&application->identity, attempt->remote);
	return vne_is_own_address(&application->identity, local);
}

/* The source could not be had; counted as a denial of its own, after the connect was allowed. */
static __always_inline int vne_refuse_source(const struct vne_attempt *attempt)
{
	vne_judge_call(attempt, VNE_HOOK_CONNECT, VNE_REASON_SOURCE);
	vne_socket_refuse(VNE_REASON_SOURCE);
	return 0;
}

static __always_inline int vne_bind_source4(struct bpf_sock_addr *ctx, __be32 own)
{
	struct sockaddr_in source = { .sin_family = VNE_AF_INET, .sin_addr.s_addr = own };

	return bpf_bind(ctx, (struct sockaddr *)&source, sizeof(source));
}

/* An AF_INET6 socket is given an IPv4 address in its mapped form. */
static __always_inline int vne_bind_source6(struct bpf_sock_addr *ctx, struct vne_address own)
{
	struct sockaddr_in6 source = { .sin6_family = VNE_AF_INET6 };

	vne_address_words_be(own, source.sin6_addr.in6_u.u6_addr32);
	return bpf_bind(ctx, (struct sockaddr *)&source, sizeof(source));
}

/* The short way of a connect to the own environment; 0 where it has to be judged. */
static __always_inline int vne_connect_inside4(struct bpf_sock_addr *ctx)
{
	struct vne_counters *here = vne_here();
	const struct bpf_sock *sk = ctx->sk;
	__be32 local = sk ? sk->src_ip4 : 0;
	__be32 own = vne_source_inside4(ctx, here, vne_socket_protocol(ctx), ctx->user_ip4, local);

	if (!own || (local != own && vne_bind_source4(ctx, own)))
		return 0;
	vne_count(here, VNE_HOOK_CONNECT, VNE_REASON_OWN_ENVIRONMENT);
	return 1;
}

static __always_inline int vne_connect_inside6(struct bpf_sock_addr *ctx)
{
	struct vne_counters *here = vne_here();
	struct vne_address local = vne_local6(ctx);
	struct vne_address own = vne_source_inside6(ctx, here, vne_socket_protocol(ctx), vne_named6(ctx), local);

	if (vne_is_none(own) || (!vne_is_same(local, own) && vne_bind_source6(ctx, own)))
		return 0;
	vne_count(here, VNE_HOOK_CONNECT, VNE_REASON_OWN_ENVIRONMENT);
	return 1;
}

SEC("cgroup/connect4")
int vne_connect4(struct bpf_sock_addr *ctx)
{
	const struct vne_attachment *application;
	struct vne_loopback_route route = {};
	struct vne_attempt attempt;
	__u32 judged, reason;

	if (vne_connect_inside4(ctx))
		return 1;
	application = vne_attached();
	attempt = vne_asked(ctx, vne_named4(ctx));
	if (vne_is_loopback(attempt.remote) && vne_loopback_find(ctx, application, &attempt, &route))
		attempt.flags |= VNE_ATTEMPT_LISTENS;
	judged = vne_judge_call(&attempt, VNE_HOOK_CONNECT, vne_socket_refusal(ctx, &application->identity));
	reason = judged & VNE_JUDGED_REASON;
	if (!(judged & VNE_JUDGED_PASS)) {
		vne_socket_refuse(reason);
		return 0;
	}
	if (reason == VNE_REASON_OWN_LOOPBACK)
		vne_put4(ctx, route.destination.low);
	if (!vne_has_source(application, &attempt, vne_local4(ctx), reason) &&
	    vne_bind_source4(ctx, bpf_htonl(vne_connect_source(application, &attempt, &route, reason).low)))
		return vne_refuse_source(&attempt);
	return 1;
}

/* A call to ::1 that only a wildcard of both families takes: where IPv6 is not steered, it goes over IPv4. */
static __always_inline int vne_loopback_find_mapped(struct bpf_sock_addr *ctx, const struct vne_attachment *application,
						    const struct vne_attempt *attempt, struct vne_loopback_route *route)
{
	if (application->steered || !vne_is_dual_at(ctx, application, attempt))
		return 0;
	route->source = vne_address4(application->identity.loopback4 + 1);
	route->destination = vne_address4(application->identity.address4);
	return 1;
}

SEC("cgroup/connect6")
int vne_connect6(struct bpf_sock_addr *ctx)
{
	const struct vne_attachment *application;
	struct vne_loopback_route route = {};
	struct vne_attempt attempt;
	__u32 judged, reason;

	if (vne_connect_inside6(ctx))
		return 1;
	application = vne_attached();
	attempt = vne_asked(ctx, vne_named6(ctx));
	if (vne_is_loopback(attempt.remote) && (vne_loopback_find(ctx, application, &attempt, &route) ||
						vne_loopback_find_mapped(ctx, application, &attempt, &route)))
		attempt.flags |= VNE_ATTEMPT_LISTENS;
	judged = vne_judge_call(&attempt, VNE_HOOK_CONNECT, vne_socket_refusal(ctx, &application->identity));
	reason = judged & VNE_JUDGED_REASON;
	if (!(judged & VNE_JUDGED_PASS)) {
		vne_socket_refuse(reason);
		return 0;
	}
	if (reason == VNE_REASON_OWN_LOOPBACK)
		vne_put6(ctx, route.destination);
	if (!vne_has_source(application, &attempt, vne_local6(ctx), reason) &&
	    vne_bind_source6(ctx, vne_connect_source(application, &attempt, &route, reason)))
		return vne_refuse_source(&attempt);
	return 1;
}
