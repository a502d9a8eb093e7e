"""A scan: closed ports answer with a reset, and one that listens and denies does not answer at all."""

import socket

from common import VICTIMS, WORDS, have, new, report


def ask(port):
    def body():
        with new(VICTIMS[0], socket.SOCK_STREAM) as client:
            client.connect((VICTIMS[0], int(port)))
    return body


have("an answer of the open port", ask(WORDS["open"]))
have("an answer of the closed port", ask(WORDS["closed"]))
report()
