"""UDP_ENCAP: a socket of IPsec's, whose packets the kernel looks at before any hook. `own` is where it listens; says
from whom packets have come by the time that a line comes in."""

import socket
import sys

from common import PATIENCE, WORDS, have, new, report

SOL_UDP, UDP_ENCAP, ESPINUDP = 17, 100, 2


def receive():
    while True:
        print(server.recvfrom(100)[1][0], flush=True)


server = new(WORDS["own"])
server.bind((WORDS["own"], 4500))
have("encapsulation", lambda: server.setsockopt(SOL_UDP, UDP_ENCAP, ESPINUDP))
report()
sys.stdin.readline()
server.settimeout(PATIENCE)
have("another packet", receive)
