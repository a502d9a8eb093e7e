"""UDP_SEGMENT: one send that the kernel cuts into many datagrams, by option and by control message."""

import struct

from common import UDP_PORT, foreign, mask, new, reach, report

SOL_UDP, UDP_SEGMENT = 17, 103


def by_option(address, token):
    with new(address) as client:
        client.setsockopt(SOL_UDP, UDP_SEGMENT, 512)
        client.sendto(token.ljust(2048, b"x"), (address, UDP_PORT))


def by_message(address, token):
    with new(address) as client:
        control = [(SOL_UDP, UDP_SEGMENT, struct.pack("H", 512))]
        client.sendmsg([token.ljust(2048, b"x")], control, 0, (address, UDP_PORT))


def bound(address, token):
    with new(address) as client:
        client.setsockopt(SOL_UDP, UDP_SEGMENT, 512)
        client.bind((foreign(address), 0))
        client.sendto(token.ljust(2048, b"x"), (address, UDP_PORT))


reach("option", by_option)
reach("control message", by_message)
mask("option", bound)
report()
