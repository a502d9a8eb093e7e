/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Sending datagrams: unconnected, or connected with any control message (which may ask for another source). The source
 * is the application's own in either case.
 */
#include "handshake.bpf.h"
#include "loopback.bpf.h"

/* Whether the socket that a datagram to `at` reaches is connected to `source`. */
static __noinline int vne_peer_is_connected(struct bpf_sock_addr *ctx, const struct vne_attempt *attempt,
					    const struct vne_address *source, const struct vne_address *at)
{
	struct bpf_sock *sk = vne_socket_at(ctx, attempt, source, at);
	int found;

	if (!sk)
		return 0;
	found = vne_is_ipv4(*at) ? sk->dst_ip4 == bpf_htonl(source->low) : vne_is_same(vne_socket_remote6(sk), *source);
	bpf_sk_release(sk);
	return found;
}

/*
 * What a datagram's source becomes. To loopback it is loopback, unless the one who gets it is connected to the sender's
 * application address, as the client of a wildcard's socket is.
 */
static __always_inline struct vne_address
vne_send_source(struct bpf_sock_addr *ctx, const struct vne_attachment *application, const struct vne_attempt *attempt,
		const struct vne_loopback_route *route, struct vne_address local, __u32 reason)
{
	struct vne_address own = vne_own_address(&application->identity, attempt->remote);

	if (vne_is_own_loopback(&application->identity, local) &&
	    (reason == VNE_REASON_OWN_LOOPBACK || reason == VNE_REASON_SHARED ||
	     vne_is_own(&application->identity, attempt->remote)))
		return local;
	if (reason != VNE_REASON_OWN_LOOPBACK && reason != VNE_REASON_SHARED)
		return own;
	if (reason == VNE_REASON_SHARED && !vne_is_none(own))
		return own;
	if (vne_is_own_address(&application->identity, local) &&
	    (attempt->flags & VNE_ATTEMPT_TRANSLATED || vne_peer_is_connected(ctx, attempt, &own, &route->destination)))
		return own;
	return vne_loopback_source(application, attempt->remote);
}

/* A connected socket with a control message: the hook is not told the peer, which is as the kernel knows it. */
static __always_inline int vne_is_connected_send(const struct vne_attempt *attempt)
{
	return !attempt->remote_port && (vne_is_none(attempt->remote) || !(__u32)attempt->remote.low);
}

/* Whether the datagram goes out, and why. */
static __always_inline __u32 vne_send_judge(struct bpf_sock_addr *ctx, const struct vne_attachment *application,
					    struct vne_attempt *attempt, struct vne_loopback_route *route)
{
	if (vne_is_loopback(attempt->remote) && vne_loopback_find(ctx, application, attempt, route))
		attempt->flags |= VNE_ATTEMPT_LISTENS;
	return vne_judge_call(attempt, VNE_HOOK_SEND, vne_socket_refusal(ctx, &application->identity));
}

/* A datagram to a group is the application's own, whoever else has a socket at its port. */
static __always_inline void vne_vouch_for(const struct vne_attachment *application, const struct vne_attempt *attempt)
{
	vne_handshake_record(vne_own_address(&application->identity, attempt->remote), attempt->remote,
			     (__u32)attempt->local_port << 16 | attempt->remote_port);
}

/* What answers a socket that is bound to nothing finds it as the application's own. */
static __always_inline void vne_remember_sender(struct bpf_sock *sk, const struct vne_attachment *application)
{
	__u32 *asked = bpf_sk_storage_get(&wildcard, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (asked)
		*asked = vne_asked_nothing(application);
}

/* An AF_INET6 socket that sends to a mapped address comes here too. */
SEC("cgroup/sendmsg4")
int vne_send4(struct bpf_sock_addr *ctx)
{
	struct vne_attempt attempt = vne_asked(ctx, vne_named4(ctx));
	const struct vne_attachment *application;
	struct vne_address local = vne_local4(ctx);
	struct vne_counters *here = vne_here();
	struct vne_loopback_route route = {};
	struct bpf_sock *sk = ctx->sk;
	__u32 judged, reason;
	__be32 own;

	if (sk && vne_is_connected_send(&attempt)) {
		attempt.remote = vne_address4(bpf_ntohl(sk->dst_ip4));
		attempt.remote_port = bpf_ntohs(sk->dst_port);
		attempt.flags = VNE_ATTEMPT_TRANSLATED;
	}
	own = vne_source_inside4(ctx, here, attempt.protocol, bpf_htonl(attempt.remote.low), bpf_htonl(local.low));
	if (own) {
		vne_count(here, VNE_HOOK_SEND, VNE_REASON_OWN_ENVIRONMENT);
		ctx->msg_src_ip4 = own;
		return 1;
	}
	application = vne_attached();
	judged = vne_send_judge(ctx, application, &attempt, &route);
	reason = judged & VNE_JUDGED_REASON;
	if (!(judged & VNE_JUDGED_PASS)) {
		vne_socket_refuse(reason);
		return 0;
	}
	if (reason == VNE_REASON_OWN_LOOPBACK && !(attempt.flags & VNE_ATTEMPT_TRANSLATED))
		vne_put4(ctx, route.destination.low);
	if (reason == VNE_REASON_OWN_LOOPBACK && sk && !(__u32)local.low)
		vne_remember_sender(sk, application);
	if (reason == VNE_REASON_GROUP)
		vne_vouch_for(application, &attempt);
	ctx->msg_src_ip4 = bpf_htonl(vne_send_source(ctx, application, &attempt, &route, local, reason).low);
	return 1;
}

static __always_inline void vne_put_source6(struct bpf_sock_addr *ctx, struct vne_address source)
{
	__be32 words[4];

	vne_address_words_be(source, words);
	ctx->msg_src_ip6[0] = words[0];
	ctx->msg_src_ip6[1] = words[1];
	ctx->msg_src_ip6[2] = words[2];
	ctx->msg_src_ip6[3] = words[3];
}

/* Native IPv6; a mapped destination never comes here. */
SEC("cgroup/sendmsg6")
int vne_send6(struct bpf_sock_addr *ctx)
{
	struct vne_attempt attempt = vne_asked(ctx, vne_named6(ctx));
	const struct vne_attachment *application;
	struct vne_address local = vne_local6(ctx), own;
	struct vne_counters *here = vne_here();
	struct vne_loopback_route route = {};
	struct bpf_sock *sk = ctx->sk;
	__u32 judged, reason;

	if (sk && vne_is_connected_send(&attempt)) {
		attempt.remote = vne_socket_remote6(sk);
		attempt.remote_port = bpf_ntohs(sk->dst_port);
		attempt.flags = VNE_ATTEMPT_TRANSLATED;
	}
	own = vne_source_inside6(ctx, here, attempt.protocol, attempt.remote, local);
	if (!vne_is_none(own)) {
		vne_count(here, VNE_HOOK_SEND, VNE_REASON_OWN_ENVIRONMENT);
		vne_put_source6(ctx, own);
		return 1;
	}
	application = vne_attached();
	judged = vne_send_judge(ctx, application, &attempt, &route);
	reason = judged & VNE_JUDGED_REASON;
	if (!(judged & VNE_JUDGED_PASS)) {
		vne_socket_refuse(reason);
		return 0;
	}
	if (reason == VNE_REASON_OWN_LOOPBACK && !(attempt.flags & VNE_ATTEMPT_TRANSLATED))
		vne_put6(ctx, route.destination);
	if (reason == VNE_REASON_OWN_LOOPBACK && sk && vne_is_none(local))
		vne_remember_sender(sk, application);
	if (reason == VNE_REASON_GROUP)
		vne_vouch_for(application, &attempt);
	vne_put_source6(ctx, vne_send_source(ctx, application, &attempt, &route, local, reason));
	return 1;
}
