"""Whom the tricks of test_tricks.py are tried on: tells all that arrives, whenever it is asked.

`victim.py sockets QUIET ADDRESS…` listens on each address, TCP and UDP; `victim.py sniff QUIET INTERFACE ADDRESS…`
reads packets to the addresses off the interface. A line on the standard input asks for what has arrived since the last
one: the answer comes once nothing has for QUIET seconds, as a JSON list of {"by", "from", "to", "token"}; `token` is
the attempt's name where there is one.
"""

import ipaddress
import json
import re
import select
import socket
import sys

TCP_PORT, UDP_PORT = 80, 53
ALL_PROTOCOLS = 0x0003
OUTGOING = 4
IPV4, IPV6 = 0x0800, 0x86DD
SYN, ACK = 0x02, 0x10
MPTCP = 262
# Types of ICMP that nobody sends by a socket: errors, and how neighbours find each other.
UNASKED4 = {3, 11, 12}
UNASKED6 = {*range(1, 5), *range(130, 138)}


def token(data):
    found = re.search(rb"trick:([^;]*);", data)
    return found[1].decode() if found else None


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listen(address):
    """A listener that takes MPTCP where the kernel has it."""
    try:
        listener = socket.socket(family(address), socket.SOCK_STREAM, MPTCP)
    except OSError:
        listener = socket.socket(family(address), socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, TCP_PORT))
    listener.listen()
    return listener


class Sockets:
    """TCP and UDP sockets on addresses. What a connection brings is told with it."""

    def __init__(self, addresses):
        self.listeners = [listen(address) for address in addresses]
        self.servers = [socket.socket(family(address), socket.SOCK_DGRAM) for address in addresses]
        self.clients = {}
        for server, address in zip(self.servers, addresses):
            server.bind((address, UDP_PORT))

    def readers(self):
        return [*self.listeners, *self.servers, *self.clients]

    def read(self, reader, seen):
        if reader in self.listeners:
            client, peer = reader.accept()
            self.clients[client] = {"by": "tcp", "from": peer[0], "to": reader.getsockname()[0], "token": None}
            seen.append(self.clients[client])
        elif reader in self.servers:
            data, peer = reader.recvfrom(70000)
            seen.append({"by": "udp", "from": peer[0], "to": reader.getsockname()[0], "token": token(data)})
        else:
            try:
                data = reader.recv(70000)
            except OSError:
                data = b""
            if data:
                self.clients[reader]["token"] = token(data) or self.clients[reader]["token"]
            else:
                del self.clients[reader]
                reader.close()


class Sniffer:
    """Packets to addresses, as they come in on an interface."""

    def __init__(self, interface, addresses):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL_PROTOCOLS))
        self.socket.bind((interface, ALL_PROTOCOLS))
        self.addresses = set(addresses)

    def readers(self):
        return [self.socket]

    def read(self, reader, seen):
        packet, (_, protocol, kind, *_) = reader.recvfrom(70000)
        if kind == OUTGOING or protocol not in (IPV4, IPV6):
            return
        if protocol == IPV4:
            source, destination, carried = packet[12:16], packet[16:20], packet[9]
        else:
            source, destination, carried = packet[8:24], packet[24:40], packet[6]
        source, destination = str(ipaddress.ip_address(source)), str(ipaddress.ip_address(destination))
        named = token(packet)
        if destination in self.addresses and (named or self.tells(packet, protocol, carried)):
            seen.append({"by": f"wire {carried}", "from": source, "to": destination, "token": named})

    def tells(self, packet, protocol, carried):
        """Whether a packet without a name matters: not the late segments of a connection, nor what the kernel sends."""
        data = packet[40:] if protocol == IPV6 else packet[(packet[0] & 15) * 4:]
        if carried == socket.IPPROTO_TCP:
            return data[13] & (SYN | ACK) == SYN
        return not (carried == socket.IPPROTO_ICMP and data[0] in UNASKED4 or
                    carried == socket.IPPROTO_ICMPV6 and data[0] in UNASKED6)


def main():
    role, quiet, *rest = sys.argv[1:]
    victim = Sockets(rest) if role == "sockets" else Sniffer(rest[0], rest[1:])
    print("ready", flush=True)
    seen, asked = [], False
    while True:
        readable = select.select([*victim.readers(), sys.stdin], [], [], float(quiet) if asked else None)[0]
        if asked and not readable:
            print(json.dumps(seen), flush=True)
            seen, asked = [], False
        for reader in readable:
            if reader is sys.stdin:
                if not sys.stdin.readline():
                    return
                asked = True
            else:
                victim.read(reader, seen)


if __name__ == "__main__":
    main()
