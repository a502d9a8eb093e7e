/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * `unix: private` by the socket-address hooks of Unix sockets (kernel 6.7), where there is no BPF LSM: they see the
 * name that is asked for and not who has it, and there is no hook where a name is bound. So every abstract name is
 * refused, the application's own among them.
 */
#include "unix.bpf.h"
#include <bpf/bpf_core_read.h>

/* What is behind the context, found by name when the programs are loaded: it shows no program the address. */
struct bpf_sock_addr_kern {
	void *uaddr;
	__u32 uaddrlen;
} __attribute__((preserve_access_index));

static __always_inline int vne_asks_abstract(void *ctx)
{
	struct bpf_sock_addr_kern *kernel = ctx;
	struct vne_unix_name name = { .first = 1 };
	void *address;
	__u32 length;

	if (bpf_core_read(&address, sizeof(address), &kernel->uaddr) ||
	    bpf_core_read(&length, sizeof(length), &kernel->uaddrlen))
		return 1;
	if (length <= VNE_UNIX_NAME)
		return 0;
	return bpf_probe_read_kernel(&name, sizeof(name), address) || !name.first;
}

static __always_inline int vne_judge_unix(struct bpf_sock_addr *ctx, __u32 hook)
{
	struct vne_attempt attempt = {};
	struct vne_judge judge;
	int reason;

	if (!vne_asks_abstract(ctx))
		return 1;
	reason = vne_unix_reason(&judge);
	return vne_conclude(&judge, hook, reason, &attempt, VNE_CALLER);
}

SEC("cgroup/connect_unix")
int vne_connectunix(struct bpf_sock_addr *ctx)
{
	return vne_judge_unix(ctx, VNE_HOOK_CONNECT);
}

SEC("cgroup/sendmsg_unix")
int vne_sendunix(struct bpf_sock_addr *ctx)
{
	return vne_judge_unix(ctx, VNE_HOOK_SEND);
}
