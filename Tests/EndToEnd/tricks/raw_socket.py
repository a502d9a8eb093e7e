"""Raw sockets: with the kernel's header, and with a header of the program's own (IP_HDRINCL, IPPROTO_RAW)."""

import socket

from common import family, foreign, mask, new, reach, report, udp_packet

IPV6_HDRINCL = 36


def as_protocol(protocol):
    def body(address, token):
        with new(address, socket.SOCK_RAW, protocol) as raw:
            # A transport header's ports, so that it would be taken for TCP or UDP.
            raw.sendto(b"\x0f\xa0\x00\x35" + bytes(16) + token, (address, 0))
    return body


def with_header(source):
    def body(address, token):
        with new(address, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(udp_packet(source(address), address, token), (address, 0))
    return body


def with_option(address, token):
    with new(address, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        if family(address) == socket.AF_INET6:
            raw.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
        else:
            raw.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
        raw.sendto(udp_packet(foreign(address), address, token), (address, 0))


def connected(address, token):
    with new(address, socket.SOCK_RAW, 253) as raw:
        raw.connect((address, 0))
        raw.send(token)


for protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_IPIP, socket.IPPROTO_IPV6, socket.IPPROTO_GRE,
                 253):
    reach(f"protocol {protocol}", as_protocol(protocol))
reach("IPPROTO_RAW", with_header(foreign))
reach("IP_HDRINCL", with_option)
reach("connected", connected)
mask("IPPROTO_RAW", with_header(foreign))
mask("IP_HDRINCL", with_option)
report()
