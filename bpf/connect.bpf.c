/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Connecting: the decision first, so that a refusal is an errno and nothing is sent; then the application address is
 * bound as the local one, whatever route the packet takes.
 */
#include "socket.bpf.h"

/* A datagram socket's port is known only if it was bound or has sent; its answers come to a connected socket. */
static __always_inline int vne_connect_decide(struct vne_judge *judge, struct bpf_sock_addr *ctx,
					      struct vne_attempt *attempt)
{
	struct bpf_sock *sk = ctx->sk;
	int reason;

	if (sk)
		attempt->local_port = sk->src_port;
	reason = vne_decide_outgoing(judge, attempt);
	vne_remember_flow(judge, attempt, reason, 0);
	return reason;
}

/* A bound socket keeps its address, so only one that is not bound to the application's own needs to be. */
static __always_inline int vne_has_source(struct bpf_sock_addr *ctx, const struct vne_attachment *application)
{
	struct bpf_sock *sk = ctx->sk;

	return sk && sk->src_ip4 == bpf_htonl(application->address);
}

SEC("cgroup/connect4")
int vne_connect4(struct bpf_sock_addr *ctx)
{
	struct vne_attempt attempt = {
		.remote = bpf_ntohl(ctx->user_ip4),
		.remote_port = bpf_ntohs(ctx->user_port),
		.protocol = vne_socket_protocol(ctx),
	};
	struct vne_judge judge;
	int reason = vne_socket_prepare(&judge, ctx);

	if (reason == VNE_REASON_PERMITTED_USE)
		reason = vne_connect_decide(&judge, ctx, &attempt);
	if (!vne_socket_conclude(&judge, VNE_HOOK_CONNECT, reason, &attempt))
		return 0;
	if (!vne_has_source(ctx, judge.application)) {
		struct sockaddr_in source = {
			.sin_family = VNE_AF_INET,
			.sin_addr.s_addr = bpf_htonl(judge.application->address),
		};

		if (bpf_bind(ctx, (struct sockaddr *)&source, sizeof(source)))
			return vne_socket_conclude(&judge, VNE_HOOK_CONNECT, VNE_REASON_SOURCE, &attempt);
	}
	return 1;
}

SEC("cgroup/connect6")
int vne_connect6(struct bpf_sock_addr *ctx)
{
	struct vne_attempt attempt = {
		.remote = vne_is_mapped(ctx) ? bpf_ntohl(ctx->user_ip6[3]) : 0,
		.remote_port = bpf_ntohs(ctx->user_port),
		.protocol = vne_socket_protocol(ctx),
	};
	struct vne_judge judge;
	int reason = vne_socket_prepare(&judge, ctx);

	if (reason == VNE_REASON_PERMITTED_USE)
		reason = vne_is_mapped(ctx) ? vne_connect_decide(&judge, ctx, &attempt) : VNE_REASON_NO_IPV6;
	if (!vne_socket_conclude(&judge, VNE_HOOK_CONNECT, reason, &attempt))
		return 0;
	if (!vne_has_source(ctx, judge.application)) {
		struct sockaddr_in6 source = {};

		source.sin6_family = VNE_AF_INET6;
		source.sin6_addr.in6_u.u6_addr32[2] = VNE_MAPPED_BE;
		source.sin6_addr.in6_u.u6_addr32[3] = bpf_htonl(judge.application->address);
		if (bpf_bind(ctx, (struct sockaddr *)&source, sizeof(source)))
			return vne_socket_conclude(&judge, VNE_HOOK_CONNECT, VNE_REASON_SOURCE, &attempt);
	}
	return 1;
}
