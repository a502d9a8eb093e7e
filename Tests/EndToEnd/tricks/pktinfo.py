"""IP_PKTINFO and IPV6_PKTINFO: a source in a control message, on sockets unconnected, connected, and to mapped ones."""

import socket
import struct

from common import UDP_PORT, VICTIMS, WITNESSES, attempt, family, foreign, mask, new, packed, reach, report

IP_PKTINFO = 8


def message(address):
    if family(address) == socket.AF_INET6:
        return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed(foreign(address)) + struct.pack("I", 0))]
    return [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("i4s4s", 0, packed(foreign(address)), bytes(4)))]


def unconnected(address, token):
    with new(address) as client:
        client.sendmsg([token], message(address), 0, (address, UDP_PORT))


def connected(address, token):
    with new(address) as client:
        client.connect((address, UDP_PORT))
        client.sendmsg([token], message(address))


def diverted(address, token):
    """Connected to one, and sent to another."""
    with new(address) as client:
        client.connect((next(witness for witness in WITNESSES if family(witness) == family(address)), UDP_PORT))
        client.sendmsg([token], message(address), 0, (address, UDP_PORT))


def mapped(mark):
    def body(token):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
            client.sendmsg([token], message(mark), 0, (f"::ffff:{mark}", UDP_PORT))
    return body


reach("unconnected", unconnected)
reach("connected", connected)
reach("connected elsewhere", diverted)
mask("unconnected", unconnected)
mask("connected", connected)
for address in (address for address in VICTIMS if "." in address):
    attempt(f"reach mapped {address}", mapped(address))
for address in (address for address in WITNESSES if "." in address):
    attempt(f"mask mapped {address}", mapped(address))
report()
