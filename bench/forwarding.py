"""What the kernel of a network's namespace forwards, asked by rtnetlink(7) for as little as the question needs.

`ip route` prints a table of 10,000 routes in tens of milliseconds, and a table of fifteen nodes has to be looked at
again and again while they have better things to do. The kernel itself sorts out the routes of a device.
"""

import contextlib
import os
import socket
import struct

from world import setns

ROUTE_REQUEST, ROUTE, ERROR, DONE = 26, 24, 2, 3
REQUEST_DUMP = 0x301
SOL_NETLINK, STRICT_CHECKS = 270, 12
MAIN, BIRD, APPLICATION = 254, 12, 188
DESTINATION, DEVICE, MULTIPATH = 1, 4, 9
HEADER, MESSAGE = struct.Struct("=IHHII"), struct.Struct("=8BI")
ATTRIBUTE = struct.Struct("=HH")
NEXT_HOP = struct.Struct("=HBBi")


def attributes(data, begin, end):
    """The attributes of a message: their kinds, and where they begin and end."""
    while begin + ATTRIBUTE.size <= end:
        length, kind = ATTRIBUTE.unpack_from(data, begin)
        yield kind, begin + ATTRIBUTE.size, begin + length
        begin += (length + 3) & ~3


class Table:
    """The routes of a namespace: those that BIRD gave the kernel, if no other protocol is named."""

    def __init__(self, namespace):
        self.namespace = namespace

    @contextlib.contextmanager
    def inside(self):
        with open("/proc/self/ns/net") as own:
            setns(f"/run/netns/{self.namespace}")
            try:
                yield
            finally:
                setns(f"/proc/self/fd/{own.fileno()}")

    def device(self, name):
        """The number of a device; nobody's if there is none this moment: its process may have begun again, and then it is
        another one."""
        with self.inside():
            try:
                return socket.if_nametoindex(name)
            except OSError:
                return (1 << 31) - 1

    @contextlib.contextmanager
    def asked(self, device, protocol=BIRD):
        """A socket that the kernel is answering on. What is not read of it is not asked any more."""
        number = device and self.device(device)
        with self.inside():
            asking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        with asking:
            asking.setsockopt(SOL_NETLINK, STRICT_CHECKS, 1)
            message = MESSAGE.pack(socket.AF_INET, 0, 0, 0, MAIN, protocol, 0, 0, 0)
            if device:
                message += ATTRIBUTE.pack(8, DEVICE) + struct.pack("=I", number)
            asking.send(HEADER.pack(HEADER.size + len(message), ROUTE_REQUEST, REQUEST_DUMP, 1, 0) + message)
            yield asking

    def messages(self, asking):
        """What the kernel answers: a buffer, and where a route in it begins and ends."""
        while True:
            data = asking.recv(1 << 16)
            place = 0
            while place < len(data):
                length, kind = HEADER.unpack_from(data, place)[:2]
                if kind == DONE:
                    return
                if kind == ERROR:
                    number, = struct.unpack_from("=i", data, place + HEADER.size)
                    raise OSError(-number, os.strerror(-number))
                yield data, place + HEADER.size, place + length
                place += (length + 3) & ~3

    def is_used(self, device):
        """Whether any route leads through a device."""
        with self.asked(device) as asking:
            return next(self.messages(asking), None) is not None

    def count(self, device=None, protocol=BIRD):
        """How many routes there are, or lead through a device among others."""
        with self.asked(device, protocol) as asking:
            return sum(1 for _ in self.messages(asking))

    def routes(self):
        """The numbers of the devices that a packet may leave by, by the prefix of where it goes to."""
        with self.asked(None) as asking:
            return dict(self.route(*message) for message in self.messages(asking))

    @staticmethod
    def route(data, begin, end):
        # Its second byte is the prefix's length.
        address, length, devices = None, data[begin + 1], []
        for kind, start, stop in attributes(data, begin + MESSAGE.size, end):
            if kind == DESTINATION:
                address = socket.inet_ntoa(data[start:stop])
            elif kind == DEVICE:
                devices.append(struct.unpack_from("=i", data, start)[0])
            elif kind == MULTIPATH:
                while start < stop:
                    size, _, _, number = NEXT_HOP.unpack_from(data, start)
                    devices.append(number)
                    start += (size + 3) & ~3
        return f"{address}/{length}", devices
