"""MPTCP: to a victim itself; or, with the word `wait`, to a witness, and the peers' kernels make subflows meanwhile
from and to whatever addresses they are told."""

import socket
import time

from common import PATIENCE, TCP_PORT, WORDS, mask, new, reach, report, stream

MPTCP = 262


def direct(address, token):
    stream(address, token, new(address, socket.SOCK_STREAM, MPTCP))


def waiting(address, token):
    with new(address, socket.SOCK_STREAM, MPTCP) as client:
        client.connect((address, TCP_PORT))
        client.sendall(token)
        time.sleep(PATIENCE)
        client.sendall(token)


if "wait" in WORDS:
    mask("subflows", waiting)
else:
    reach("connect", direct)
report()
