"""MPTCP: to a victim itself, and to a witness so that subflows follow to and from wherever the peers' kernels say."""

import socket
import time

from common import PATIENCE, WITNESSES, attempt, new, reach, report, stream

MPTCP = 262


def direct(address, token):
    stream(address, token, new(address, socket.SOCK_STREAM, MPTCP))


def bystander(address):
    """Holds a connection open for as long as subflows need to be made."""
    def body(token):
        with new(address, socket.SOCK_STREAM, MPTCP) as client:
            client.connect((address, 80))
            client.sendall(token)
            time.sleep(PATIENCE)
            client.sendall(token)
    return body


reach("connect", direct)
# The first witness's kernel announces a victim's address, and this host's asks for subflows from a foreign one.
attempt(f"mask subflows {WITNESSES[0]}", bystander(WITNESSES[0]))
report()
