"""UDP_ENCAP: a socket of IPsec's, whose packets the kernel looks at before any hook. Says what has come to `own`."""

import socket
import sys

from common import PATIENCE, WORDS, new

SOL_UDP, UDP_ENCAP, ESPINUDP = 17, 100, 2

server = new(WORDS["own"])
server.bind((WORDS["own"], 4500))
server.setsockopt(SOL_UDP, UDP_ENCAP, ESPINUDP)
print("ready", flush=True)
sys.stdin.readline()
seen = []
server.settimeout(PATIENCE)
try:
    while True:
        seen.append(server.recvfrom(100)[1][0])
except TimeoutError:
    pass
print(*seen, flush=True)
