"""AF_VSOCK: sockets between virtual machines and their host."""

import socket

from common import TCP_PORT, have, report


def make():
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()


def listen():
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as listener:
        listener.bind((socket.VMADDR_CID_ANY, TCP_PORT))
        listener.listen()


have("a socket", make)
have("a listener", listen)
report()
