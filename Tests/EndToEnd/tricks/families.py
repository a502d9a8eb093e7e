"""Sockets of every family there is beside IPv4, IPv6, Unix, netlink and the kernel's ciphers (AF_ALG)."""

import socket

from common import have, report

ALG, LAST = 38, 46
ALLOWED = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, ALG)
TYPES = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET)


def make(family):
    """With whichever type the family takes."""
    def body():
        for kind in TYPES:
            try:
                socket.socket(family, kind).close()
                return
            except OSError as problem:
                refusal = problem
        raise refusal
    return body


for family in range(1, LAST):
    if family not in ALLOWED:
        have(f"family {family}", make(family))
report()
