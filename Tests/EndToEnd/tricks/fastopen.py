"""TCP Fast Open: the data goes with the SYN, by MSG_FASTOPEN (no connect call) and by TCP_FASTOPEN_CONNECT (late)."""

import socket

from common import TCP_PORT, foreign, mask, new, reach, report

TCP_FASTOPEN_CONNECT = 30


def by_flag(address, token):
    with new(address, socket.SOCK_STREAM) as client:
        client.setblocking(True)
        client.sendto(token, socket.MSG_FASTOPEN, (address, TCP_PORT))


def late(address, token):
    with new(address, socket.SOCK_STREAM) as client:
        client.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        client.connect((address, TCP_PORT))
        client.sendall(token)


def bound(address, token):
    with new(address, socket.SOCK_STREAM) as client:
        client.setblocking(True)
        client.bind((foreign(address), 0))
        client.sendto(token, socket.MSG_FASTOPEN, (address, TCP_PORT))


# Twice: the second time the cookie of the first is there.
for time in ("first", "second"):
    reach(f"MSG_FASTOPEN {time}", by_flag)
    reach(f"TCP_FASTOPEN_CONNECT {time}", late)
mask("MSG_FASTOPEN", bound)
report()
