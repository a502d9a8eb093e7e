"""AF_UNSPEC: dissolves an association without a hook, and as a destination's family says nothing of where it goes."""

import ctypes
import socket
import struct

from common import (TCP_PORT, UDP_PORT, VICTIMS, WITNESSES, call, family, libc, new, packed, reach, report)


def witness(address):
    """The one of the same family, to whom connecting is allowed."""
    return next(witness for witness in WITNESSES if family(witness) == family(address))


def dissolve(client):
    unspecified = struct.pack("=H14s", socket.AF_UNSPEC, bytes(14))
    call(libc.connect(client.fileno(), unspecified, len(unspecified)))


def datagram(address, token):
    with new(address) as client:
        client.connect((witness(address), UDP_PORT))
        dissolve(client)
        client.sendto(token, (address, UDP_PORT))


def again(address, token):
    with new(address) as client:
        client.connect((witness(address), UDP_PORT))
        dissolve(client)
        client.connect((address, UDP_PORT))
        client.send(token)


def stream(address, token):
    with new(address, socket.SOCK_STREAM) as client:
        client.connect((witness(address), TCP_PORT))
        dissolve(client)
        client.connect((address, TCP_PORT))
        client.sendall(token)


def rebound(address, token):
    """A source that was bound, dissolved, and chosen anew by the kernel."""
    with new(address) as client:
        client.sendto(b"", (witness(address), UDP_PORT))
        dissolve(client)
        client.sendto(token, (address, UDP_PORT))


def nameless(address, token):
    """An IPv4 destination whose family says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        to = struct.pack("=HH4s8s", socket.AF_UNSPEC, socket.htons(UDP_PORT), packed(address), bytes(8))
        call(libc.sendto(client.fileno(), token, ctypes.c_size_t(len(token)), 0, to, len(to)))


IPV4 = [address for address in VICTIMS if "." in address]
reach("sendto after AF_UNSPEC", datagram)
reach("connect after AF_UNSPEC", again)
reach("TCP after AF_UNSPEC", stream)
reach("sendto, AF_UNSPEC, sendto", rebound)
reach("to AF_UNSPEC", nameless, IPV4)
report()
