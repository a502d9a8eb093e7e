"""IP_FREEBIND and IP_BIND_ADDRESS_NO_PORT: a source that is bound without being looked at, or late."""

import socket

from common import TCP_PORT, UDP_PORT, family, foreign, mask, new, reach, report

IP_FREEBIND, IPV6_FREEBIND, IP_BIND_ADDRESS_NO_PORT = 15, 78, 24


def free(address, kind):
    client = new(address, kind)
    if family(address) == socket.AF_INET6:
        client.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    else:
        client.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    client.bind((foreign(address), 0))
    return client


def datagram(address, token):
    with free(address, socket.SOCK_DGRAM) as client:
        client.sendto(token, (address, UDP_PORT))


def stream(address, token):
    with free(address, socket.SOCK_STREAM) as client:
        client.connect((address, TCP_PORT))
        client.sendall(token)


reach("UDP", datagram)
reach("TCP", stream)
mask("UDP", datagram)
mask("TCP", stream)
report()
