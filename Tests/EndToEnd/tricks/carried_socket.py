"""Sockets that are made before their process joins the cgroup `cgroup`: connected ones, and one that sends anywhere."""

import socket

from common import TCP_PORT, UDP_PORT, VICTIMS, WORDS, attempt, new, report

made = []
for address in VICTIMS:
    tcp, udp, free = new(address, socket.SOCK_STREAM), new(address), new(address)
    tcp.connect((address, TCP_PORT))
    udp.connect((address, UDP_PORT))
    made.append((address, tcp, udp, free))
with open(f"{WORDS['cgroup']}/cgroup.procs", "w") as procs:
    procs.write("0")
for address, tcp, udp, free in made:
    attempt(f"reach TCP {address}", tcp.sendall)
    attempt(f"reach connected UDP {address}", udp.send)
    attempt(f"reach UDP {address}", lambda token: free.sendto(token, (address, UDP_PORT)))
report()
