/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "CLinux.h"
#include "confine.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/sched.h>

/*
 * Runs in the child, which is a copy of one thread of a process that may have had many: only async-signal-safe calls,
 * no allocation, no Swift.
 */
static _Noreturn void become(const struct vne_spawn *spawn)
{
	struct vne_spawn_failure failure = { .step = VNE_SPAWN_HOSTNAME };
	sigset_t none;
	ssize_t written;

	if (spawn->hostname && sethostname(spawn->hostname, strlen(spawn->hostname)) < 0)
		goto failed;
	failure.step = VNE_SPAWN_CAPABILITIES;
	if (spawn->dropped_capabilities && vne_drop_capabilities(spawn->dropped_capabilities) < 0)
		goto failed;
	failure.step = VNE_SPAWN_FILTER;
	if (spawn->filter_calls && vne_filter_calls() < 0)
		goto failed;
	failure.step = VNE_SPAWN_EXECUTE;
	/* Last before exec, so that a pending signal finds no handler but the default. */
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		goto failed;
	execvpe(spawn->arguments[0], spawn->arguments, spawn->environment ? spawn->environment : environ);
failed:
	failure.error = errno;
	do
		written = write(spawn->report, &failure, sizeof(failure));
	while (written < 0 && errno == EINTR);
	_exit(127);
}

pid_t vne_spawn(const struct vne_spawn *spawn, int *pidfd)
{
	struct clone_args arguments = {
		.flags = CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND | CLONE_PIDFD,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)spawn->cgroup,
	};
	pid_t process;

	if (spawn->hostname)
		arguments.flags |= CLONE_NEWUTS;
	process = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
	if (process == 0)
		become(spawn);
	return process;
}
