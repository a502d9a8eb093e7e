"""Sockets that never bind: the kernel gives them a port on every address, and no hook is asked."""

import socket

from common import TCP_PORT, UDP_PORT, WITNESSES, family, mask, new, reach, report, stream


def witness(address):
    return next(witness for witness in WITNESSES if family(witness) == family(address))


def connect(address, token):
    with new(address) as client:
        client.connect((address, UDP_PORT))
        client.send(token)


def sent_before(address, token):
    """Sent to the same one first, so that the port is there when it connects."""
    with new(address) as client:
        try:
            client.sendto(b"", (address, UDP_PORT))
        except OSError:
            pass
        client.connect((address, UDP_PORT))
        client.send(token)


def sent_elsewhere(address, token):
    """Sent to a witness first, so that there is a port and no address."""
    with new(address) as client:
        client.sendto(b"", (witness(address), UDP_PORT))
        client.connect((address, UDP_PORT))
        client.send(token)


def listened(address, token):
    """A listener got its port on every address, and then connects."""
    with new(address, socket.SOCK_STREAM) as listener:
        listener.listen()
        listener.shutdown(socket.SHUT_RDWR)
        listener.connect((address, TCP_PORT))
        listener.sendall(token)


reach("TCP", stream)
reach("UDP", connect)
reach("sendto, then connect", sent_before)
reach("sendto elsewhere, then connect", sent_elsewhere)
reach("listen, then connect", listened)
mask("sendto, then connect", sent_elsewhere)
mask("listen, then connect", listened)
report()
