/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "CLinux.h"

#include <fcntl.h>
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
