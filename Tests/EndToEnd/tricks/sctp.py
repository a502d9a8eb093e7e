"""SCTP, which the bind, connect and send hooks do not see: as a stream, and one to many."""

import socket

from common import TCP_PORT, new, reach, report

SCTP = 132


def stream(address, token):
    with new(address, socket.SOCK_STREAM, SCTP) as client:
        client.connect((address, TCP_PORT))


def one_to_many(address, token):
    with new(address, socket.SOCK_SEQPACKET, SCTP) as client:
        client.sendto(token, (address, TCP_PORT))


reach("stream", stream)
reach("one to many", one_to_many)
report()
