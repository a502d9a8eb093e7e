"""UDP-Lite, whose connect passes no hook."""

import socket

from common import UDP_PORT, foreign, mask, new, reach, report

UDPLITE = 136


def unconnected(address, token):
    with new(address, protocol=UDPLITE) as client:
        client.sendto(token, (address, UDP_PORT))


def connected(address, token):
    with new(address, protocol=UDPLITE) as client:
        client.connect((address, UDP_PORT))
        client.send(token)


def bound(address, token):
    with new(address, protocol=UDPLITE) as client:
        client.bind((foreign(address), 0))
        client.sendto(token, (address, UDP_PORT))


reach("sendto", unconnected)
reach("connect", connected)
mask("bind", bound)
report()
