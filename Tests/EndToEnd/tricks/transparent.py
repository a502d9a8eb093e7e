"""IP_TRANSPARENT: a source that the host does not even have."""

import socket

from common import TCP_PORT, UDP_PORT, family, foreign, mask, new, reach, report

IP_TRANSPARENT, IPV6_TRANSPARENT = 19, 75


def transparent(address, kind):
    client = new(address, kind)
    if family(address) == socket.AF_INET6:
        client.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    else:
        client.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind((foreign(address), 0))
    return client


def datagram(address, token):
    with transparent(address, socket.SOCK_DGRAM) as client:
        client.sendto(token, (address, UDP_PORT))


def stream(address, token):
    with transparent(address, socket.SOCK_STREAM) as client:
        client.connect((address, TCP_PORT))
        client.sendall(token)


reach("UDP", datagram)
reach("TCP", stream)
mask("UDP", datagram)
mask("TCP", stream)
report()
