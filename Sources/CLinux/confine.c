/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "confine.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE AUDIT_ARCH_RISCV64
#else
#error "the numbers of this architecture's system calls are not known here"
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF_EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define FAIL(error) RETURN(SECCOMP_RET_ERRNO | (error))
#define REFUSE(call, error) IF_EQUAL(call, 0, 1), FAIL(error)

/*
 * The accumulator holds the call's number, until a test of an argument loads that and returns either way. An argument
 * is compared by its lower half (all these architectures are little-endian): the kernel takes these as 32 bits.
 */
static const struct sock_filter filter[] = {
	LOAD(arch),
	IF_EQUAL(NATIVE, 1, 0),
	/* Another architecture's calls have other numbers: none of what follows would hold. */
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(nr),
#ifdef __x86_64__
	/* x32's calls, which have this architecture and numbers of their own. */
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),
	FAIL(ENOSYS),
#endif
	/* Programs and maps of the kernel. */
	REFUSE(SYS_bpf, EPERM),
	/* Its operations pass no filter, making sockets of any family among them. */
	REFUSE(SYS_io_uring_setup, EPERM),
	REFUSE(SYS_io_uring_enter, EPERM),
	REFUSE(SYS_io_uring_register, EPERM),
	/* Its flags lie in memory, where no filter looks: CLONE_INTO_CGROUP, CLONE_NEWUSER. C libraries go back to
	   clone. */
	REFUSE(SYS_clone3, ENOSYS),
	/* Another process's namespaces, memory and descriptors. */
	REFUSE(SYS_setns, EPERM),
	REFUSE(SYS_ptrace, EPERM),
	REFUSE(SYS_process_vm_readv, EPERM),
	REFUSE(SYS_process_vm_writev, EPERM),
	REFUSE(SYS_pidfd_getfd, EPERM),
	/* A network namespace of its own, or a user namespace, in which it would have all capabilities. */
	IF_EQUAL(SYS_clone, 1, 0),
	IF_EQUAL(SYS_unshare, 0, 4),
	LOAD(args[0]),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWNET | CLONE_NEWUSER, 0, 1),
	FAIL(EPERM),
	RETURN(SECCOMP_RET_ALLOW),
	/* Families that no hook judges and that reach others. */
	IF_EQUAL(SYS_socket, 1, 0),
	IF_EQUAL(SYS_socketpair, 0, 8),
	LOAD(args[0]),
	IF_EQUAL(AF_UNIX, 4, 0),
	IF_EQUAL(AF_INET, 3, 0),
	IF_EQUAL(AF_INET6, 2, 0),
	IF_EQUAL(AF_NETLINK, 1, 0),
	IF_EQUAL(AF_ALG, 0, 1),
	RETURN(SECCOMP_RET_ALLOW),
	FAIL(EPERM),
	RETURN(SECCOMP_RET_ALLOW),
};

int vne_filter_calls(void)
{
	/* The kernel only reads it. */
	const struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = (struct sock_filter *)filter,
	};

	/* Without it a program with the set-user-id bit would get back what was taken. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

int vne_drop_capabilities(uint64_t capabilities)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct halves[2];

	/* The bounding set first: it needs CAP_SETPCAP, and is what exec gives root its capabilities from. */
	for (int capability = 0; capability < 64; capability++) {
		if (capabilities >> capability & 1 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return -1;
	}
	if (syscall(SYS_capget, &header, halves) < 0)
		return -1;
	for (int half = 0; half < 2; half++) {
		uint32_t kept = ~(uint32_t)(capabilities >> 32 * half);

		halves[half].effective &= kept;
		halves[half].permitted &= kept;
		halves[half].inheritable &= kept;
	}
	/* What is in neither the permitted nor the inheritable set the kernel takes out of the ambient one. */
	return (int)syscall(SYS_capset, &header, halves);
}
