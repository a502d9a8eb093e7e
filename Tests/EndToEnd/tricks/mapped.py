"""IPv4-mapped addresses on IPv6 sockets, and an IPv6 socket that is turned into an IPv4 one (IPV6_ADDRFORM)."""

import socket

from common import TCP_PORT, UDP_PORT, VICTIMS, WITNESSES, attempt, foreign, new, reach, report

IPV6_ADDRFORM = 1


def mapped(address):
    return f"::ffff:{address}"


def stream(address, token):
    with new("::", socket.SOCK_STREAM) as client:
        client.connect((mapped(address), TCP_PORT))
        client.sendall(token)


def datagram(address, token):
    with new("::") as client:
        client.sendto(token, (mapped(address), UDP_PORT))


def connected(address, token):
    with new("::") as client:
        client.connect((mapped(address), UDP_PORT))
        client.send(token)


def bound(address, token):
    with new("::") as client:
        client.bind((mapped(foreign(address)), 0))
        client.sendto(token, (mapped(address), UDP_PORT))


def turned(address, token):
    witness = next(witness for witness in WITNESSES if "." in witness)
    with new("::") as client:
        client.connect((mapped(witness), UDP_PORT))
        client.setsockopt(socket.IPPROTO_IPV6, IPV6_ADDRFORM, socket.AF_INET)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, fileno=client.detach()) as client:
            client.sendto(token, (address, UDP_PORT))


IPV4 = [address for address in VICTIMS if "." in address]
reach("TCP", stream, IPV4)
reach("sendto", datagram, IPV4)
reach("connect", connected, IPV4)
reach("IPV6_ADDRFORM", turned, IPV4)
for address in (address for address in WITNESSES if "." in address):
    attempt(f"mask bind {address}", lambda token: bound(address, token))
report()
