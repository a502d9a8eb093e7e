"""Network namespaces: another machine's, entered; one of one's own, also by a user namespace."""

import os
import socket

from common import WORDS, call, datagram, have, libc, reach, report

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


def apart(body):
    """In a child, as a namespace is left by none."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            body()
            number = 0
        except OSError as problem:
            number = problem.errno
        os.write(writer, number.to_bytes(4, "little"))
        os._exit(0)
    os.waitpid(child, 0)
    number = int.from_bytes(os.read(reader, 4), "little")
    if number:
        raise OSError(number, os.strerror(number))


def entered(address, token):
    def body():
        with open(WORDS["namespace"]) as namespace:
            call(libc.setns(namespace.fileno(), CLONE_NEWNET))
        datagram(address, token)
    apart(body)


def unshared(flags):
    def body():
        call(libc.unshare(flags))
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    return lambda: apart(body)


if "namespace" in WORDS:
    reach("setns", entered, [WORDS["there"]])
    have("a socket after unshare", unshared(CLONE_NEWNET))
have("a socket in a user namespace", unshared(CLONE_NEWUSER | CLONE_NEWNET))
report()
