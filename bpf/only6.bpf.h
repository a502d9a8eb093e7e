/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Whether a socket is IPV6_V6ONLY. That can't be asked for by bpf_getsockopt(), so it is read from the kernel's socket:
 * a relocation against the kernel's types, which costs milliseconds when an instance is loaded, and nothing afterwards.
 */
#ifndef VNE_ONLY6_BPF_H
#define VNE_ONLY6_BPF_H

#include <bpf/bpf_core_read.h>
#include "socket.bpf.h"

struct sock_common {
	unsigned char skc_ipv6only : 1;
} __attribute__((preserve_access_index));

/*
 * An MPTCP socket can't be read and counts as one of both families; if it is not, the kernel refuses to bind it to an
 * IPv4-mapped address.
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

#endif
