"""sendmmsg: many messages in one call, the first to one who may be reached."""

import ctypes
import errno
import os
import struct

from common import UDP_PORT, WITNESSES, call, family, libc, new, reach, report, socket_address


def message(to, payload, kept):
    """A struct mmsghdr."""
    name, data = ctypes.create_string_buffer(to, len(to)), ctypes.create_string_buffer(payload, len(payload))
    vector = ctypes.create_string_buffer(struct.pack("PN", ctypes.addressof(data), len(payload)))
    kept += [name, data, vector]
    return struct.pack("PI4xPNPNiI8x", ctypes.addressof(name), len(to), ctypes.addressof(vector), 1, 0, 0, 0, 0)


def witness(address):
    return next(witness for witness in WITNESSES if family(witness) == family(address))


def many(address, token):
    kept = []
    with new(address) as client:
        messages = message(socket_address(witness(address), UDP_PORT), b"", kept)
        messages += message(socket_address(address, UDP_PORT), token, kept)
        buffer = ctypes.create_string_buffer(messages, len(messages))
        if call(libc.sendmmsg(client.fileno(), buffer, 2, 0)) != 2:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def connected(address, token):
    """The same on a socket that is connected to the one who may be reached."""
    kept = []
    with new(address) as client:
        client.connect((witness(address), UDP_PORT))
        messages = message(socket_address(address, UDP_PORT), token, kept)
        buffer = ctypes.create_string_buffer(messages, len(messages))
        call(libc.sendmmsg(client.fileno(), buffer, 1, 0))


reach("second", many)
reach("connected elsewhere", connected)
report()
