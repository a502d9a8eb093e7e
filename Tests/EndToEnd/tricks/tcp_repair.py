"""TCP_REPAIR: a connection that is established without a handshake, from a source of one's own choice."""

import socket
import struct

from common import TCP_PORT, foreign, mask, new, reach, report

TCP_REPAIR, TCP_REPAIR_WINDOW = 19, 29
REPAIR_OFF_NO_PROBE = -1


def body(source):
    def repaired(address, token):
        with new(address, socket.SOCK_STREAM) as client:
            client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            if source:
                client.bind((source(address), 0))
            client.connect((address, TCP_PORT))
            client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_WINDOW, struct.pack("5I", 0, 65535, 65535, 65535, 0))
            client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, REPAIR_OFF_NO_PROBE)
            client.sendall(token)
    return repaired


reach("connect", body(None))
mask("bind", body(foreign))
report()
