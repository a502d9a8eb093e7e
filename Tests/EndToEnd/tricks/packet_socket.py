"""AF_PACKET: writes whole packets onto an interface and reads those of others."""

import socket

from common import WORDS, family, foreign, have, mask, reach, report, udp_packet

TYPES = {socket.AF_INET: 0x0800, socket.AF_INET6: 0x86DD}


def interface(address):
    """Neighbours are on this host, behind `lo`."""
    return "lo" if address in WORDS["neighbours"].split(",") else "eth0"


def write(source):
    def body(address, token):
        kind = TYPES[family(address)]
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as packets:
            packets.sendto(udp_packet(source(address), address, token), (interface(address), kind, 0, 0, b"\xff" * 6))
    return body


def write_frame(address, token):
    kind = TYPES[family(address)]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packets:
        packets.bind((interface(address), 0))
        ends = bytes(12) if interface(address) == "lo" else b"\xff" * 6 + bytes(6)
        packets.send(ends + kind.to_bytes(2, "big") + udp_packet(foreign(address), address, token))


def read():
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as packets:
        packets.bind(("lo", 3))


reach("SOCK_DGRAM", write(foreign))
reach("SOCK_RAW", write_frame)
mask("SOCK_DGRAM", write(foreign))
have("the packets of others", read)
report()
