"""An abstract Unix socket of a process outside, `name`."""

import socket

from common import WORDS, have, report


def connect():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{WORDS['name']}")


def send():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", f"\0{WORDS['name']}.datagrams")


have("a connection", connect)
have("a datagram", send)
report()
