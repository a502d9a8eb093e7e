/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends datagrams to one address as fast as one processor does, from the cgroup that it is started in.
 *
 * flood CPU ADDRESS PORT
 *
 * Answers each line of standard input with how many sends were denied (EPERM) so far and how many were not, and ends with
 * the input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

int main(int count, char **arguments)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	unsigned long long denied = 0, other = 0;
	cpu_set_t cpu;
	int fd;

	if (count != 4 || inet_pton(AF_INET, arguments[2], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: flood CPU ADDRESS PORT\n");
		return 2;
	}
	to.sin_port = htons(atoi(arguments[3]));
	CPU_ZERO(&cpu);
	CPU_SET(atoi(arguments[1]), &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		fail("sched_setaffinity");
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		fail("socket");
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		char byte;

		/* Many at a time, so that asking for input is not what is done. */
		for (int i = 0; i < 4096; i++) {
			if (sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) < 0 && errno == EPERM)
				denied++;
			else
				other++;
		}
		if (poll(&input, 1, 0) <= 0)
			continue;
		do {
			if (read(STDIN_FILENO, &byte, 1) != 1)
				return 0;
		} while (byte != '\n');
		printf("%llu %llu\n", denied, other);
		fflush(stdout);
	}
}
