"""io_uring: sockets, connects, sends and accepts by the ring, also by its thread (SQPOLL). Seccomp does not see it."""

import ctypes
import errno
import mmap
import os
import socket
import struct
import time

from common import PATIENCE, TCP_PORT, UDP_PORT, WORDS, call, family, foreign, have, libc, mask, new, reach
from common import report, socket_address

SETUP, ENTER = 425, 426
SENDMSG, CONNECT, ACCEPT, SEND, SOCKET, BIND = 9, 16, 13, 26, 45, 56
SQPOLL = 1 << 1
GETEVENTS, WAKEUP = 1, 2
SUBMISSIONS, COMPLETIONS, ENTRIES = 0, 0x8000000, 0x10000000


class Ring:
    """The smallest io_uring that does one thing at a time."""

    def __init__(self, flags=0):
        parameters = bytearray(struct.pack("IIIII", 0, 0, flags, 0, 0) + bytes(100))
        buffer = (ctypes.c_char * len(parameters)).from_buffer(parameters)
        self.flags = flags
        self.descriptor = call(libc.syscall(SETUP, 8, buffer))
        words = struct.unpack_from("30I", parameters)
        entries, completions = words[0], words[1]
        # sq_off begins at byte 40, cq_off at byte 80.
        self.head, self.tail, self.mask, _, self.sq_flags, _, self.array = words[10:17]
        self.done_head, self.done_tail, self.done_mask, _, _, self.cqes = words[20:26]
        self.sq = mmap.mmap(self.descriptor, self.array + entries * 4, offset=SUBMISSIONS)
        self.cq = mmap.mmap(self.descriptor, self.cqes + completions * 16, offset=COMPLETIONS)
        self.sqes = mmap.mmap(self.descriptor, entries * 64, offset=ENTRIES)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.descriptor)

    def do(self, operation, descriptor, address=0, length=0, offset=0, flags=0):
        """One operation: its result, or its error thrown."""
        tail = struct.unpack_from("I", self.sq, self.tail)[0]
        index = tail & struct.unpack_from("I", self.sq, self.mask)[0]
        struct.pack_into("BBHiQQII32x", self.sqes, index * 64, operation, 0, 0, descriptor, offset, address, length,
                         flags)
        struct.pack_into("I", self.sq, self.array + index * 4, index)
        struct.pack_into("I", self.sq, self.tail, tail + 1)
        if self.flags & SQPOLL:
            call(libc.syscall(ENTER, self.descriptor, 0, 0, WAKEUP, None, 0))
        else:
            call(libc.syscall(ENTER, self.descriptor, 1, 0, 0, None, 0))
        deadline = time.monotonic() + PATIENCE
        head = struct.unpack_from("I", self.cq, self.done_head)[0]
        while struct.unpack_from("I", self.cq, self.done_tail)[0] == head:
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.001)
        entry = self.cqes + (head & struct.unpack_from("I", self.cq, self.done_mask)[0]) * 16
        result = struct.unpack_from("i", self.cq, entry + 8)[0]
        struct.pack_into("I", self.cq, self.done_head, head + 1)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result


def pointer(buffer):
    return ctypes.addressof(buffer)


def message(to, payload):
    """A struct msghdr, and what it points to."""
    name, data = ctypes.create_string_buffer(to, len(to)), ctypes.create_string_buffer(payload, len(payload))
    vector = ctypes.create_string_buffer(struct.pack("PN", pointer(data), len(payload)))
    head = ctypes.create_string_buffer(struct.pack("PI4xPNPNi4x", pointer(name), len(to), pointer(vector), 1, 0, 0, 0))
    return head, (name, data, vector)


def open_socket(ring, address, kind):
    """By the ring where the kernel can (5.19)."""
    try:
        return socket.socket(fileno=ring.do(SOCKET, family(address), offset=kind, length=0))
    except OSError as problem:
        if problem.errno != errno.EINVAL:
            raise
        return new(address, kind)


def connect(flags):
    def body(address, token):
        with Ring(flags) as ring, open_socket(ring, address, socket.SOCK_STREAM) as client:
            to = socket_address(address, TCP_PORT)
            kept = ctypes.create_string_buffer(to, len(to))
            ring.do(CONNECT, client.fileno(), pointer(kept), offset=len(to))
            data = ctypes.create_string_buffer(token, len(token))
            ring.do(SEND, client.fileno(), pointer(data), len(token))
    return body


def send(flags):
    def body(address, token):
        with Ring(flags) as ring, open_socket(ring, address, socket.SOCK_DGRAM) as client:
            head, kept = message(socket_address(address, UDP_PORT), token)
            ring.do(SENDMSG, client.fileno(), pointer(head), 1)
    return body


def bound(address, token):
    """A foreign source, by the ring's bind where the kernel has it (6.11)."""
    with Ring() as ring, new(address) as client:
        source = socket_address(foreign(address), 0)
        kept = ctypes.create_string_buffer(source, len(source))
        try:
            ring.do(BIND, client.fileno(), pointer(kept), offset=len(source))
        except OSError as problem:
            if problem.errno != errno.EINVAL:
                raise
            client.bind((foreign(address), 0))
        head, kept = message(socket_address(address, UDP_PORT), token)
        ring.do(SENDMSG, client.fileno(), pointer(head), 1)


def accept():
    """A connection from one who may not connect: `ready` says that it may try."""
    with Ring() as ring, new("0.0.0.0", socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", 8080))
        listener.listen()
        print("ready", flush=True)
        os.close(ring.do(ACCEPT, listener.fileno()))


if "accept" in WORDS:
    have("a connection", accept)
else:
    for name, flags in (("", 0), ("SQPOLL ", SQPOLL)):
        reach(f"{name}connect", connect(flags))
        reach(f"{name}sendmsg", send(flags))
    mask("bind", bound)
report()
