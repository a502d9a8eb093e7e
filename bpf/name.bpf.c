/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * getsockname: a socket that asked for a wildcard and is not connected says the wildcard, as it would without us.
 * These hooks must return 1, and never judge.
 */
#include "socket.bpf.h"

static __always_inline int vne_says_wildcard(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	__u32 *asked;

	if (!sk || sk->dst_port)
		return 0;
	asked = bpf_sk_storage_get(&wildcard, sk, NULL, 0);
	return asked && *asked;
}

SEC("cgroup/getsockname4")
int vne_name4(struct bpf_sock_addr *ctx)
{
	if (vne_says_wildcard(ctx))
		ctx->user_ip4 = 0;
	return 1;
}

SEC("cgroup/getsockname6")
int vne_name6(struct bpf_sock_addr *ctx)
{
	if (vne_says_wildcard(ctx)) {
		ctx->user_ip6[0] = 0;
		ctx->user_ip6[1] = 0;
		ctx->user_ip6[2] = 0;
		ctx->user_ip6[3] = 0;
	}
	return 1;
}
