/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int vne_openat2(int directory, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags, .resolve = resolve };

	return (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));
}

int vne_pidfd_open(pid_t process)
{
	return (int)syscall(SYS_pidfd_open, process, 0);
}

int vne_pidfd_getfd(int pidfd, int descriptor)
{
	return (int)syscall(SYS_pidfd_getfd, pidfd, descriptor, 0);
}

int vne_pipe(int ends[2])
{
	return pipe2(ends, O_CLOEXEC);
}

int vne_socket_in(int network_namespace, int domain, int type, int protocol)
{
	int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int made, error;

	if (own < 0)
		return -1;
	if (setns(network_namespace, CLONE_NEWNET)) {
		error = errno;
		close(own);
		errno = error;
		return -1;
	}
	made = socket(domain, type, protocol);
	error = errno;
	/* What this thread did next would be done to another network. */
	if (setns(own, CLONE_NEWNET))
		abort();
	close(own);
	errno = error;
	return made;
}

static int signal_pipe[2] = { -1, -1 };

static void signal_arrived(int signal)
{
	unsigned char number = (unsigned char)signal;
	int error = errno;
	/* A full pipe has enough to tell. */
	ssize_t written = write(signal_pipe[1], &number, 1);

	(void)written;
	errno = error;
}

int vne_signal_pipe(int signal)
{
	struct sigaction action = { .sa_handler = signal_arrived, .sa_flags = SA_RESTART };

	if (signal_pipe[0] < 0 && pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK))
		return -1;
	sigemptyset(&action.sa_mask);
	return sigaction(signal, &action, NULL) ? -1 : signal_pipe[0];
}
