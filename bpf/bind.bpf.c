/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Binding: a wildcard becomes the application address, the application address stays, anything else is refused with
 * EADDRNOTAVAIL as on a host that does not own it. getsockname (name.bpf.c) still says the wildcard.
 */
#include <bpf/bpf_core_read.h>
#include "socket.bpf.h"

/*
 * IPV6_V6ONLY can't be asked for by bpf_getsockopt(), so it is read from the kernel's socket. This is the one
 * relocation against the kernel's types; it costs milliseconds when an instance is loaded, and nothing afterwards.
 */
struct sock_common {
	unsigned char skc_ipv6only : 1;
} __attribute__((preserve_access_index));

/* Remembers in the socket whether a wildcard was asked for. */
static __always_inline void vne_remember_wildcard(struct bpf_sock_addr *ctx, __u32 asked)
{
	struct bpf_sock *sk = ctx->sk;
	__u32 *wildcard_asked;

	if (!sk)
		return;
	wildcard_asked = bpf_sk_storage_get(&wildcard, sk, NULL, asked ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (wildcard_asked)
		*wildcard_asked = asked;
}

SEC("cgroup/bind4")
int vne_bind4(struct bpf_sock_addr *ctx)
{
	struct vne_attempt attempt = {
		.remote = bpf_ntohl(ctx->user_ip4),
		.local_port = bpf_ntohs(ctx->user_port),
		.protocol = vne_socket_protocol(ctx),
	};
	struct vne_judge judge;
	int reason = vne_socket_prepare(&judge, ctx);

	if (reason == VNE_REASON_PERMITTED_USE) {
		vne_remember_wildcard(ctx, !attempt.remote);
		if (!attempt.remote)
			ctx->user_ip4 = bpf_htonl(judge.application->address);
		else if (attempt.remote != judge.application->address)
			reason = VNE_REASON_FOREIGN_ADDRESS;
	}
	return vne_socket_conclude(&judge, VNE_HOOK_BIND, reason, &attempt);
}

/*
 * Whether the socket is IPV6_V6ONLY. An MPTCP socket can't be read and counts as dual-stack; if it is not, the kernel
 * refuses to bind it to an IPv4-mapped address.
 */
static __always_inline int vne_is_only6(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	const struct sock_common *common;

	if (!sk)
		return 0;
	common = ctx->type == VNE_SOCK_STREAM ? (const void *)bpf_skc_to_tcp6_sock(sk)
					      : (const void *)bpf_skc_to_udp6_sock(sk);
#ifdef __clang_analyzer__
	/* The analyzer does not know that one case of libbpf's macro is always taken. */
	return !!common;
#else
	return common && BPF_CORE_READ_BITFIELD(common, skc_ipv6only);
#endif
}

/* `::` with IPV6_V6ONLY: an address of the application's own on which nothing is received. */
static __always_inline void vne_bind_placeholder(struct bpf_sock_addr *ctx, const struct vne_attachment *application)
{
	ctx->user_ip6[0] = application->placeholder6_be[0];
	ctx->user_ip6[1] = application->placeholder6_be[1];
	ctx->user_ip6[2] = application->placeholder6_be[2];
	ctx->user_ip6[3] = application->placeholder6_be[3];
}

static __always_inline void vne_bind_mapped(struct bpf_sock_addr *ctx, const struct vne_attachment *application)
{
	ctx->user_ip6[0] = 0;
	ctx->user_ip6[1] = 0;
	ctx->user_ip6[2] = VNE_MAPPED_BE;
	ctx->user_ip6[3] = bpf_htonl(application->address);
}

SEC("cgroup/bind6")
int vne_bind6(struct bpf_sock_addr *ctx)
{
	struct vne_attempt attempt = {
		.remote = vne_is_mapped(ctx) ? bpf_ntohl(ctx->user_ip6[3]) : 0,
		.local_port = bpf_ntohs(ctx->user_port),
		.protocol = vne_socket_protocol(ctx),
	};
	struct vne_judge judge;
	int reason = vne_socket_prepare(&judge, ctx);

	if (reason != VNE_REASON_PERMITTED_USE)
		return vne_socket_conclude(&judge, VNE_HOOK_BIND, reason, &attempt);
	if (vne_is_unspecified6(ctx)) {
		vne_remember_wildcard(ctx, 1);
		if (vne_is_only6(ctx))
			vne_bind_placeholder(ctx, judge.application);
		else
			vne_bind_mapped(ctx, judge.application);
	} else if (vne_is_mapped(ctx) && (!attempt.remote || attempt.remote == judge.application->address)) {
		vne_remember_wildcard(ctx, 0);
		vne_bind_mapped(ctx, judge.application);
	} else {
		reason = VNE_REASON_FOREIGN_ADDRESS;
	}
	return vne_socket_conclude(&judge, VNE_HOOK_BIND, reason, &attempt);
}
