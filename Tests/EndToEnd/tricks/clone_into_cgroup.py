"""clone3 with CLONE_INTO_CGROUP: a child that starts in `to`; a descriptor of its directory is all that it takes."""

import ctypes
import os
import signal
import struct

from common import WORDS, call, datagram, libc, reach, report, stream

CLONE3, INTO_CGROUP = 435, 0x200000000


def elsewhere(body):
    """Runs in the child, and tells its error."""
    def attempted(address, token):
        directory = os.open(WORDS["to"], os.O_RDONLY | os.O_DIRECTORY)
        arguments = struct.pack("=11Q", INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, directory)
        buffer = ctypes.create_string_buffer(arguments, len(arguments))
        reader, writer = os.pipe()
        child = call(libc.syscall(CLONE3, buffer, ctypes.c_size_t(len(arguments))))
        if not child:
            number = 0
            try:
                body(address, token)
            except OSError as problem:
                number = problem.errno or 110
            os.write(writer, number.to_bytes(4, "little"))
            os._exit(0)
        os.close(directory)
        os.waitpid(child, 0)
        number = int.from_bytes(os.read(reader, 4), "little")
        os.close(reader)
        os.close(writer)
        if number:
            raise OSError(number, os.strerror(number))
    return attempted


reach("TCP", elsewhere(stream))
reach("UDP", elsewhere(datagram))
report()
