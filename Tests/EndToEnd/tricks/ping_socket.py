"""Ping sockets, whose bind and send pass no hook: bound, connected, unbound (a local destination is the source)."""

import socket
import struct

from common import checksum, family, foreign, mask, new, reach, report


def echo(address, token):
    kind = 128 if family(address) == socket.AF_INET6 else 8
    head = struct.pack("!BBHHH", kind, 0, 0, 1, 1)
    return head[:2] + struct.pack("!H", checksum(head + token)) + head[4:] + token


def ping(address):
    return new(address, protocol=socket.IPPROTO_ICMPV6 if family(address) == socket.AF_INET6 else socket.IPPROTO_ICMP)


def unconnected(address, token):
    with ping(address) as client:
        client.sendto(echo(address, token), (address, 0))


def connected(address, token):
    with ping(address) as client:
        client.connect((address, 0))
        client.send(echo(address, token))


def bound(address, token):
    with ping(address) as client:
        client.bind((foreign(address), 0))
        client.sendto(echo(address, token), (address, 0))


reach("sendto", unconnected)
reach("connect", connected)
mask("bind", bound)
report()
