/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What passes no hook of a cgroup's sockets, held by the kernel's security hooks where the kernel lets BPF have them
 * (BPF LSM, `lsm_cgroup`, kernel 6.1): other families of sockets, leaving the cgroup, bpf(2), administering the
 * network.
 *
 * None of this depends on the policy, so it holds from the attachment on, in whatever state that is: attached means
 * enforced. Each hook runs for the calling process's cgroup, and answers 1 to allow and 0 to refuse with EPERM. They
 * exist once in the system, however many cgroups use them, and kernel 6.1 has room for ten. Their arguments are those
 * of `LSM_HOOK` in the kernel's lsm_hook_defs.h, in order.
 */
/* Programs of this kind may not ask for the coarse clock. */
#define VNE_CLOCK bpf_ktime_get_ns
#include "record.bpf.h"
#include <bpf/bpf_core_read.h>

#define VNE_AF_UNIX 1
#define VNE_AF_NETLINK 16
#define VNE_AF_ALG 38
/* Connections of the kernel's own, made by request of whoever has CAP_SYS_ADMIN. */
#define VNE_NETLINK_ISCSI 8

/* Of the kernel's types only what is read, found by name when the programs are loaded. */
struct super_block {
	unsigned long s_magic;
} __attribute__((preserve_access_index));

struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
} __attribute__((preserve_access_index));

struct dentry {
	struct dentry *d_parent;
	struct inode *d_inode;
} __attribute__((preserve_access_index));

struct path {
	struct dentry *dentry;
} __attribute__((preserve_access_index));

struct file {
	unsigned int f_mode;
	struct path f_path;
	struct inode *f_inode;
} __attribute__((preserve_access_index));

struct user_namespace {
	int level;
} __attribute__((preserve_access_index));

/* Counts a call and records it if it is refused; says whether it goes through. */
static __always_inline int vne_lsm_conclude(__u32 hook, __u32 reason, __u32 protocol)
{
	struct vne_attempt attempt = { .protocol = protocol };
	struct vne_judge judge = { .application = bpf_get_local_storage(&attachment, 0) };

	return vne_conclude(&judge, hook, reason, &attempt, VNE_CALLER);
}

/* ------------------------------------------------------------------ families */

static __always_inline int vne_is_covered(int family, int protocol)
{
	switch (family) {
	case VNE_AF_UNIX:
	case VNE_AF_INET:
	case VNE_AF_INET6:
	case VNE_AF_ALG:
		return 1;
	case VNE_AF_NETLINK:
		return protocol != VNE_NETLINK_ISCSI;
	default:
		return 0;
	}
}

/* Making a socket of a family that the other hooks do not see; IPv4 and IPv6 are create.bpf.c's. */
SEC("lsm_cgroup/socket_create")
int vne_lsm_socket(const __u64 *ctx)
{
	int family = ctx[0], protocol = ctx[2], kernel = ctx[3];

	if (kernel || vne_is_covered(family, protocol))
		return 1;
	return vne_lsm_conclude(VNE_HOOK_CREATE, VNE_REASON_PROTOCOL, 0);
}

/* ------------------------------------------------------------------ membership */

#define VNE_FMODE_WRITE 0x2
#define VNE_CGROUP_MAGIC 0x27e0eb
#define VNE_CGROUP2_MAGIC 0x63677270
/* Deeper than this nothing is the application's own. */
#define VNE_CGROUP_DEPTH 32

/* Whether a file of the cgroup2 tree lies in the application's own cgroup or below it. */
static __always_inline int vne_is_own_cgroup(const struct vne_attachment *application, struct file *file)
{
	struct dentry *directory = BPF_CORE_READ(file, f_path.dentry);

	for (int i = 0; i < VNE_CGROUP_DEPTH; i++) {
		directory = BPF_CORE_READ(directory, d_parent);
		if (BPF_CORE_READ(directory, d_inode, i_ino) == application->cgroup)
			return 1;
	}
	return 0;
}

/*
 * Opening a file of a cgroup tree for writing, wherever that is mounted: who writes `cgroup.procs` moves processes. The
 * files of the own cgroup and of what is below stay writable, as no process gets out by them.
 */
SEC("lsm_cgroup/file_open")
int vne_lsm_open(const __u64 *ctx)
{
	struct file *file = (struct file *)ctx[0];
	struct vne_attachment *application;
	unsigned long magic;

	if (!(file->f_mode & VNE_FMODE_WRITE))
		return 1;
	magic = BPF_CORE_READ(file, f_inode, i_sb, s_magic);
	if (magic != VNE_CGROUP_MAGIC && magic != VNE_CGROUP2_MAGIC)
		return 1;
	application = bpf_get_local_storage(&attachment, 0);
	if (magic == VNE_CGROUP2_MAGIC && vne_is_own_cgroup(application, file))
		return 1;
	return vne_lsm_conclude(VNE_HOOK_SYSTEM, VNE_REASON_MEMBERSHIP, 0);
}

#define VNE_CLONE_INTO_CGROUP 0x200000000ull

/* A child that starts in another cgroup: its directory may be opened by anybody, and nothing of it is written. */
SEC("lsm_cgroup/task_alloc")
int vne_lsm_clone(const __u64 *ctx)
{
	__u64 flags = ctx[1];

	if (!(flags & VNE_CLONE_INTO_CGROUP))
		return 1;
	return vne_lsm_conclude(VNE_HOOK_SYSTEM, VNE_REASON_MEMBERSHIP, 0);
}

/* ------------------------------------------------------------------ administration */

/* bpf(2), by which the programs are taken off and the maps are written. */
SEC("lsm_cgroup/bpf")
int vne_lsm_bpf(const __u64 *ctx)
{
	(void)ctx;
	return vne_lsm_conclude(VNE_HOOK_SYSTEM, VNE_REASON_ADMINISTRATION, 0);
}

#define VNE_CAP_NET_ADMIN 12
/* The kernel asks to choose a way, not to refuse a call. */
#define VNE_CAP_OPT_NOAUDIT 2

/*
 * CAP_NET_ADMIN over the host: each way to change addresses, routes and packet filters asks for it, be it a netlink
 * message, an ioctl or a socket option. A user namespace of the application's own may have it over its own networks.
 */
SEC("lsm_cgroup/capable")
int vne_lsm_admin(const __u64 *ctx)
{
	struct user_namespace *ns = (struct user_namespace *)ctx[1];
	int capability = ctx[2];
	__u32 options = ctx[3];

	if (capability != VNE_CAP_NET_ADMIN || ns->level)
		return 1;
	if (options & VNE_CAP_OPT_NOAUDIT)
		return 0;
	return vne_lsm_conclude(VNE_HOOK_SYSTEM, VNE_REASON_ADMINISTRATION, 0);
}
