"""Choosing the interface, and with it the source: SO_BINDTODEVICE, SO_BINDTOIFINDEX, IP_UNICAST_IF."""

import socket

from common import TCP_PORT, UDP_PORT, WORDS, family, mask, new, reach, report

SO_BINDTOIFINDEX = 62
IP_UNICAST_IF, IPV6_UNICAST_IF = 50, 76


def interface(address):
    """Where the address is reached: those of this host on the interface that has them, `carrier`."""
    return WORDS["carrier"] if address in WORDS["neighbours"].split(",") else "eth0"


def by_name(client, address):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface(address).encode())


def by_index(client, address):
    client.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, socket.if_nametoindex(interface(address)))


def unicast(client, address):
    index = socket.htonl(socket.if_nametoindex(interface(address)))
    if family(address) == socket.AF_INET6:
        client.setsockopt(socket.IPPROTO_IPV6, IPV6_UNICAST_IF, index)
    else:
        client.setsockopt(socket.IPPROTO_IP, IP_UNICAST_IF, index)


def datagram(choose):
    def body(address, token):
        with new(address) as client:
            choose(client, address)
            client.sendto(token, (address, UDP_PORT))
    return body


def stream(choose):
    def body(address, token):
        with new(address, socket.SOCK_STREAM) as client:
            choose(client, address)
            client.connect((address, TCP_PORT))
            client.sendall(token)
    return body


for name, choose in (("SO_BINDTODEVICE", by_name), ("SO_BINDTOIFINDEX", by_index), ("IP_UNICAST_IF", unicast)):
    reach(f"{name} UDP", datagram(choose))
    reach(f"{name} TCP", stream(choose))
    mask(f"{name} UDP", datagram(choose))
    mask(f"{name} TCP", stream(choose))
report()
