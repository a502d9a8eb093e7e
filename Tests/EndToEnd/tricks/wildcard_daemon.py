"""A daemon of the host on a wildcard is on every address of the host: `addresses` are the own one and another's of the
own environment, `port` the daemon's. What gets through has no answer."""

import socket

from common import WORDS, attempt, new, report

ADDRESSES, PORT = WORDS["addresses"].split(","), int(WORDS["port"])


def stream(address):
    def body(token):
        with new(address, socket.SOCK_STREAM) as client:
            client.connect((address, PORT))
            client.sendall(token)
    return body


def datagram(address):
    def body(token):
        with new(address) as client:
            client.sendto(token, (address, PORT))
    return body


for address in ADDRESSES:
    attempt(f"reach TCP {address}", stream(address))
    attempt(f"reach UDP {address}", datagram(address))
report()
