/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Sending datagrams: unconnected, or connected with any control message (which may ask for another source). The source
 * is the application address in either case.
 */
#include "socket.bpf.h"

SEC("cgroup/sendmsg4")
int vne_send4(struct bpf_sock_addr *ctx)
{
	struct vne_attempt attempt = {
		.remote = bpf_ntohl(ctx->user_ip4),
		.remote_port = bpf_ntohs(ctx->user_port),
		.protocol = vne_socket_protocol(ctx),
	};
	struct bpf_sock *sk = ctx->sk;
	struct vne_judge judge;
	int reason = vne_socket_prepare(&judge, ctx);

	if (sk) {
		attempt.local_port = sk->src_port;
		if (!attempt.remote && !attempt.remote_port) {
			/* A connected socket with a control message: the hook is not told the peer. */
			attempt.remote = bpf_ntohl(sk->dst_ip4);
			attempt.remote_port = bpf_ntohs(sk->dst_port);
		}
	}
	if (reason == VNE_REASON_PERMITTED_USE) {
		reason = vne_decide_outgoing(&judge, &attempt);
		vne_remember_flow(&judge, &attempt, reason, 0);
	}
	if (!vne_socket_conclude(&judge, VNE_HOOK_SEND, reason, &attempt))
		return 0;
	ctx->msg_src_ip4 = bpf_htonl(judge.application->address);
	return 1;
}

/* IPv4-mapped destinations run sendmsg4, so what comes here is native. */
SEC("cgroup/sendmsg6")
int vne_send6(struct bpf_sock_addr *ctx)
{
	struct vne_attempt attempt = {
		.remote_port = bpf_ntohs(ctx->user_port),
		.protocol = vne_socket_protocol(ctx),
	};
	struct vne_judge judge;
	int reason = vne_socket_prepare(&judge, ctx);

	if (reason == VNE_REASON_PERMITTED_USE)
		reason = VNE_REASON_NO_IPV6;
	return vne_socket_conclude(&judge, VNE_HOOK_SEND, reason, &attempt);
}
