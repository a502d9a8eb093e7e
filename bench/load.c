/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work that bench.py times: a server in one cgroup, a client in another, both on one CPU, one slice at a time.
 *
 * load SERVER-CGROUP CLIENT-CGROUP SERVER-ADDRESS CPU
 *
 * Reads "connect MS", "rr MS" or "quit" from standard input, works for about that many milliseconds and answers with
 * nanoseconds per operation. connect: connect, accept, close by RST. rr: one byte there and back on one connection.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_PORT 7001
#define ECHO_PORT 7002

static void fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void enter(const char *cgroup)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	file = fopen(path, "w");
	if (!file || fprintf(file, "0\n") < 0 || fclose(file))
		fail(path);
}

static struct sockaddr_in address(const char *text, int port)
{
	struct sockaddr_in result = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, text, &result.sin_addr) != 1)
		fail(text);
	return result;
}

static int listener(const char *on, int port)
{
	struct sockaddr_in local = address(on, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&local, sizeof(local)) || listen(fd, 128))
		fail("listen");
	return fd;
}

static void reset(int fd)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* Accepts and resets, for ever. */
static void serve_connects(int fd)
{
	for (;;) {
		int peer = accept(fd, NULL, NULL);

		if (peer >= 0)
			reset(peer);
	}
}

/* Answers bytes, one connection after the other. */
static void serve_echo(int fd)
{
	for (;;) {
		int peer = accept(fd, NULL, NULL), one = 1;
		char byte;

		if (peer < 0)
			continue;
		setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		while (read(peer, &byte, 1) == 1 && write(peer, &byte, 1) == 1)
			;
		close(peer);
	}
}

static void serve(const char *cgroup, void (*body)(int), const char *on, int port)
{
	pid_t parent = getpid();

	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		exit(1);
	enter(cgroup);
	body(listener(on, port));
}

static int dial(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		fail("connect");
	return fd;
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static double slice(const char *work, long long milliseconds, const struct sockaddr_in *connects,
		    const struct sockaddr_in *echo)
{
	int rr = !strcmp(work, "rr"), fd = -1, one = 1;
	long long start, end, operations = 0;
	char byte = 1;

	if (rr) {
		fd = dial(echo);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	start = now();
	do {
		/* Several at a time, so that the clock is not what is timed. */
		for (int i = 0; i < 16; i++, operations++) {
			if (rr) {
				if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
					fail("rr");
			} else {
				fd = dial(connects);
				if (read(fd, &byte, 1) > 0)
					fail("read");
				close(fd);
			}
		}
		end = now();
	} while (end - start < milliseconds * 1000000);
	if (rr)
		close(fd);
	return (double)(end - start) / operations;
}

int main(int count, char **arguments)
{
	struct sockaddr_in connects, echo;
	char work[32];
	long long milliseconds;
	cpu_set_t cpu;

	if (count != 5) {
		fprintf(stderr, "usage: load SERVER-CGROUP CLIENT-CGROUP SERVER-ADDRESS CPU\n");
		return 2;
	}
	CPU_ZERO(&cpu);
	CPU_SET(atoi(arguments[4]), &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		fail("sched_setaffinity");
	connects = address(arguments[3], CONNECT_PORT);
	echo = address(arguments[3], ECHO_PORT);
	serve(arguments[1], serve_connects, arguments[3], CONNECT_PORT);
	serve(arguments[1], serve_echo, arguments[3], ECHO_PORT);
	enter(arguments[2]);
	usleep(200000);
	printf("ready\n");
	fflush(stdout);
	while (scanf("%31s %lld", work, &milliseconds) == 2) {
		printf("%.1f\n", slice(work, milliseconds, &connects, &echo));
		fflush(stdout);
	}
	return 0;
}
