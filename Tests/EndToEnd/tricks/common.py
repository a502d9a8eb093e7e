"""What the tricks share: whom to reach, and how an attempt is named, made and told.

A trick is told in words the `number` of its run, and addresses: `victims`, to whom nothing may get; `witnesses`, who
may be reached and see from where; `foreign`, sources that are not the program's own, one a family. An attempt's name is
in all that it sends, so what gets through names itself: `reach …` goes to a victim, `mask …` to a witness with a source
of others, and `have …` sends nothing and is what the program has got.
"""

import ctypes
import errno
import json
import os
import socket
import struct
import sys

WORDS = dict(word.split("=", 1) for word in sys.argv[1:])
VICTIMS = WORDS.get("victims", "").split(",")
WITNESSES = WORDS.get("witnesses", "").split(",")
FOREIGN = {family: address for address in WORDS.get("foreign", "").split(",")
           for family in [socket.AF_INET6 if ":" in address else socket.AF_INET]}
# How long a call may take, in seconds.
PATIENCE = float(WORDS.get("patience", "1"))
TCP_PORT, UDP_PORT = 80, 53

libc = ctypes.CDLL(None, use_errno=True)
_said = {}


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def foreign(address):
    """The foreign source of an address's family."""
    return FOREIGN[family(address)]


def packed(address):
    return socket.inet_pton(family(address), address)


def socket_address(address, port):
    """A sockaddr as the kernel takes it."""
    if family(address) == socket.AF_INET6:
        return struct.pack("=HH4s16sI", socket.AF_INET6, socket.htons(port), bytes(4), packed(address), 0)
    return struct.pack("=HH4s8s", socket.AF_INET, socket.htons(port), packed(address), bytes(8))


def new(address, kind=socket.SOCK_DGRAM, protocol=0):
    """A socket of the address's family that waits no longer than it may."""
    made = socket.socket(family(address), kind, protocol)
    made.settimeout(PATIENCE)
    return made


def attempt(name, body):
    """Makes an attempt; `body` is given what has to be sent. What came of it is "done" or an error's name."""
    try:
        body(f"trick:{WORDS['number']} {name};".encode())
        _said[name] = "done"
    except TimeoutError:
        _said[name] = "timeout"
    except OSError as problem:
        _said[name] = errno.errorcode.get(problem.errno, str(problem))


def reach(how, body, addresses=None):
    """An attempt on each victim; `body` is given its address and what has to be sent."""
    for address in addresses or VICTIMS:
        attempt(f"reach {how} {address}", lambda token: body(address, token))


def mask(how, body):
    """An attempt on each witness; `body` is given its address and what has to be sent."""
    for address in WITNESSES:
        attempt(f"mask {how} {address}", lambda token: body(address, token))


def have(what, body):
    """An attempt to have something; nothing is sent."""
    attempt(f"have {what}", lambda token: body())


def stream(address, token, client=None):
    """Connects and sends."""
    with client or new(address, socket.SOCK_STREAM) as client:
        client.connect((address, TCP_PORT))
        client.sendall(token)


def datagram(address, token, client=None):
    with client or new(address) as client:
        client.sendto(token, (address, UDP_PORT))


def call(result):
    """What a C function returned; an error is thrown."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data if len(data) % 2 == 0 else data[:-1]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def udp_packet(source, destination, payload, source_port=4000, port=UDP_PORT):
    """A whole IP packet."""
    udp = struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload
    if family(destination) == socket.AF_INET6:
        pseudo = packed(source) + packed(destination) + struct.pack("!II", len(udp), socket.IPPROTO_UDP)
        udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp) or 0xffff) + udp[8:]
        head = struct.pack("!IHBB", 6 << 28, len(udp), socket.IPPROTO_UDP, 64)
        return head + packed(source) + packed(destination) + udp
    return ip4_header(source, destination, len(udp)) + udp


def ip4_header(source, destination, length, protocol=socket.IPPROTO_UDP, fragment=0, identity=1):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, identity, fragment, 64, protocol, 0, packed(source),
                       packed(destination))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:]


def report():
    """Says what came of the attempts; the last thing that a trick does."""
    print(json.dumps(_said), flush=True)
