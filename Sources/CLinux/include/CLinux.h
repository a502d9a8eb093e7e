/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What Swift's Glibc module lacks of Linux: netlink and its families, packet sockets, inotify, signalfd, system calls
 * without a wrapper in the C library, and the few lines of C between clone and exec.
 */
#ifndef CLINUX_H
#define CLINUX_H

#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/types.h>

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/inet_diag.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

/**
 * openat2(2), which the C library has no wrapper for: opens `path` below `directory` as `resolve` (RESOLVE_…) allows.
 * Returns a file descriptor, or -1 with errno.
 */
int vne_openat2(int directory, const char *path, uint64_t flags, uint64_t resolve);

/** pidfd_open(2): a file descriptor that names a process, or -1 with errno. */
int vne_pidfd_open(pid_t process);

/** pidfd_getfd(2): a duplicate of a descriptor of the process that `pidfd` names, or -1 with errno. */
int vne_pidfd_getfd(int pidfd, int descriptor);

/**
 * Has a signal be heard through a pipe from now on, whichever thread gets it: a byte, its number, each time. No thread
 * has to block it, and no program that is started inherits anything. All signals share one pipe. Returns its read end,
 * which is nonblocking, or -1 with errno.
 */
int vne_signal_pipe(int signal);

/**
 * socket(2) in the network namespace that a file descriptor names. The calling thread is in its own again afterwards,
 * and the process ends if the kernel refuses that. Returns a file descriptor, or -1 with errno.
 */
int vne_socket_in(int network_namespace, int domain, int type, int protocol);

/** pipe2(2) with O_CLOEXEC, which the C library declares for GNU sources only: 0, or -1 with errno. */
int vne_pipe(int ends[2]);

/** Which step of a launch failed in the child. */
enum vne_spawn_step {
	VNE_SPAWN_HOSTNAME = 1,
	VNE_SPAWN_EXECUTE = 2,
	VNE_SPAWN_CAPABILITIES = 3,
	VNE_SPAWN_FILTER = 4,
};

/** What the child writes to `report` when it cannot become the command; nothing when it can. */
struct vne_spawn_failure {
	/** enum vne_spawn_step. */
	uint32_t step;
	/** errno. */
	int32_t error;
};

/** A command to start in a cgroup. */
struct vne_spawn {
	/** A file descriptor of the cgroup's directory. */
	int cgroup;
	/** The write end of a close-on-exec pipe for struct vne_spawn_failure. */
	int report;
	/** Name in a UTS namespace of the command's own; NULL for the caller's namespace. */
	const char *hostname;
	/** The command, looked up in PATH, and its arguments; ends with NULL. */
	char *const *arguments;
	/** `NAME=value` strings, ends with NULL; NULL for the caller's environment. */
	char *const *environment;
	/** Capabilities, a bit each, that are taken out of every set; 0 for none. */
	uint64_t dropped_capabilities;
	/** Nonzero: no_new_privs is set and the system calls are filtered that lead past a cgroup's programs. */
	int filter_calls;
};

/**
 * Starts a command that is in its cgroup from its first instruction on (clone3(2) with CLONE_INTO_CGROUP, Linux 5.7).
 *
 * Signals that the caller handles are reset (CLONE_CLEAR_SIGHAND); ignored ones stay ignored, as after any exec. The
 * command blocks no signal. Returns the process id, or -1 with errno; `pidfd` receives a
 * close-on-exec file descriptor that names the process.
 */
pid_t vne_spawn(const struct vne_spawn *spawn, int *pidfd);

#endif
