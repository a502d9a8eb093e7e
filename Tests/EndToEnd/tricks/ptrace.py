"""Traces a process outside, `process`, and takes its sockets, `descriptors` (one a family), with pidfd_getfd."""

import os
import socket

from common import UDP_PORT, VICTIMS, WORDS, attempt, call, family, libc, report

PIDFD_GETFD = 438
taken = {}


def take(address):
    if not taken:
        process = os.pidfd_open(int(WORDS["process"]))
        for descriptor in WORDS["descriptors"].split(","):
            made = socket.socket(fileno=call(libc.syscall(PIDFD_GETFD, process, int(descriptor), 0)))
            taken[made.family] = made
        os.close(process)
    return taken[family(address)]


for address in VICTIMS:
    attempt(f"reach taken {address}", lambda token: take(address).sendto(token, (address, UDP_PORT)))
report()
