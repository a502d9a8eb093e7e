"""Makes real calls and packets from the cgroup and network namespace that it runs in.

A line asks, a line answers: first the errno (0 for none), then what else was asked for. Addresses are dotted; with
family 6 they are used IPv4-mapped, unless they have a colon.
"""

import errno
import os
import resource
import socket
import struct
import sys

SO_NETNS_COOKIE = 71
IPPROTO_MPTCP = 262
IPPROTO_UDPLITE = 136
KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "mptcp": (socket.SOCK_STREAM, IPPROTO_MPTCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "udplite": (socket.SOCK_DGRAM, IPPROTO_UDPLITE),
    "ping": (socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
    "raw": (socket.SOCK_RAW, socket.IPPROTO_UDP),
}
WIRE_SOURCE = bytes.fromhex("020000000002")
WIRE_DESTINATION = bytes.fromhex("020000000001")


class Prober:
    def __init__(self):
        self.held = {}
        self.sender = None

    # -- sockets -------------------------------------------------------------------------------------------------

    def make(self, family, kind):
        made = socket.socket(socket.AF_INET6 if family == "6" else socket.AF_INET, *KINDS[kind])
        if made.type == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
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
        with self.make(family, kind) as fresh:
            fresh.bind(self.name(fresh, address, port))

    def do_hold(self, name, kind, address, port):
        """Keeps a socket: bound and listening, or for `-` just made. Answers its port."""
        self.held[name] = self.make("4", kind)
        if address == "-":
            return 0
        self.held[name].bind((address, int(port)))
        if kind == "tcp":
            self.held[name].listen(64)
        return self.held[name].getsockname()[1]

    def do_connect(self, family, kind, address, port):
        """Connects a fresh socket. Answers its port."""
        with self.make(family, kind) as fresh:
            return self.connect(fresh, address, port)

    def do_connect_held(self, name, address, port):
        return self.connect(self.held[name], address, port)

    def do_connect_keep(self, name, local, address, port):
        """Connects a UDP socket, bound to a port unless that is 0, and keeps it. Answers its port."""
        kept = self.make("4", "udp")
        if int(local):
            kept.bind(("0.0.0.0", int(local)))
        answer = self.connect(kept, address, port)
        self.held[name] = kept
        return answer

    def connect(self, using, address, port):
        code = using.connect_ex(self.name(using, address, port))
        if code == errno.EINPROGRESS:
            code = 0
        if code:
            raise OSError(code, "connect")
        return using.getsockname()[1]

    def do_send(self, name, address, port):
        """Sends a datagram from a held socket, or from a fresh one of a family."""
        if name in self.held:
            self.held[name].sendto(b"hello", (address, int(port)))
            return
        with self.make(name, "udp") as fresh:
            fresh.sendto(b"hello", self.name(fresh, address, port))

    def do_send_from(self, local, local_port, address, port):
        """Sends a datagram from a fresh socket that is bound to an address."""
        with self.make("4", "udp") as fresh:
            fresh.bind((local, int(local_port)))
            fresh.sendto(b"hello", (address, int(port)))

    def do_ping(self, name, address):
        self.held[name].sendto(struct.pack("!BBHHH", 8, 0, 0, 0, 1), (address, 0))

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

    def do_packet(self, path, protocol, flags, source, source_port, destination, destination_port):
        """Sends a packet over loopback (`lo`) or out of an interface, whoever has its source address.

        Ping: an echo reply whose identifier is the destination's port.
        """
        addresses = socket.inet_aton(source) + socket.inet_aton(destination)
        ports = struct.pack("!HH", int(source_port), int(destination_port))
        if protocol == "tcp":
            number = socket.IPPROTO_TCP
            body = ports + struct.pack("!IIBBHHH", 7, 7, 5 << 4, int(flags), 1024, 0, 0)
            pseudo = addresses + struct.pack("!BBH", 0, number, len(body))
            body = body[:16] + checksum(pseudo + body) + body[18:]
        elif protocol == "udp":
            number = socket.IPPROTO_UDP
            body = ports + struct.pack("!HH", 13, 0) + b"hello"
        else:
            number = socket.IPPROTO_ICMP
            body = struct.pack("!BBHHH", 0, 0, 0, int(destination_port), 1)
            body = body[:2] + checksum(body) + body[4:]
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, number, 0) + addresses
        header = header[:10] + checksum(header) + header[12:]
        if path == "lo":
            if self.sender is None:
                self.sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self.sender.sendto(header + body, (destination, 0))
        else:
            if self.sender is None:
                self.sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                self.sender.bind((path, 0))
            self.sender.send(WIRE_DESTINATION + WIRE_SOURCE + struct.pack("!H", 0x0800) + header + body)


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
        print(code, 0 if answer is None else answer, flush=True)


# The interpreter's own end is of no interest, and its sockets are reset all the faster.
main()
os._exit(0)
