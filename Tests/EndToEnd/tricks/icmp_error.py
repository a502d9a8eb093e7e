"""ICMP errors that somebody forges: `own` and `port` are the socket's that is to believe that a witness is gone."""

import socket
import struct

from common import UDP_PORT, WITNESSES, WORDS, attempt, checksum, foreign, ip4_header, new, report


def body(token):
    witness = WITNESSES[0]
    datagram = struct.pack("!HHHH", int(WORDS["port"]), UDP_PORT, 8 + len(token), 0)
    error = struct.pack("!BBHI", 3, 3, 0, 0) + ip4_header(WORDS["own"], witness, len(datagram)) + datagram + token
    error = error[:2] + struct.pack("!H", checksum(error)) + error[4:]
    with new(witness, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        header = ip4_header(foreign(witness), WORDS["own"], len(error), socket.IPPROTO_ICMP)
        raw.sendto(header + error, (WORDS["own"], 0))


attempt("have an error believed", body)
report()
