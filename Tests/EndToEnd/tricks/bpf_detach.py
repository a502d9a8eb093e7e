"""bpf(2) with the rights of root: takes the programs off the own cgroup, `cgroup`, and goes on without them."""

import ctypes
import os
import struct

from common import WORDS, call, datagram, have, libc, reach, report, stream

BPF = 321
DETACH, BY_ID, QUERY = 9, 13, 16
# Every place of a cgroup that a program can be at.
PLACES = range(0, 60)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = call(libc.syscall(BPF, command, buffer, 128))
    return result, buffer.raw


def programs(directory, where):
    numbers = (ctypes.c_uint32 * 64)()
    try:
        _, answer = bpf(QUERY, struct.pack("=IIIIQII", directory, where, 0, 0, ctypes.addressof(numbers), 64, 0))
    except OSError:
        return []
    return list(numbers)[:struct.unpack_from("I", answer, 24)[0]]


def detach():
    directory = os.open(WORDS["cgroup"], os.O_RDONLY)
    found = [(where, number) for where in PLACES for number in programs(directory, where)]
    if not found:
        raise OSError(1, "nothing to be seen")
    for where, number in found:
        program, _ = bpf(BY_ID, struct.pack("=III", number, 0, 0))
        bpf(DETACH, struct.pack("=IIII", directory, program, where, 0))


have("no programs", detach)
reach("TCP", stream)
reach("UDP", datagram)
report()
