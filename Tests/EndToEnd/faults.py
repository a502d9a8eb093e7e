"""Faults of a network while applications talk across it: what `make bench-overlay` measures and test_faults.py holds.

Three managers, two hosts, an application of one environment on each, which talk all the time, and one of another
environment on each, which must hear nothing. Each fault is made where the long connection goes just then, and undone.
"""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import datetime

from nodes import Nodes
from world import PROJECT, PYTHON_PRELUDE, SLOWNESS, run

TOPOLOGY = """
network: acme
addressSpace: 10.10.0.0/16
subnets: {nodes: 10.10.255.0/24}
underlays: {internet: {mtu: 1400}}
environments: {shop: 10.10.2.0/24, payments: 10.10.3.0/24}
store: [london, paris, rome]
managers:
  london: {address: 10.10.255.1, endpoints: {internet: 192.0.2.1}}
  paris: {address: 10.10.255.2, endpoints: {internet: 192.0.2.2}}
  rome: {address: 10.10.255.3, endpoints: {internet: 192.0.2.3}}
hosts:
  web: {address: 10.10.255.11, applications: [10.10.2.0/28, 10.10.3.0/28]}
  bank: {address: 10.10.255.12, applications: [10.10.2.16/28, 10.10.3.16/28]}
"""
MANAGERS = ("london", "paris", "rome")
HOSTS = ("web", "bank")
ENDPOINTS = {"london": "192.0.2.1", "paris": "192.0.2.2", "rome": "192.0.2.3",
             "web": "192.0.2.11", "bank": "192.0.2.12"}
ADDRESSES = {"london": "10.10.255.1", "paris": "10.10.255.2", "rome": "10.10.255.3"}
FRONT, TILL = "10.10.2.1", "10.10.2.17"
# What each host has a way to of the other one's applications.
OTHERS = {"web": "10.10.2.16/28", "bank": "10.10.2.0/28"}
STRANGERS = {"web": "10.10.3.1", "bank": "10.10.3.17"}
# Nobody's, of the host's own part of the environment.
STRAY = "10.10.2.2"
# Why a packet is delivered; every other reason denies.
LET_IN = {name.lower().replace("_", "-") for name, number in re.findall(
    r"VNE_REASON_(\w+) = (\d+),", (PROJECT / "bpf" / "include" / "vne_abi.h").read_text()) if int(number) < 10}
# How long a fault lasts: longer than BGP takes to give a silent neighbour up, three seconds.
HOLD = 4
# What asks, all at once.
LOOPS = ("stream", "requests", "datagrams", "large")
# From here on a sleep of five milliseconds says more of this machine than of the network.
STALL = 0.05

# How both ends of a connection find out how fast they may send: as Linux does where nobody says otherwise. BBR takes the pause
# in which segments were lost for the way's speed, and goes on by that: up to a second without an answer, on a way that is sound.
CONGESTION = """
def settle(stream):
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
"""

# Answers whoever asks, by TCP and by UDP.
ECHO = CONGESTION + """
import threading
def serve(client):
    with client:
        try:
            while data := client.recv(65536):
                client.sendall(data)
        except OSError:
            pass
def datagrams():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("0.0.0.0", 80))
        while True:
            server.sendto(*server.recvfrom(2048))
threading.Thread(target=datagrams, daemon=True).start()
with socket.create_server(("0.0.0.0", 80), backlog=128) as listener:
    settle(listener)
    ready()
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

# Asks in several ways at once. A request is a new connection, given up after `patience`: TCP itself sends a lost first
# segment again after a second, which would say more of TCP than of the network. The stream is one connection for good,
# every twentieth exchange of full segments. Datagrams are several flows, so that each way has some, and as many large
# ones that are sent less often; what they miss is what the network loses. TCP waits longer, or finds another way by
# chance: Linux may choose anew among equal ways when a segment has to be sent again. Each line that is read ends a
# window, which is told of, and begins another; what was without an answer when it ended is so in both.
ASK = CONGESTION + """
import itertools, select, threading
address, patience, strangers = sys.argv[1], float(sys.argv[2]), sys.argv[3].split(",")
class Answers:
    def __init__(self):
        self.last, self.gap = time.monotonic(), 0
    def came(self):
        now = time.monotonic()
        self.gap, self.last = max(self.gap, now - self.last), now
    def longest(self):
        return max(self.gap, time.monotonic() - self.last)
loops = {"stream": [Answers()], "requests": [Answers()], "datagrams": [Answers() for _ in range(6)],
         "large": [Answers() for _ in range(6)]}
broken, stalled = 0, 0
def talk(client, size):
    client.sendall(b"x" * size)
    while size:
        part = client.recv(65536)
        if not part:
            raise ConnectionError()
        size -= len(part)
def connect(timeout):
    client = socket.create_connection((address, 80), timeout)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    settle(client)
    return client
def stream():
    global broken
    client = connect(None)
    for number in itertools.count():
        try:
            client = client or connect(patience)
            client.settimeout(None)
            talk(client, 100 if number % 20 else 20000)
            loops["stream"][0].came()
        except OSError:
            broken += client is not None
            client = None
        time.sleep(0.002)
def requests():
    while True:
        try:
            with connect(patience) as client:
                talk(client, 100)
            loops["requests"][0].came()
        except OSError:
            pass
        time.sleep(0.005)
def datagrams():
    flows = {}
    for flow in loops["datagrams"] + loops["large"]:
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.connect((address, 80))
        flows[client] = flow
    for number in itertools.count():
        for client, flow in flows.items():
            if flow in loops["datagrams"]:
                attempt(lambda: client.send(b"x"))
            elif number % 5 == 0:
                attempt(lambda: client.send(bytes(1250)))
        end = time.monotonic() + 0.02
        while (left := end - time.monotonic()) > 0:
            for client in select.select(list(flows), [], [], left)[0]:
                if isinstance(attempt(lambda: client.recv(2048)), bytes):
                    flows[client].came()
def trespass():
    while True:
        for stranger in strangers:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as client:
                    client.setblocking(False)
                    attempt(lambda: client.connect((stranger, 80)) or client.send(b"x"))
        time.sleep(0.05)
def watch():
    global stalled
    while True:
        begun = time.monotonic()
        time.sleep(0.005)
        stalled = max(stalled, time.monotonic() - begun - 0.005)
for loop in (stream, requests, datagrams, trespass, watch):
    threading.Thread(target=loop, daemon=True).start()
ready()
for line in sys.stdin:
    found = {name: max(answers.longest() for answers in those) for name, those in loops.items()}
    print(json.dumps({**found, "broken": broken, "stalled": stalled}), flush=True)
    broken = stalled = 0
    for answers in sum(loops.values(), []):
        answers.gap = 0
"""

# Counts whatever is delivered to an application, and says so whenever it is asked.
WATCH = """
import select
stream, datagrams = socket.create_server(("0.0.0.0", 80)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("0.0.0.0", 80))
ready()
count = 0
while True:
    for one in select.select([sys.stdin, stream, datagrams], [], [])[0]:
        if one is sys.stdin:
            sys.stdin.readline()
            print(count, flush=True)
        elif one is stream:
            count += 1
            stream.accept()[0].close()
        else:
            datagrams.recv(2048)
            count += 1
"""

# Asks a stranger from the network's own namespace, past this host's isolator, as somebody of another environment.
TRESPASS = """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.bind((sys.argv[1], 0))
    ready()
    while True:
        attempt(lambda: client.sendto(b"x", (sys.argv[2], 80)))
        time.sleep(0.05)
"""

SEND = """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    answer(client.sendto(b"x", (sys.argv[1], 80)))
"""


class Network:
    """The network with its applications, which talk from here on. Use as a context manager."""

    def __init__(self):
        self.nodes = Nodes(TOPOLOGY, ENDPOINTS, disks=MANAGERS)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.nodes)
            self.begin()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def begin(self):
        for node in ENDPOINTS:
            self.nodes.keep(node)
        self.hosts = {node: self.nodes.hosts[node] for node in HOSTS}
        for node, host in self.hosts.items():
            host.agent("apply", f"/var/lib/vne-manager/{self.nodes.network(node)}/policy.yaml")
            host.attach("stranger", "payments", STRANGERS[node])
        self.hosts["web"].attach("front", "shop", FRONT)
        self.hosts["bank"].attach("till", "shop", TILL)
        self.wait_until_whole(60 * SLOWNESS)
        for node in HOSTS:
            self.follow_routes(node)
        self.hosts["bank"].serve("till", ECHO)
        self.watches = {node: self.talk_to(node, "stranger", WATCH) for node in HOSTS}
        self.prove_the_watch()
        own = self.nodes.network("web")
        run("ip", "-n", own, "address", "add", f"{STRAY}/32", "dev", "lo")
        self.hosts["web"].serve(None, TRESPASS, STRAY, STRANGERS["bank"], namespace=f"/run/netns/{own}")
        self.asking = self.talk_to("web", "front", ASK, TILL, 0.1 * SLOWNESS, ",".join(STRANGERS.values()))

    def follow_routes(self, node):
        """Writes down when the routes of a host's namespace change."""
        with (self.nodes.directory / f"{node}.routes.txt").open("w") as log:
            self.hosts[node].start(None, "ip", "-4", "-ts", "monitor", "route", stdout=log,
                                   namespace=f"/run/netns/{self.nodes.network(node)}")

    def talk_to(self, node, application, code, *arguments):
        """A program in an application that says `ready` and then answers lines."""
        child = self.hosts[node].start(application, sys.executable, "-u", "-c", PYTHON_PRELUDE + code, *arguments,
                                       stdin=subprocess.PIPE, bufsize=1)
        if (line := child.stdout.readline()) != "ready\n":
            raise AssertionError(line + child.stdout.read())
        return child

    @staticmethod
    def ask(child):
        child.stdin.write("\n")
        return json.loads(child.stdout.readline())

    # ------------------------------------------------------------------ what is seen

    def prove_the_watch(self):
        """Whoever counts what strangers are delivered has to see what they are delivered."""
        before = self.delivered()
        self.hosts["web"].python("stranger", SEND, STRANGERS["bank"])
        self.nodes.wait_until(lambda: self.delivered() > before, 10 * SLOWNESS, "what is delivered is not counted")

    def delivered(self):
        """What the applications of the other environment were delivered so far: by their sockets or their hooks."""
        return sum(max(self.ask(watch), self.let_in(node)) for node, watch in self.watches.items())

    def let_in(self, node):
        return sum(count for reason, count in self.hosts[node].counts("stranger", "ingress").items()
                   if reason in LET_IN)

    def carrier(self, node):
        """The manager that carries what a host sends to the other one."""
        def sent():
            return {tunnel["node"]: tunnel["sent"] for tunnel in self.nodes.status(node)["tunnels"]}
        before = sent()
        time.sleep(0.5 * SLOWNESS)
        return max((after - before[manager], manager) for manager, after in sent().items())[1]

    def wait_until_whole(self, seconds):
        """Until every neighbour routes and each host has all its ways. The ways are looked at first: that costs little,
        and applications talk all the while."""
        begun = time.monotonic()
        while not (self.have_all_ways() and all(map(self.routes_everywhere, ENDPOINTS))):
            if time.monotonic() - begun > seconds:
                raise AssertionError(f"the network does not become whole\n{self.nodes.logs()}")
            time.sleep(0.2)
        return time.monotonic() - begun

    def have_all_ways(self):
        return all(self.nodes.run(node, "ip", "route", "show", prefix).stdout.count("nexthop") == len(MANAGERS)
                   for node, prefix in OTHERS.items())

    def routes_everywhere(self, node):
        status = self.nodes.status(node)
        return status["routingRuns"] and all(tunnel["routing"] == "Established" for tunnel in status["tunnels"])

    def noticed(self, since):
        """Seconds until the second host took other ways to the other one's application; None if not both did."""
        taken = []
        for node, prefix in OTHERS.items():
            times = [when - since for when, text in self.changes(node)
                     if when > since and text.removeprefix("Deleted ").startswith(prefix)]
            taken.append(min(times, default=None))
        return None if None in taken else max(taken)

    def changes(self, node):
        """When the kernel's routes of a host's namespace changed, and to what: ip-monitor(8)."""
        log = self.nodes.directory / f"{node}.routes.txt"
        when = 0
        for line in log.read_text().splitlines():
            if line.startswith("["):
                stamp, _, line = line[1:].partition("]")
                when = datetime.fromisoformat(stamp).timestamp()
            yield when, line.strip()

    # ------------------------------------------------------------------ a trial

    def trial(self, fault, hold=HOLD):
        """One fault on the way that carries the stream, and what was missed during it and while it was undone."""
        there, back = self.carrier("web"), self.carrier("bank")
        delivered = self.delivered()
        self.ask(self.asking)
        begun = time.time()
        with FAULTS[fault](self, there):
            time.sleep(hold)
            during = self.ask(self.asking)
            noticed = self.noticed(begun)
        whole = self.wait_until_whole(90 * SLOWNESS)
        # What the last of the ways that come back breaks is a part of it.
        time.sleep(0.5)
        after = self.ask(self.asking)
        return {"fault": fault, "there": there, "back": back, "noticed": noticed, "whole": whole,
                "during": {name: during[name] for name in LOOPS}, "return": {name: after[name] for name in LOOPS},
                "broken": during["broken"] + after["broken"], "stalled": max(during["stalled"], after["stalled"]),
                "delivered": self.delivered() - delivered}


# ------------------------------------------------------------------ the faults

def process(network, node, name):
    """The number of an engine's process."""
    return int(network.nodes.place(node, name).read_text().split()[0])


@contextlib.contextmanager
def killed(number):
    """Whoever keeps the node begins it again."""
    os.kill(number, signal.SIGKILL)
    yield


@contextlib.contextmanager
def stopped(number):
    os.kill(number, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(number, signal.SIGCONT)


@contextlib.contextmanager
def manager_killed(network, node):
    network.nodes.kill(node)
    try:
        yield
    finally:
        network.nodes.keep(node)


@contextlib.contextmanager
def manager_stopped(network, node):
    freezer = network.nodes.hosts[node].cgroup / "engines" / "cgroup.freeze"
    freezer.write_text("1")
    try:
        yield
    finally:
        freezer.write_text("0")


@contextlib.contextmanager
def interface_down(network, node):
    name = network.nodes.hosts[node].name
    run("ip", "-n", name, "link", "set", "eth0", "down")
    try:
        yield
    finally:
        run("ip", "-n", name, "link", "set", "eth0", "up")


@contextlib.contextmanager
def lost(network, node, *directions, what=""):
    """What goes over a node's leg of the underlay is lost there: what leaves the node comes in at this end."""
    hooks = {"out": "ingress", "in": "egress"}
    chains = "\n".join(f'chain {direction} {{ type filter hook {hooks[direction]} device "{network.nodes.leg(node)}" '
                       f"priority 0; {what} drop; }}" for direction in directions)
    inside = ("ip", "netns", "exec", network.nodes.name, "nft")
    run(*inside, "-f", "-", input=f"table netdev faults {{\n{chains}\n}}\n")
    try:
        yield
    finally:
        run(*inside, "delete", "table", "netdev", "faults")


@contextlib.contextmanager
def disk_full(network, node):
    """No room is left for a manager's store, while others write more than it has room for."""
    place = network.nodes.store(node)
    ballast = place / "ballast"
    store = network.nodes.place(node, "etcd.pid")
    before = store.read_text()
    writer = next(manager for manager in MANAGERS if manager != node)
    etcdctl = (writer, "etcdctl", "--endpoints", f"http://{ADDRESSES[writer]}:2379", "--command-timeout", "1s")
    try:
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 20)):
                pass
        # It has two files of 64 MB that it may fill before it needs another one.
        for number in range(400):
            # One that ends may have been the leader.
            network.nodes.run(*etcdctl, "put", f"/fault/{number % 10}", input="x" * 1_000_000, check=False)
            if store.read_text() != before:
                break
        else:
            raise AssertionError(f"etcd does not miss its disk\n{network.nodes.logs()}")
        yield
    finally:
        ballast.unlink()
        # What etcd puts aside when it mends itself is there for somebody to look at, and nobody does here.
        for broken in place.glob("member/wal/*.broken"):
            broken.unlink()
        # What was written over is kept for five minutes, and would fill all disks if trials follow each other.
        said = network.nodes.run(*etcdctl, "get", "/fault/0", "--keys-only", "--write-out", "json", check=False).stdout
        if said:
            network.nodes.run(*etcdctl, "compact", json.loads(said)["header"]["revision"], check=False)


def tunnel(network, manager):
    """The process of the device that a manager has for its hosts."""
    return process(network, manager, "wireguard/hosts-0.pid")


def tunnel_of_host(network, manager):
    """The process of the device that the host has for a manager."""
    device = next(tunnel["device"] for tunnel in network.nodes.status("web")["tunnels"] if tunnel["node"] == manager)
    return process(network, "web", f"wireguard/{device}.pid")


# By name: what is done at the manager that carries the stream, or at the host where the name says so.
FAULTS = {
    "manager-kill": manager_killed,
    "manager-stop": manager_stopped,
    "bird-kill": lambda network, node: killed(process(network, node, "bird.pid")),
    "bird-kill-host": lambda network, node: killed(process(network, "web", "bird.pid")),
    "bird-stop": lambda network, node: stopped(process(network, node, "bird.pid")),
    "tunnel-kill": lambda network, node: killed(tunnel(network, node)),
    "tunnel-kill-host": lambda network, node: killed(tunnel_of_host(network, node)),
    "tunnel-stop": lambda network, node: stopped(tunnel(network, node)),
    "blackhole": lambda network, node: lost(network, node, "out", "in"),
    "blackhole-out": lambda network, node: lost(network, node, "out"),
    "blackhole-in": lambda network, node: lost(network, node, "in"),
    "interface-down": interface_down,
    "store-full": disk_full,
    "large-packets": lambda network, node: lost(network, node, "out", "in", what="meta length > 1214"),
}


def chosen(count, seed):
    """Faults by chance: the same for the same seed."""
    return random.Random(seed).sample(sorted(FAULTS), count)
