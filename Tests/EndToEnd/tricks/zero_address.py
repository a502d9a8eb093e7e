"""0.0.0.0 and :: as a destination mean loopback: `port` is a daemon's of the host there."""

import socket

from common import WORDS, have, new, report

PORT = int(WORDS["port"])


def stream(address):
    def body():
        with new(address, socket.SOCK_STREAM) as client:
            client.connect((address, PORT))
    return body


def datagram(address, connects):
    def body():
        with new(address) as client:
            if connects:
                client.connect((address, PORT))
                client.send(b"x")
            else:
                client.sendto(b"x", (address, PORT))
            client.recv(100)
    return body


for address in ("0.0.0.0", "::", "::ffff:0.0.0.0", "127.0.0.1", "::1"):
    have(f"TCP {address}", stream(address))
    have(f"UDP {address}", datagram(address, False))
    have(f"connected UDP {address}", datagram(address, True))
report()
