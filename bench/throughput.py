"""TCP from application to application across a network, against the same path made by hand.

By hand means: the same engine, MTU, underlay and nodes, with the devices in the nodes' own namespaces, no isolator, no
veth between applications and network, and no filter. Both are timed in turn, and a row is the median of their ratios.
Packets for which the engine's sockets had no room are counted: where they are many, a row tells of losses more than of
the path.
"""

import contextlib
import random
import statistics
import subprocess
import sys

from measure import interval
from nodes import Nodes
from world import PYTHON_PRELUDE, SLOWNESS, run

GOAL = 0.95
# Half of the interval, and how many rounds are made at most until it is as narrow.
NARROW, LAST_ROUND = 0.02, 1000
SECONDS = 0.3
UNDERLAY = 1400
# What a tunnel of the network takes there.
TUNNEL = 1328
ENDPOINTS = {"london": "192.0.2.1", "web": "192.0.2.11", "bank": "192.0.2.12"}
TOPOLOGY = """
network: acme
addressSpace: 10.10.0.0/16
subnets: {{nodes: 10.10.255.0/24}}
underlays: {{internet: {{mtu: {mtu}}}}}
environments: {{shop: 10.10.2.0/24}}
managers:
  london: {{address: 10.10.255.1, endpoints: {{internet: 192.0.2.1}}}}
hosts:
  web: {{address: 10.10.255.11, applications: 10.10.2.0/28, endpoints: {{internet: 192.0.2.11}}{direct}}}
  bank: {{address: 10.10.255.12, applications: 10.10.2.16/28, endpoints: {{internet: 192.0.2.12}}}}
"""
# Each path: what makes the network take it, and the nodes between which there are tunnels by hand.
PATHS = {"by a manager": ("", ("web", "london", "bank")), "direct": (", direct: bank", ("web", "bank"))}
FRONT, TILL = "10.10.2.1", "10.10.2.17"
# What the host with the latter announces.
PREFIX = "10.10.2.16/28"
BY_HAND = {node: f"10.99.0.{address.rpartition('.')[2]}" for node, address in ENDPOINTS.items()}

# Says how much came before the end.
SINK = """
import threading
def drain(client):
    buffer, count = bytearray(1 << 20), 0
    with client:
        while got := client.recv_into(buffer):
            count += got
        client.sendall(struct.pack("<Q", count))
with socket.create_server((sys.argv[1], 5001)) as listener:
    ready()
    while True:
        threading.Thread(target=drain, args=(listener.accept()[0],), daemon=True).start()
"""

# Sends for a while whenever it is told to, and says how many bytes a second arrived.
PUSH = """
ready()
for line in sys.stdin:
    with socket.create_connection((sys.argv[1], 5001)) as client:
        begun, data = time.monotonic(), bytes(1 << 18)
        while time.monotonic() < begun + float(line):
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        count, = struct.unpack("<Q", client.recv(8, socket.MSG_WAITALL))
    print(count / (time.monotonic() - begun), flush=True)
"""


def versions():
    """The engines that are measured."""
    said = [run(*command, check=False) for command in (("wireguard-go", "--version"), ("bird", "--version"))]
    return ", ".join((answer.stdout + answer.stderr).split("\n")[0] for answer in said)


class ByHand:
    """The same nodes joined by tunnels without vne-manager."""

    def __init__(self, nodes, path):
        self.nodes = nodes
        self.path = path
        self.keys = {}

    def make(self):
        for node in self.path:
            self.make_device(node)
        for one, other in zip(self.path, self.path[1:]):
            self.join(one, other)
            self.join(other, one)

    def sockets(self, node):
        return self.nodes.directory / f"hand-{node}"

    def inside(self, node, *command):
        """A command in the node's own namespace that has a /run/wireguard of its own: devices have the same name."""
        bind = "mkdir -p /run/wireguard && mount --bind \"$1\" /run/wireguard && shift && exec \"$@\""
        return ["ip", "netns", "exec", self.nodes.hosts[node].name, "unshare", "--mount", "sh", "-c", bind, "sh",
                self.sockets(node), *command]

    def make_device(self, node):
        self.sockets(node).mkdir(mode=0o700)
        # As vne-manager begins it: the scheduler gives each session a share of its own (sched(7), autogroups).
        self.nodes.hosts[node].start(None, *self.inside(node, "setsid", "nice", "-n", "-10", "wireguard-go", "-f", "hand"),
                                     stdout=subprocess.DEVNULL)
        self.nodes.wait_until((self.sockets(node) / "hand.sock").exists, 10 * SLOWNESS, "wireguard-go makes no device")
        private = run("wg", "genkey").stdout
        self.keys[node] = run("wg", "pubkey", input=private).stdout.strip()
        run(*self.inside(node, "wg", "set", "hand", "listen-port", "51999", "private-key", "/dev/stdin"), input=private)
        own = self.nodes.hosts[node].name
        run("ip", "-n", own, "link", "set", "hand", "mtu", TUNNEL, "up")
        run("ip", "-n", own, "address", "add", f"{BY_HAND[node]}/24", "dev", "hand")
        run("ip", "netns", "exec", own, "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def join(self, node, peer):
        """An end of the path sends all to its neighbour; who is between knows who is where."""
        everything = node in (self.path[0], self.path[-1])
        run(*self.inside(node, "wg", "set", "hand", "peer", self.keys[peer], "endpoint", f"{ENDPOINTS[peer]}:51999",
                         "allowed-ips", "10.99.0.0/24" if everything else f"{BY_HAND[peer]}/32"))


class Push:
    """A program on one host that sends to one on the other."""

    def __init__(self, nodes, target, client, server):
        web, bank = nodes.hosts["web"], nodes.hosts["bank"]
        bank.serve(server, SINK, target)
        self.child = web.start(client, sys.executable, "-u", "-c", PYTHON_PRELUDE + PUSH, target, stdin=subprocess.PIPE,
                               bufsize=1)
        if (line := self.child.stdout.readline()) != "ready\n":
            raise RuntimeError(line + self.child.stdout.read())

    def rate(self):
        """Bytes a second."""
        self.child.stdin.write(f"{SECONDS}\n")
        return float(self.child.stdout.readline())


@contextlib.contextmanager
def both(name):
    """What sends over a path: through the network, and by hand."""
    direct, path = PATHS[name]
    with Nodes(TOPOLOGY.format(mtu=UNDERLAY, direct=direct), ENDPOINTS) as nodes:
        for node, application, address in (("web", "front", FRONT), ("bank", "till", TILL)):
            nodes.keep(node)
            nodes.hosts[node].agent("apply", f"/var/lib/vne-manager/{nodes.network(node)}/policy.yaml")
            nodes.hosts[node].attach(application, "shop", address)
        through = "bank" if direct else "london"

        def leads():
            routes = {route["destination"]: route["through"] for route in nodes.status("web")["routes"]}
            return routes.get(PREFIX) == [through] and nodes.reaches("bank", "10.10.255.11")
        nodes.wait_until(leads, 60 * SLOWNESS, "the network does not come up")
        ByHand(nodes, path).make()
        senders = {"network": Push(nodes, TILL, "front", "till"), "by hand": Push(nodes, BY_HAND["bank"], None, None)}
        yield senders, lambda: overrun(nodes)


def overrun(nodes):
    """Packets of tunnels that were lost as the engine's sockets were full, on all nodes so far."""
    counted = [run("ip", "netns", "exec", host.name, "nstat", "-asz", "UdpRcvbufErrors").stdout.split()
               for host in nodes.hosts.values()]
    return sum(int(words[words.index("UdpRcvbufErrors") + 1]) for words in counted)


def measure(rounds):
    """The share of a path's throughput by hand that is left, path by path."""
    print(f"\nTCP throughput between applications, against the same path by hand; goal {GOAL}\n")
    return [compare(name, rounds) for name in PATHS]


def ratio(taken):
    """The median of pairs, and the bounds of its interval."""
    return interval([one / other for one, other in zip(taken["network"], taken["by hand"])])


def is_narrow(taken):
    _, low, high = ratio(taken)
    return high - low <= 2 * NARROW


def compare(name, rounds):
    taken = {"network": [], "by hand": []}
    lost = dict.fromkeys(taken, 0)
    with both(name) as (senders, overrun):
        for sender in senders.values():
            sender.rate()
        while len(taken["network"]) < rounds or (len(taken["network"]) < LAST_ROUND and not is_narrow(taken)):
            for which in random.sample(list(senders), len(senders)):
                before = overrun()
                taken[which].append(senders[which].rate())
                lost[which] += overrun() - before
    middle, low, high = ratio(taken)
    rates = ", ".join(f"{which} {statistics.median(values) * 8 / 1e6:.0f} Mbit/s and {lost[which]} lost at full sockets"
                      for which, values in taken.items())
    verdict = "met" if middle >= GOAL else "NOT MET"
    print(f"  {name:13} {middle:.3f}  [{low:.3f}, {high:.3f}]  {verdict}  {rates}, {len(taken['network'])} rounds", flush=True)
    return {"path": name, "ratio": middle, "low": low, "high": high, "rounds": len(taken["network"]), "met": middle >= GOAL,
            "lost at full sockets": lost}
