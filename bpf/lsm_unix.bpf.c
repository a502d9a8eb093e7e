/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * `unix: private` by the kernel's security hooks, which see both sockets: a socket is the application's own if a
 * process in its cgroup, or below, made it.
 */
/* Programs of this kind may not ask for the coarse clock. */
#define VNE_CLOCK bpf_ktime_get_ns
#include "unix.bpf.h"
#include <bpf/bpf_core_read.h>

/* Of the kernel's types only what is read, found by name when the programs are loaded. */
struct kernfs_node {
	__u64 id;
} __attribute__((preserve_access_index));

struct cgroup {
	struct kernfs_node *kn;
	int level;
	struct cgroup *ancestors[];
} __attribute__((preserve_access_index));

struct sock_cgroup_data {
	struct cgroup *cgroup;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_cgroup_data sk_cgrp_data;
} __attribute__((preserve_access_index));

struct socket {
	struct sock *sk;
} __attribute__((preserve_access_index));

struct unix_address {
	int len;
	struct vne_unix_name name[];
} __attribute__((preserve_access_index));

struct unix_sock {
	struct unix_address *addr;
} __attribute__((preserve_access_index));

/* Whether a socket has an abstract name; one that can't be read has. */
static __always_inline int vne_is_abstract(struct sock *sk)
{
	struct unix_sock *socket = (struct unix_sock *)sk;
	struct vne_unix_name name;
	struct unix_address *address;
	int length;

	if (bpf_core_read(&address, sizeof(address), &socket->addr))
		return 1;
	if (!address)
		return 0;
	if (bpf_core_read(&length, sizeof(length), &address->len))
		return 1;
	if (length <= VNE_UNIX_NAME)
		return 0;
	return bpf_probe_read_kernel(&name, sizeof(name), address->name) || !name.first;
}

/* Whether a process of the application's made the socket. */
static __always_inline int vne_is_own_socket(const struct vne_attachment *application, struct sock *sk)
{
	struct cgroup *maker = BPF_CORE_READ(sk, sk_cgrp_data.cgroup), *ancestor;
	__u32 level = application->level;

	if (!maker || !application->cgroup || level > (__u32)BPF_CORE_READ(maker, level))
		return 0;
	if (bpf_probe_read_kernel(&ancestor, sizeof(ancestor), &maker->ancestors[level]))
		return 0;
	return BPF_CORE_READ(ancestor, kn, id) == application->cgroup;
}

static __always_inline int vne_judge_peer(struct sock *peer, __u32 hook)
{
	struct vne_attempt attempt = {};
	struct vne_judge judge;
	int reason;

	if (!vne_is_abstract(peer))
		return 1;
	reason = vne_unix_reason(&judge);
	if (reason == VNE_REASON_UNIX && vne_is_own_socket(judge.application, peer))
		reason = VNE_REASON_PERMITTED_USE;
	return vne_conclude(&judge, hook, reason, &attempt, VNE_CALLER);
}

SEC("lsm_cgroup/unix_stream_connect")
int vne_lsm_connect(const __u64 *ctx)
{
	return vne_judge_peer((struct sock *)ctx[1], VNE_HOOK_CONNECT);
}

SEC("lsm_cgroup/unix_may_send")
int vne_lsm_send(const __u64 *ctx)
{
	struct socket *other = (struct socket *)ctx[1];

	return vne_judge_peer(BPF_CORE_READ(other, sk), VNE_HOOK_SEND);
}
