/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work that bench.py times: servers in one cgroup, a client in another, all on one CPU, one slice at a time.
 *
 * load SERVER-CGROUP CLIENT-CGROUP CPU [@]ADDRESS...
 *
 * There is a server for each kind of work on each address; with an @ before it, in the client's cgroup. Reads "WORK
 * ADDRESS MILLISECONDS" from standard input, works for about as long and answers with nanoseconds per operation.
 *
 * connect   connect, accept, close by RST
 * rr        one byte there and back on one TCP connection
 * udp       one byte there and back, the client connected
 * sendto    one byte there and back, the client not connected
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

/* An address of either family. */
struct end {
	union {
		struct sockaddr any;
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
	};
	socklen_t size;
};

static struct end end(const char *text, int port)
{
	struct end result = { .size = sizeof(result.ipv4) };

	result.ipv4.sin_family = AF_INET;
	result.ipv4.sin_port = htons(port);
	if (inet_pton(AF_INET, text, &result.ipv4.sin_addr) == 1)
		return result;
	result = (struct end){ .size = sizeof(result.ipv6) };
	result.ipv6.sin6_family = AF_INET6;
	result.ipv6.sin6_port = htons(port);
	if (inet_pton(AF_INET6, text, &result.ipv6.sin6_addr) != 1)
		fail(text);
	return result;
}

static int bound(const char *on, int port, int type)
{
	struct end local = end(on, port);
	int fd = socket(local.any.sa_family, type, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) || bind(fd, &local.any, local.size))
		fail("bind");
	if (type == SOCK_STREAM && listen(fd, 128))
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

/* Answers datagrams, whoever they are from. */
static void serve_datagrams(int fd)
{
	for (;;) {
		struct end peer = { .size = sizeof(peer.ipv6) };
		char byte;

		if (recvfrom(fd, &byte, 1, 0, &peer.any, &peer.size) == 1)
			sendto(fd, &byte, 1, 0, &peer.any, peer.size);
	}
}

static void serve(const char *cgroup, void (*body)(int), const char *on, int port, int type)
{
	pid_t parent = getpid();

	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		exit(1);
	enter(cgroup);
	body(bound(on, port, type));
}

/* A socket that fails rather than wait for ever for what was lost. */
static int client(const struct end *to, int type)
{
	struct timeval patience = { .tv_sec = 10 };
	int fd = socket(to->any.sa_family, type, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		fail("socket");
	return fd;
}

static int dial(const struct end *to, int type)
{
	int fd = client(to, type), one = 1;

	if (connect(fd, &to->any, to->size))
		fail("connect");
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void connect_once(int fd, const struct end *to)
{
	char byte;

	(void)fd;
	fd = dial(to, SOCK_STREAM);
	if (read(fd, &byte, 1) > 0)
		fail("read");
	close(fd);
}

static void ask(int fd, const struct end *to)
{
	char byte = 1;

	(void)to;
	if (send(fd, &byte, 1, 0) != 1 || recv(fd, &byte, 1, 0) != 1)
		fail("ask");
}

static void ask_unconnected(int fd, const struct end *to)
{
	char byte = 1;

	if (sendto(fd, &byte, 1, 0, &to->any, to->size) != 1 || recv(fd, &byte, 1, 0) != 1)
		fail("ask unconnected");
}

static double slice(const char *work, const char *address, long long milliseconds)
{
	void (*operation)(int, const struct end *);
	struct end to = end(address, ECHO_PORT);
	long long start, stop, operations = 0;
	int fd = -1;

	if (!strcmp(work, "connect")) {
		operation = connect_once;
		to = end(address, CONNECT_PORT);
	} else if (!strcmp(work, "rr")) {
		operation = ask;
		fd = dial(&to, SOCK_STREAM);
	} else if (!strcmp(work, "udp")) {
		operation = ask;
		fd = dial(&to, SOCK_DGRAM);
	} else {
		operation = ask_unconnected;
		fd = client(&to, SOCK_DGRAM);
	}
	start = now();
	do {
		/* Several at a time, so that the clock is not what is timed. */
		for (int i = 0; i < 16; i++, operations++)
			operation(fd, &to);
		stop = now();
	} while (stop - start < milliseconds * 1000000);
	if (fd >= 0)
		close(fd);
	return (double)(stop - start) / operations;
}

int main(int count, char **arguments)
{
	char work[32], address[64];
	long long milliseconds;
	cpu_set_t cpu;

	if (count < 5) {
		fprintf(stderr, "usage: load SERVER-CGROUP CLIENT-CGROUP CPU [@]ADDRESS...\n");
		return 2;
	}
	CPU_ZERO(&cpu);
	CPU_SET(atoi(arguments[3]), &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		fail("sched_setaffinity");
	for (int i = 4; i < count; i++) {
		int own = arguments[i][0] == '@';
		const char *on = arguments[i] + own, *cgroup = arguments[own ? 2 : 1];

		serve(cgroup, serve_connects, on, CONNECT_PORT, SOCK_STREAM);
		serve(cgroup, serve_echo, on, ECHO_PORT, SOCK_STREAM);
		serve(cgroup, serve_datagrams, on, ECHO_PORT, SOCK_DGRAM);
	}
	enter(arguments[2]);
	usleep(200000);
	printf("ready\n");
	fflush(stdout);
	while (scanf("%31s %63s %lld", work, address, &milliseconds) == 3) {
		printf("%.1f\n", slice(work, address, milliseconds));
		fflush(stdout);
	}
	return 0;
}
