"""The few calls of bpf(2) that the bench makes itself: links that live for one slice, and map values put back."""

import ctypes
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_BPF = 321 if os.uname().machine == "x86_64" else 280

MAP_LOOKUP, MAP_UPDATE, OBJ_GET, PROG_ATTACH, PROG_DETACH, PROG_TEST_RUN, OBJ_GET_INFO_BY_FD, LINK_CREATE = (
    1, 2, 7, 8, 9, 10, 15, 28)
ALLOW_MULTI = 2

# enum bpf_attach_type of each hook, by the name of its program.
ATTACH_TYPES = {"vne_ingress": 0, "vne_egress": 1, "vne_create": 2, "vne_bind4": 8, "vne_bind6": 9, "vne_connect4": 10,
                "vne_connect6": 11, "vne_send4": 14, "vne_send6": 15, "vne_name4": 31, "vne_name6": 32,
                "vne_peer4": 29, "vne_peer6": 30, "vne_receive4": 19, "vne_receive6": 20, "vne_device": 6, "vne_option": 22}
TCX_INGRESS = 46


def _bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = _libc.syscall(_BPF, command, buffer, len(attributes))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"bpf command {command}: {os.strerror(number)}")
    return result


def open_pin(path):
    """A descriptor of what is pinned there."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    return _bpf(OBJ_GET, struct.pack("<QII", ctypes.addressof(name), 0, 0))


def create_link(program, target, attach_type):
    """Attaches a program to a cgroup, or to an interface by its index; it is detached when the descriptor is closed."""
    return _bpf(LINK_CREATE, struct.pack("<IIII32x", program, target, attach_type, 0))


def attach(program, cgroup, attach_type):
    """Attaches a program without a link: the cgroup holds it."""
    _bpf(PROG_ATTACH, struct.pack("<IIIII", cgroup, program, attach_type, ALLOW_MULTI, 0))


def detach(program, cgroup, attach_type):
    """Takes off what attach() put there."""
    _bpf(PROG_DETACH, struct.pack("<III8x", cgroup, program, attach_type))


def test_run(program, packet, repeat):
    """What a program answers to a packet, and the nanoseconds that one of so many runs took."""
    data = ctypes.create_string_buffer(packet, len(packet))
    attributes = ctypes.create_string_buffer(
        struct.pack("<IIIIQQII40x", program, 0, len(packet), 0, ctypes.addressof(data), 0, repeat, 0), 80)
    if _libc.syscall(_BPF, PROG_TEST_RUN, attributes, len(attributes)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"bpf test run: {os.strerror(number)}")
    return struct.unpack_from("<I", attributes, 4)[0], struct.unpack_from("<I", attributes, 36)[0]


def value_size(map_descriptor):
    """Bytes of a map's values: the fourth word of struct bpf_map_info."""
    information = ctypes.create_string_buffer(80)
    _bpf(OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", map_descriptor, len(information), ctypes.addressof(information)))
    return struct.unpack_from("<I", information, 12)[0]


def lookup(map_descriptor, key):
    """One value of a map."""
    size = value_size(map_descriptor)
    key_buffer, value = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(size)
    _bpf(MAP_LOOKUP, struct.pack("<I4xQQQ", map_descriptor, ctypes.addressof(key_buffer), ctypes.addressof(value), 0))
    return value.raw


def update(map_descriptor, key, value):
    """Writes one value of a map."""
    key_buffer, value_buffer = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value, len(value))
    _bpf(MAP_UPDATE,
         struct.pack("<I4xQQQ", map_descriptor, ctypes.addressof(key_buffer), ctypes.addressof(value_buffer), 0))
