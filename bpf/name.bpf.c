/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What a program is told of addresses: getsockname, getpeername (which accept asks too) and the source of a datagram. A
 * socket that asked for a wildcard and is not connected says the wildcard, and the own loopback is 127.0.0.1 and ::1.
 * These hooks must return 1, and never judge.
 */
#include "socket.bpf.h"

/* The address that a program is to see in place of `address`, one end of a connection whose other end is `other`. */
static __always_inline __u32 vne_shown4(const struct vne_attachment *application, __u32 address, __u32 other)
{
	__u32 asked = vne_asked_loopback4(&application->identity, address);

	if (asked)
		return asked;
	/* A wildcard's connection over loopback: on the application address at one end only. */
	return address == application->identity.address4 && address &&
			       vne_asked_loopback4(&application->identity, other)
		       ? VNE_LOCALHOST4
		       : address;
}

static __always_inline struct vne_address vne_shown6(const struct vne_attachment *application,
						     struct vne_address address, struct vne_address other)
{
	struct vne_address localhost = { .low = 1 };

	if (vne_is_ipv4(address))
		return vne_address4(vne_shown4(application, address.low, vne_is_ipv4(other) ? other.low : 0));
	if (vne_is_none(address) || vne_is_none(application->identity.loopback6))
		return address;
	if (vne_is_same(address, application->identity.loopback6) ||
	    (vne_is_same(address, application->identity.address6) &&
	     vne_is_same(other, application->identity.loopback6)))
		return localhost;
	return address;
}

static __always_inline int vne_says_wildcard(struct bpf_sock *sk)
{
	__u32 *asked;

	if (!sk || sk->dst_port)
		return 0;
	asked = bpf_sk_storage_get(&wildcard, sk, NULL, 0);
	return asked && *asked == VNE_ASKED_WILDCARD;
}

static __always_inline void vne_show4(struct bpf_sock_addr *ctx, __u32 other_be)
{
	__u32 address = bpf_ntohl(ctx->user_ip4), shown = vne_shown4(vne_attached(), address, bpf_ntohl(other_be));

	if (shown != address)
		vne_put4(ctx, shown);
}

static __always_inline void vne_show6(struct bpf_sock_addr *ctx, struct vne_address other)
{
	struct vne_address address = vne_named6(ctx), shown = vne_shown6(vne_attached(), address, other);

	if (!vne_is_same(shown, address))
		vne_put6(ctx, shown);
}

SEC("cgroup/getsockname4")
int vne_name4(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (vne_says_wildcard(sk))
		vne_put4(ctx, 0);
	else if (sk)
		vne_show4(ctx, sk->dst_ip4);
	return 1;
}

SEC("cgroup/getsockname6")
int vne_name6(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct vne_address none = {};

	if (vne_says_wildcard(sk))
		vne_put6(ctx, none);
	else if (sk)
		vne_show6(ctx, vne_socket_remote6(sk));
	return 1;
}

SEC("cgroup/getpeername4")
int vne_peer4(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (sk)
		vne_show4(ctx, sk->src_ip4);
	return 1;
}

SEC("cgroup/getpeername6")
int vne_peer6(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (sk)
		vne_show6(ctx, vne_socket_local6(sk));
	return 1;
}

SEC("cgroup/recvmsg4")
int vne_receive4(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (sk)
		vne_show4(ctx, sk->src_ip4);
	return 1;
}

SEC("cgroup/recvmsg6")
int vne_receive6(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (sk)
		vne_show6(ctx, vne_socket_local6(sk));
	return 1;
}
