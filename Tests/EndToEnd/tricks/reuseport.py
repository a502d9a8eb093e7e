"""SO_REUSEPORT: a share of what is meant for another application's address and port.

Binds what the words `steal` name, and the wildcard; says which it could have, then what came to them by the time that
its standard input ends.
"""

import json
import select
import socket
import sys

from common import WORDS, family, have, new, report

STEAL = WORDS["steal"].split(",")
PORT = int(WORDS["port"])
stolen = {}


def bind(address, bound, kind):
    def body():
        server = new(address, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family(address) == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind((bound, PORT))
        if kind == socket.SOCK_STREAM:
            server.listen()
        server.setblocking(False)
        stolen[server] = 0
    return body


for address in STEAL:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        have(f"{kind.name} {address}", bind(address, address, kind))
        have(f"{kind.name} beside {address}", bind(address, "::" if ":" in address else "0.0.0.0", kind))
report()
while sys.stdin not in (ready := select.select([*stolen, sys.stdin], [], [])[0]):
    for server in ready:
        if server.type == socket.SOCK_STREAM:
            server.accept()[0].close()
        else:
            server.recv(1000)
        stolen[server] += 1
print(json.dumps(sum(stolen.values())), flush=True)
