/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Test-only: a program for every hook that allows and does nothing else, so that the bench can tell what the kernel
 * asks for a hook from what the isolator does in it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define EMPTY(section, name, context)                                                                                  \
	SEC(section)                                                                                                   \
	int empty_##name(context *ctx)                                                                                 \
	{                                                                                                              \
		(void)ctx;                                                                                             \
		return 1;                                                                                              \
	}

EMPTY("cgroup/sock_create", create, struct bpf_sock)
EMPTY("cgroup/bind4", bind4, struct bpf_sock_addr)
EMPTY("cgroup/bind6", bind6, struct bpf_sock_addr)
EMPTY("cgroup/connect4", connect4, struct bpf_sock_addr)
EMPTY("cgroup/connect6", connect6, struct bpf_sock_addr)
EMPTY("cgroup/sendmsg4", send4, struct bpf_sock_addr)
EMPTY("cgroup/sendmsg6", send6, struct bpf_sock_addr)
EMPTY("cgroup/getsockname4", name4, struct bpf_sock_addr)
EMPTY("cgroup/getsockname6", name6, struct bpf_sock_addr)
EMPTY("cgroup/getpeername4", peer4, struct bpf_sock_addr)
EMPTY("cgroup/getpeername6", peer6, struct bpf_sock_addr)
EMPTY("cgroup/recvmsg4", receive4, struct bpf_sock_addr)
EMPTY("cgroup/recvmsg6", receive6, struct bpf_sock_addr)
EMPTY("cgroup/dev", device, struct bpf_cgroup_dev_ctx)
EMPTY("cgroup/setsockopt", option, struct bpf_sockopt)
EMPTY("cgroup_skb/ingress", ingress, struct __sk_buff)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
