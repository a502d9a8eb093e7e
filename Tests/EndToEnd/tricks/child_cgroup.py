"""A child cgroup with BPF programs of its own: they allow, clear the error, and lead a call elsewhere.

`parent` is the cgroup's directory. With `own`, the programs are put on `parent` itself instead: then they come after
the ones that are there.
"""

import ctypes
import os
import socket
import struct
import uuid

from common import WITNESSES, WORDS, call, datagram, family, libc, new, packed, reach, report, stream

BPF = 321
LOAD, ATTACH, DETACH = 5, 8, 9
SOCK, SOCK_ADDR = 9, 18
# Where a program is attached.
CREATE, CONNECT4, CONNECT6, SEND4, SEND6 = 2, 10, 11, 14, 15
ALLOW_MULTI = 2
SET_RETVAL = 187


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 128)
    return call(libc.syscall(BPF, command, buffer, 128))


def instruction(code, destination=0, source=0, offset=0, value=0):
    return struct.pack("<BBhI", code, source << 4 | destination, offset, value & 0xffffffff)


def load(kind, where, instructions):
    code = ctypes.create_string_buffer(instructions, len(instructions))
    name = ctypes.create_string_buffer(b"GPL")
    return bpf(LOAD, struct.pack("=IIQQIIQII16sII", kind, len(instructions) // 8, ctypes.addressof(code),
                                 ctypes.addressof(name), 0, 0, 0, 0, 0, b"trick", 0, where))


ALLOW = instruction(0xb7, 0, value=1) + instruction(0x95)
# bpf_set_retval(0): the error of an earlier program.
CLEAR = instruction(0xb7, 1) + instruction(0x85, value=SET_RETVAL) + ALLOW


def lead(address):
    """A call to a witness goes to this address instead."""
    words = struct.unpack(f"<{len(packed(address)) // 4}I", packed(address))
    first = 8 if len(words) == 4 else 4
    return b"".join(instruction(0xb7, 2, value=word) + instruction(0x63, 1, 2, first + 4 * number)
                    for number, word in enumerate(words)) + ALLOW


class Cgroup:
    """A child cgroup of one's own, with programs; the process is in it for as long as it lasts."""

    def __init__(self, *programs):
        self.parent = WORDS["parent"]
        self.path = self.parent if "own" in WORDS else os.path.join(self.parent, f"trick-{uuid.uuid4().hex[:8]}")
        self.programs = programs

    def __enter__(self):
        os.makedirs(self.path, exist_ok=True)
        self.directory = os.open(self.path, os.O_RDONLY)
        self.loaded = []
        for kind, where, instructions in self.programs:
            program = load(kind, where, instructions)
            self.loaded.append((program, where))
            bpf(ATTACH, struct.pack("=IIII", self.directory, program, where, ALLOW_MULTI))
        self.move(self.path)

    def __exit__(self, *_):
        for program, where in self.loaded:
            bpf(DETACH, struct.pack("=IIII", self.directory, program, where, 0))
            os.close(program)
        os.close(self.directory)
        if self.path != self.parent:
            self.move(self.parent)
            os.rmdir(self.path)

    def move(self, path):
        with open(os.path.join(path, "cgroup.procs"), "w") as procs:
            procs.write("0")


def inside(programs, body):
    def attempted(address, token):
        with Cgroup(*programs(address)):
            body(address, token)
    return attempted


def hooks(address):
    return (CONNECT4, SEND4) if family(address) == socket.AF_INET else (CONNECT6, SEND6)


def allowing(address):
    return [(SOCK, CREATE, ALLOW), *((SOCK_ADDR, where, code) for where in hooks(address) for code in (ALLOW, CLEAR))]


def leading(address):
    return [(SOCK_ADDR, where, lead(address)) for where in hooks(address)]


def witness(address):
    return next(witness for witness in WITNESSES if family(witness) == family(address))


def led_stream(address, token):
    stream(witness(address), token)


def led_datagram(address, token):
    datagram(witness(address), token)


def raw(address, token):
    with new(address, socket.SOCK_RAW, 253) as client:
        client.sendto(token, (address, 0))


reach("TCP", inside(allowing, stream))
reach("UDP", inside(allowing, datagram))
reach("raw", inside(allowing, raw))
reach("TCP led", inside(leading, led_stream))
reach("UDP led", inside(leading, led_datagram))
report()
