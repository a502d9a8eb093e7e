"""A network in which an application's address moves between two hosts while a third one asks for it all the time."""

import json
import signal
import socket
import struct
import threading
import time

from nodes import Nodes
from world import PYTHON_PRELUDE, SLOWNESS

TOPOLOGY = """
network: acme
addressSpace: 10.10.0.0/16
subnets: {nodes: 10.10.255.0/24}
underlays: {internet: {mtu: 1400}}
environments: {shop: 10.10.2.0/24}
managers:
  london: {address: 10.10.255.1, endpoints: {internet: 192.0.2.1}}
  paris: {address: 10.10.255.2, endpoints: {internet: 192.0.2.2}}
  rome: {address: 10.10.255.3, endpoints: {internet: 192.0.2.3}}
hosts:
  web: {address: 10.10.255.11, claims: 10.10.2.128/25}
  bank: {address: 10.10.255.12, claims: 10.10.2.128/25}
  shelf: {address: 10.10.255.13, applications: 10.10.2.32/28, claims: 10.10.2.240/28}
store: [london, paris, rome]
"""
ENDPOINTS = {"london": "192.0.2.1", "paris": "192.0.2.2", "rome": "192.0.2.3", "web": "192.0.2.11",
             "bank": "192.0.2.12", "shelf": "192.0.2.13"}
MANAGERS, OWNERS, HOSTS = ("london", "paris", "rome"), ("web", "bank"), ("web", "bank", "shelf")
TILL = "10.10.2.200"

# Answers a datagram with its number and this host's name, and tells another address of itself all the time, asked or not.
ANSWER = """
import select
os.setsid()
with socket.socket(type=socket.SOCK_DGRAM) as server:
    server.bind(("0.0.0.0", 80))
    ready()
    told = 0
    while True:
        if select.select([server], [], [], float(sys.argv[3]))[0]:
            data, peer = server.recvfrom(64)
            try:
                server.sendto(data + sys.argv[1].encode(), peer)
            except OSError:
                pass
        if time.monotonic() - told > 2 * float(sys.argv[3]):
            told = time.monotonic()
            try:
                server.sendto(b"%.6f " % told + sys.argv[1].encode(), (sys.argv[2], 81))
            except OSError:
                pass
"""

# Asks an address every so often until it is told to stop, and hears who tells of himself. Prints when what was asked, and who
# answered when; then when who told of himself, by when it was sent: what was on its way may overtake.
ASK = """
import select, signal
os.setsid()
os.nice(-10)
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
asked, told = [], []
with socket.socket(type=socket.SOCK_DGRAM) as client, socket.socket(type=socket.SOCK_DGRAM) as listener:
    client.bind(("0.0.0.0", 0))
    listener.bind(("0.0.0.0", 81))
    ready()
    due = time.monotonic()
    while not stopped:
        now = time.monotonic()
        if now >= due:
            asked.append([now, None, None])
            try:
                client.sendto(b"%d " % (len(asked) - 1), (sys.argv[1], 80))
            except OSError:
                pass
            # What it could not do in time it does not make up for.
            due = max(due + float(sys.argv[2]), now)
        for heard in select.select([client, listener], [], [], max(0, due - time.monotonic()))[0]:
            data = heard.recv(64).split()
            if heard is client:
                asked[int(data[0])][1:] = [time.monotonic(), data[1].decode()]
            else:
                told.append([float(data[0]), data[1].decode()])
print(json.dumps({"asked": asked, "told": sorted(told)}))
"""


class Moves:
    """The network, with the till attached on two hosts: web has its address, and bank waits for it. A context manager."""

    def __init__(self, topology=TOPOLOGY, endpoints=None, spare=None, pace=0.001):
        self.pace = pace
        self.nodes = Nodes(topology, endpoints or ENDPOINTS, spare)

    def __enter__(self):
        self.nodes.__enter__()
        try:
            self.keepers = {node: self.nodes.keep(node) for node in self.nodes.endpoints}
            self.hosts = {node: self.nodes.hosts[node] for node in HOSTS}
            self.nodes.isolate(*[(node, "acme", self.hosts[node]) for node in HOSTS])
            self.hosts["shelf"].attach("front", "shop", "10.10.2.33")
            self.hosts["web"].attach("till", "shop", TILL)
            self.until(lambda: TILL in self.claimed("web"), "nobody has it")
            self.hosts["bank"].attach("till", "shop", TILL)
            self.until(lambda: self.refused("bank").get(TILL) == "web has it", "it is not refused")
            for node in OWNERS:
                self.hosts[node].serve("till", ANSWER, node, "10.10.2.33", self.pace)
            for node in OWNERS:
                self.until(lambda: self.nodes.leads_to(node, "10.10.2.33"), "nothing leads to who asks")
            self.until(lambda: self.nodes.leads_to("shelf", TILL), "nothing leads to it")
        except BaseException:
            self.nodes.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.nodes.__exit__()

    def until(self, condition, message, seconds=30):
        return self.nodes.wait_until(condition, seconds * SLOWNESS, message)

    def claimed(self, node):
        """What a host has, as it knows."""
        place = self.nodes.place(node, "claimed")
        return place.read_text().split() if place.exists() else []

    def refused(self, node):
        place = self.nodes.place(node, "refused")
        return dict(line.split(" ", 1) for line in place.read_text().splitlines()) if place.exists() else {}

    def owner(self):
        found = [node for node in OWNERS if TILL in self.claimed(node)]
        return found[0] if len(found) == 1 else None

    def place(self):
        """Who has the till, and who is the other one."""
        self.until(self.owner, "nobody has it", 120)
        owner = self.owner()
        other = next(node for node in OWNERS if node != owner)
        self.until(lambda: self.refused(other).get(TILL) == f"{owner} has it", "the other one does not wait", 120)
        return owner, other

    def move(self, to, source=None, **options):
        """Hands the till over, at whoever has it."""
        (source,) = {source or next(node for node in OWNERS if node != to)}
        return self.nodes.manager(source, "move", TILL, to, **options)

    def settle(self, to):
        """Until everybody knows who has it, and the other one waits for it."""
        other = next(node for node in OWNERS if node != to)
        self.until(lambda: self.owner() == to and self.refused(other).get(TILL) == f"{to} has it", "it is not given over")

    def ask(self):
        """Begins to ask for the till; what ends it says what came of it."""
        child = self.hosts["shelf"].serve("front", ASK, TILL, self.pace)

        def end():
            child.send_signal(signal.SIGTERM)
            return json.loads(child.communicate(timeout=30)[0])
        return end


def outage(asked, begun, ended):
    """Seconds of requests without an answer around a move: from the last one that the old owner answered to the first one
    that the new one did, by when they were sent. And who was which."""
    window = [(sent, who) for sent, _, who in asked if begun - 0.2 <= sent <= ended + 0.5 and who]
    if not window:
        return None
    old, new = window[0][1], window[-1][1]
    last = max(sent for sent, who in window if who == old)
    after = [sent for sent, who in window if who == new and sent > last]
    return (after[0] - last, old, new) if after and old != new else None


def stall(asked, begun, ended):
    """The longest time in which who asks did not get to it."""
    sent = [sent for sent, *_ in asked if begun - 0.05 <= sent <= ended + 0.05]
    return max((later - earlier for earlier, later in zip(sent, sent[1:])), default=0)
