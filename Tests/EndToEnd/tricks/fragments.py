"""Fragments: a datagram larger than a link carries; and from the wire, with a source that is forged.

With `forge`, as a machine on the wire: `source` sends to each victim in two fragments, the second first.
"""

import socket
import struct

from common import UDP_PORT, WORDS, foreign, ip4_header, mask, new, reach, report

MORE = 0x2000


def large(address, token):
    with new(address) as client:
        client.sendto(token + bytes(20000), (address, UDP_PORT))


def bound(address, token):
    with new(address) as client:
        client.bind((foreign(address), 0))
        client.sendto(token + bytes(20000), (address, UDP_PORT))


def forged(address, token):
    payload = token + bytes(-len(token) % 8)
    udp = struct.pack("!HHHH", 4000, UDP_PORT, 8 + len(payload), 0) + payload
    with new(address, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for part, offset in ((udp[16:], 2), (udp[:16], MORE)):
            header = ip4_header(WORDS["source"], address, len(part), fragment=offset, identity=77)
            raw.sendto(header + part, (address, 0))


if "forge" in WORDS:
    reach("forged", forged)
else:
    reach("large", large)
    mask("large", bound)
report()
