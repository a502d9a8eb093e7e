"""Makes real calls and packets from the cgroup and network namespace that it runs in.

A line asks, a line answers: first the errno (0 for none), then what else was asked for. IPv4 addresses are dotted; with
a socket of family 6 they are used IPv4-mapped. `-` is an address that there is not.
"""

import errno
import os
import resource
import select
import socket
import struct
import sys

SO_NETNS_COOKIE = 71
IP_PKTINFO = 8
IPPROTO_MPTCP = 262
IPPROTO_UDPLITE = 136
KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "mptcp": (socket.SOCK_STREAM, IPPROTO_MPTCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "udplite": (socket.SOCK_DGRAM, IPPROTO_UDPLITE),
    "ping": (socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
    "ping6": (socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6),
    "raw": (socket.SOCK_RAW, socket.IPPROTO_UDP),
}
# What a socket can be told in place of a family: 6 that takes no IPv4.
ONLY6 = "only6"
WIRE_SOURCE = bytes.fromhex("020000000002")
WIRE_DESTINATION = bytes.fromhex("020000000001")
DESTINATION_OPTIONS = 60
# struct ip_mreqn: the loopback interface.
LOOPBACK = struct.pack("8xi", socket.if_nametoindex("lo"))


class Prober:
    def __init__(self):
        self.held = {}
        self.senders = {}

    # -- sockets -------------------------------------------------------------------------------------------------

    def make(self, family, kind):
        if kind == "ping" and family == "6":
            kind = "ping6"
        made = socket.socket(socket.AF_INET if family == "4" else socket.AF_INET6, *KINDS[kind])
        if made.type == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if family == ONLY6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setblocking(False)
        return made

    def name(self, using, address, port):
        if using.family == socket.AF_INET6 and ":" not in address:
            address = "::ffff:" + address
        return address, int(port)

    def do_cookie(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            cookie = any_socket.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8)
        return struct.unpack("Q", cookie)[0]

    def do_interface(self, name):
        return socket.if_nametoindex(name)

    def do_create(self, family, kind):
        self.make(family, kind).close()

    def do_bind(self, family, kind, address, port):
        """Binds a fresh socket. Answers the address that it says it has."""
        with self.make(family, kind) as fresh:
            fresh.bind(self.name(fresh, address, port))
            return fresh.getsockname()[0]

    def do_hold(self, name, family, kind, address, port):
        """Keeps a socket: bound and listening, or for `-` just made. Answers its port."""
        self.held[name] = held = self.make(family, kind)
        if address == "-":
            return 0
        held.bind(self.name(held, address, port))
        if kind == "tcp":
            held.listen(64)
        return held.getsockname()[1]

    def do_connect(self, family, kind, address, port, listener=None):
        """Connects a fresh socket. Answers its port, the names of its ends, and those of what a listener accepts."""
        with self.make(family, kind) as fresh:
            answer = self.connect(fresh, address, port)
            if listener is None:
                return answer
            with self.accepted(self.held[listener], answer[0]) as accepted:
                return answer + ends(accepted)

    def accepted(self, listener, port):
        """The connection from a port; those before it are closed."""
        while select.select([listener], [], [], 3)[0]:
            accepted, peer = listener.accept()
            if peer[1] == port:
                return accepted
            accepted.close()
        raise TimeoutError(errno.ETIMEDOUT, "nothing to accept")

    def do_connect_held(self, name, address, port):
        return self.connect(self.held[name], address, port)

    def do_connect_keep(self, name, family, local, local_port, address, port):
        """Connects a UDP socket, bound unless the port is 0, and keeps it. Answers as `connect` does."""
        kept = self.make(family, "udp")
        if int(local_port):
            kept.bind(self.name(kept, local, local_port))
        answer = self.connect(kept, address, port)
        self.held[name] = kept
        return answer

    def connect(self, using, address, port):
        code = using.connect_ex(self.name(using, address, port))
        if code == errno.EINPROGRESS:
            code = 0
        if code:
            raise OSError(code, "connect")
        return (using.getsockname()[1],) + ends(using)

    def do_send(self, name, address, port):
        """Sends a datagram from a held socket, or from a fresh one of a family."""
        if name in self.held:
            self.held[name].sendto(b"hello", self.name(self.held[name], address, port))
            return
        with self.make(name, "udp") as fresh:
            fresh.sendto(b"hello", self.name(fresh, address, port))

    def do_send_from(self, local, local_port, address, port):
        """Sends a datagram from a fresh socket that is bound to an address."""
        with self.make("6" if ":" in local else "4", "udp") as fresh:
            fresh.bind((local, int(local_port)))
            fresh.sendto(b"hello", (address, int(port)))

    def do_send_control(self, name, source):
        """Sends a datagram from a connected socket, with a control message that asks for a source."""
        held, data = self.held[name], socket.inet_pton(socket.AF_INET6 if ":" in source else socket.AF_INET, source)
        if held.family == socket.AF_INET6:
            control = socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, data + struct.pack("i", 0)
        else:
            control = socket.IPPROTO_IP, IP_PKTINFO, struct.pack("i", 0) + data + bytes(4)
        held.sendmsg([b"hello"], [control])

    def do_join(self, group, interface):
        """Joins a group on an interface, for as long as this process lives."""
        index = socket.if_nametoindex(interface)
        if ":" in group:
            member = self.make("6", "udp")
            member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                              socket.inet_pton(socket.AF_INET6, group) + struct.pack("i", index))
        else:
            member = self.make("4", "udp")
            member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                              socket.inet_aton(group) + struct.pack("4xi", index))
        self.held[f"member-{group}-{interface}"] = member

    def do_take(self, name):
        """Takes all datagrams from a socket. Answers who sent the last one: address and port."""
        sender = "-", 0
        try:
            while True:
                sender = self.held[name].recvfrom(2048)[1]
        except BlockingIOError:
            return sender[:2]

    def do_exchange(self, family, address, port, server):
        """Has a socket send a datagram without a bind or a connect, and its receiver answer. Answers their names."""
        self.do_take(server)
        with self.make(family, "udp") as client:
            client.sendto(b"hello", self.name(client, address, port))
            receiver = self.held[server]
            for side in (receiver, client):
                if not select.select([side], [], [], 1)[0]:
                    raise TimeoutError(errno.ETIMEDOUT, "no datagram")
                sender = side.recvfrom(2048)[1]
                if side is receiver:
                    client_name = sender[0]
                    receiver.sendto(b"hello yourself", sender)
            return client_name, sender[0]

    def do_ping(self, name, address):
        held = self.held[name]
        held.sendto(struct.pack("!BBHHH", 8 if held.family == socket.AF_INET else 128, 0, 0, 0, 1), (address, 0))

    def do_ping_connected(self, family, address):
        """Connects a fresh ping socket, sends an echo request and waits for the answer. Answers the socket's names."""
        with self.make(family, "ping") as fresh:
            fresh.connect((address, 0))
            names = ends(fresh)
            fresh.send(struct.pack("!BBHHH", 8 if family == "4" else 128, 0, 0, 0, 1))
            if not select.select([fresh], [], [], 3)[0]:
                raise TimeoutError(errno.ETIMEDOUT, "no echo")
            return names

    def do_drop(self, prefix):
        for name in [name for name in self.held if name.startswith(prefix)]:
            self.held.pop(name).close()

    def do_drain(self):
        """Empties every queue."""
        for held in self.held.values():
            try:
                while True:
                    if held.type == socket.SOCK_STREAM:
                        held.accept()[0].close()
                    else:
                        held.recv(2048)
            except OSError:
                pass

    # -- packets -------------------------------------------------------------------------------------------------

    def do_packet(self, path, protocol, flags, source, source_port, destination, destination_port, options="0"):
        """Sends a packet over loopback (`lo`) or out of an interface, whoever has its source address.

        Ping: an echo reply whose identifier is the destination's port. With options: IPv6 destination options, empty.
        """
        packet = Packet(protocol, int(flags), source, int(source_port), destination, int(destination_port))
        if packet.is_ipv6:
            data = packet.ipv6(options == "1")
        else:
            data = packet.ipv4()
        if path == "lo" and not packet.is_ipv6:
            # Not looked at for sources that can't be, as what comes in on an interface is.
            sender = self.sender("raw", socket.AF_INET, socket.IPPROTO_RAW)
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, LOOPBACK)
            sender.sendto(data, (destination, 0))
            return
        stations = bytes(12) if path == "lo" else WIRE_DESTINATION + WIRE_SOURCE
        sender = self.sender(path, socket.AF_PACKET, 0, path)
        sender.send(stations + struct.pack("!H", 0x86DD if packet.is_ipv6 else 0x0800) + data)

    def sender(self, name, family, protocol, interface=None):
        if name not in self.senders:
            self.senders[name] = socket.socket(family, socket.SOCK_RAW, protocol)
            if interface:
                self.senders[name].bind((interface, 0))
        return self.senders[name]


def ends(connected):
    """What a socket says of its own address and its peer's."""
    try:
        peer = connected.getpeername()[0]
    except OSError:
        peer = "-"
    return connected.getsockname()[0], peer


class Packet:
    def __init__(self, protocol, flags, source, source_port, destination, destination_port):
        self.is_ipv6 = ":" in source
        family = socket.AF_INET6 if self.is_ipv6 else socket.AF_INET
        self.addresses = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
        ports = struct.pack("!HH", source_port, destination_port)
        if protocol == "tcp":
            self.number, at = socket.IPPROTO_TCP, 16
            self.body = ports + struct.pack("!IIBBHHH", 7, 7, 5 << 4, flags, 1024, 0, 0)
        elif protocol == "udp":
            self.number, at = socket.IPPROTO_UDP, 6
            self.body = ports + struct.pack("!HH", 13, 0) + b"hello"
        else:
            self.number, at = (socket.IPPROTO_ICMPV6 if self.is_ipv6 else socket.IPPROTO_ICMP), 2
            self.body = struct.pack("!BBHHH", 129 if self.is_ipv6 else 0, 0, 0, destination_port, 1)
        self.body = self.body[:at] + checksum(self.pseudo_header() + self.body) + self.body[at + 2 :]

    def pseudo_header(self):
        if self.is_ipv6:
            return self.addresses + struct.pack("!IBBBB", len(self.body), 0, 0, 0, self.number)
        if self.number == socket.IPPROTO_ICMP:
            return b""
        return self.addresses + struct.pack("!BBH", 0, self.number, len(self.body))

    def ipv4(self):
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(self.body), 1, 0, 64, self.number, 0) + self.addresses
        return header[:10] + checksum(header) + header[12:] + self.body

    def ipv6(self, with_options):
        body, number = self.body, self.number
        if with_options:
            body, number = struct.pack("!BBBBI", number, 0, 1, 4, 0) + body, DESTINATION_OPTIONS
        return struct.pack("!IHBB", 6 << 28, len(body), number, 64) + self.addresses + body


def checksum(data):
    """The ones' complement sum of RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def main():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    prober = Prober()
    for line in sys.stdin:
        words = line.split()
        try:
            answer = getattr(prober, "do_" + words[0])(*words[1:])
            code = 0
        except OSError as error:
            answer, code = None, error.errno
        if answer is None:
            answer = 0
        print(code, *(answer if isinstance(answer, tuple) else (answer,)), flush=True)


# The interpreter's own end is of no interest, and its sockets are reset all the faster.
main()
os._exit(0)
