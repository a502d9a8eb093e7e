"""Sockets that a process outside passes over a Unix socket, at the path `from`."""

import socket

from common import UDP_PORT, VICTIMS, WORDS, attempt, family, report

with socket.socket(socket.AF_UNIX) as accomplice:
    accomplice.connect(WORDS["from"])
    _, descriptors, _, _ = socket.recv_fds(accomplice, 100, 2)
passed = {made.family: made for made in (socket.socket(fileno=descriptor) for descriptor in descriptors)}
for address in VICTIMS:
    attempt(f"reach passed {address}", lambda token: passed[family(address)].sendto(token, (address, UDP_PORT)))
report()
