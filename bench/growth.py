"""How a network grows: 10,000 applications, and how soon all of them are reached again after a manager's death.

`make bench-growth` runs one network with three managers that keep a store and twelve hosts, all of them real. At each size it
counts how long every host takes to lead to all applications that came, and what that takes of memory and processors. Then it
kills every process of a manager at once, one manager after the other, looks at the tables of all nodes that are left, and asks
every application.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT / "Tests" / "EndToEnd"), str(PROJECT / "bench")]

from forwarding import APPLICATION, Table  # noqa: E402
from nodes import Nodes  # noqa: E402
from throughput import versions  # noqa: E402
from world import PYTHON, PYTHON_PRELUDE, SLOWNESS, run, sweep  # noqa: E402

# Seconds from a manager's death until every node that is left forwards to every application by others only.
GOAL = 2.0
SIZES = (120, 1200, 10_000)
MANAGERS = {"london": 1, "paris": 2, "rome": 3}
HOSTS = {f"host{number}": 10 + number for number in range(1, 13)}
NODES = MANAGERS | HOSTS
ENDPOINTS = {node: f"192.0.2.{number}" for node, number in NODES.items()}
# Milliseconds between probes of a link, and how many are missed before it is left. All nodes have the same few
# processors here, which the default of 50 and 3 keeps busy with probes alone.
PROBED, MISSED = 300, 2
# How long nothing is done while processor time is counted.
REST = 10
# What hosts claim addresses of, where none is a host's for good.
CLAIMED = "10.10.0.0/17"
# How many applications are asked all the time, and how often each: what asks takes processor time, which the nodes need as
# well.
ASKED, PAUSE = 22, 0.1
# How many are asked a second when all are.
RATE = 5000
# What runs at a node, by the words of its command.
KINDS = {"bird": "bird", "vne-manager run": "run", "vne-manager probe": "prober", "etcd": "etcd",
         "wireguard-go": "wireguard-go"}


def topology(claimed):
    lines = ["network: acme", "addressSpace: 10.10.0.0/16", "subnets: {nodes: 10.10.255.0/24}",
             "underlays: {internet: {mtu: 1400}}", "environments: {shop: 10.10.0.0/17}",
             f"store: [{', '.join(MANAGERS)}]",
             f"failureDetection: {{interval: {PROBED}ms, multiplier: {MISSED}}}", "managers:"]
    lines += [f"  {node}: {{address: 10.10.255.{number}, endpoints: {{internet: {ENDPOINTS[node]}}}}}"
              for node, number in MANAGERS.items()]
    lines += ["hosts:"]
    lines += [f"  {node}: {{address: 10.10.255.{number}, {own}}}" for node, number in HOSTS.items()
              for own in [f"claims: {CLAIMED}" if claimed else f"applications: {part(node)}"]]
    return "\n".join(lines) + "\n"


def part(node):
    """The addresses that a host's applications may have."""
    return f"10.10.{4 * (HOSTS[node] - 10)}.0/22"


def applications(node, count):
    """The addresses of a host's applications where the network has so many."""
    place, first = HOSTS[node] - 11, 4 * (HOSTS[node] - 10)
    own = count * (place + 1) // len(HOSTS) - count * place // len(HOSTS)
    return [f"10.10.{first + number // 250}.{1 + number % 250}" for number in range(own)]


# Asks addresses by echo requests, each so often, and says the longest time without an answer of each whenever it is
# asked; after a `reset` it forgets what was.
ASK = """
import select
source, pause, targets = sys.argv[1], float(sys.argv[2]), sys.argv[3].split(",")
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
def request(number):
    rest = struct.pack("!HH8x", os.getpid() & 0xffff, number & 0xffff)
    return struct.pack("!BBH", 8, 0, checksum(bytes((8, 0)) + rest)) + rest
client = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
client.bind((source, 0))
client.setblocking(False)
last = dict.fromkeys(targets, time.monotonic())
gap = dict.fromkeys(targets, 0)
number, due = 0, time.monotonic()
ready()
while True:
    now = time.monotonic()
    if now >= due:
        attempt(lambda: client.sendto(request(number), (targets[number % len(targets)], 0)))
        number, due = number + 1, max(due + pause / len(targets), now - pause)
    for one in select.select([client, sys.stdin], [], [], max(0, due - now))[0]:
        now = time.monotonic()
        if one is client:
            data, (sender, _) = client.recvfrom(2048)
            if data[20] == 0 and data[24:26] == struct.pack("!H", os.getpid() & 0xffff) and sender in last:
                gap[sender], last[sender] = max(gap[sender], now - last[sender]), now
        elif sys.stdin.readline() == "reset\\n":
            gap = dict.fromkeys(targets, 0)
        else:
            silent = {target: now - heard for target, heard in last.items()}
            print(json.dumps({"gap": {target: max(gap[target], silent[target]) for target in targets},
                              "silent": max(silent.values())}), flush=True)
"""


# Asks every address of a file until it has answered, so many a second; says which did not.
ASK_ALL = """
import select
source, path, rate = sys.argv[1], sys.argv[2], float(sys.argv[3])
left = set(open(path).read().split())
echo = b"\\x08\\x00\\xf7\\xff" + bytes(4)
client = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
client.bind((source, 0))
client.setblocking(False)
def hear(seconds):
    end = time.monotonic() + seconds
    while select.select([client], [], [], max(0, end - time.monotonic()))[0]:
        data, (sender, _) = client.recvfrom(2048)
        if data[20] == 0:
            left.discard(sender)
for _ in range(5):
    for address in sorted(left):
        attempt(lambda: client.sendto(echo, (address, 0)))
        hear(1 / rate)
    hear(1)
answer(sorted(left))
"""


class Network:
    """The network, without an application. Use as a context manager."""

    def __init__(self, claimed=False):
        self.nodes = Nodes(topology(claimed), ENDPOINTS)
        self.claimed = claimed
        self.count = 0

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.nodes)
            self.tables = {node: Table(self.nodes.network(node)) for node in NODES}
            for node in NODES:
                self.nodes.keep(node)
            self.wait_until_whole(60 * SLOWNESS)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    # ------------------------------------------------------------------ growing

    def grow(self, count):
        """Adds applications until there are so many; how long that took, and what each host took to lead to its own from then
        on."""
        before, self.count = self.count, count
        begun = time.monotonic()
        for node in HOSTS:
            run("ip", "-n", self.nodes.hosts[node].name, "-batch", "-", input="".join(
                f"address add {address}/32 dev lo\n"
                for address in applications(node, count)[len(applications(node, before)):]))
        added = time.monotonic()
        known = self.watch(HOSTS, lambda node: self.tables[node].count(protocol=APPLICATION) == len(applications(node, count)),
                           120 * SLOWNESS)
        whole = self.wait_until_whole(300 * SLOWNESS)
        self.prove(NODES)
        return added - begun, known, whole

    def expected(self, *nodes):
        """What a node is to have a way to: the first of these. The others are dead."""
        return set().union(*(self.destinations(node) for node in NODES if node not in nodes))

    def destinations(self, node):
        """What others have a way to of a node."""
        own = {f"10.10.255.{NODES[node]}/32"}
        if node not in HOSTS:
            return own
        return own | ({f"{address}/32" for address in applications(node, self.count)} if self.claimed else {part(node)})

    def all_applications(self):
        return [address for node in HOSTS for address in applications(node, self.count)]

    def watch(self, nodes, is_there, seconds):
        """How long each node took until something is so, from now on."""
        begun, left, when = time.monotonic(), list(nodes), {}
        while left:
            looked = time.monotonic()
            for node in left[:]:
                if is_there(node):
                    when[node] = time.monotonic() - begun
                    left.remove(node)
            now = time.monotonic()
            if now - begun > seconds:
                raise AssertionError(f"{', '.join(left)}: not within {seconds} s\n{self.nodes.logs()}")
            # Looking takes at most a third of a processor.
            time.sleep(max(0.005, 2 * (now - looked)))
        return when

    def prove(self, nodes, without=None):
        """Reads whole tables: there is a way to every application, and none leads through a node that is dead."""
        for node in nodes:
            routes = self.tables[node].routes()
            missing = self.expected(node, without) - set(routes)
            assert not missing, f"{node} has no way to {len(missing)}, {min(missing)} among them"
            assert all(routes.values()), f"{node} has a route without a device"
            if without:
                dead = self.tables[node].device(self.device(without))
                assert not any(dead in devices for devices in routes.values()), f"{node} leads through {without}"
        listed = self.nodes.directory / "applications.txt"
        listed.write_text("\n".join(address for address in self.all_applications()
                                    if address not in applications("host1", self.count)))
        silent = json.loads(self.nodes.hosts["host1"].run(
            None, *PYTHON, "-c", PYTHON_PRELUDE + ASK_ALL, applications("host1", self.count)[0], listed, RATE).stdout)
        assert not silent, f"{len(silent)} applications do not answer, {silent[0]} among them"

    @staticmethod
    def device(manager):
        """What every other node calls its tunnel to a manager."""
        return f"node{MANAGERS[manager]}-0"

    # ------------------------------------------------------------------ what is there

    def is_whole(self, node):
        """Whether a node has all ways to all addresses: a host by each manager, a manager by each host."""
        table, expected = self.tables[node], len(self.expected(node))
        if table.count() != expected:
            return False
        if node in MANAGERS:
            return all(table.count(self.device(other)) == 1 for other in MANAGERS if other != node)
        return all(table.count(self.device(manager)) == expected - len(MANAGERS) + 1 for manager in MANAGERS)

    def wait_until_whole(self, seconds):
        return max(self.watch(NODES, self.is_whole, seconds).values())

    def processes(self, node):
        """The processes of a node's engines, and what they are."""
        for number in (self.nodes.hosts[node].cgroup / "engines" / "cgroup.procs").read_text().split():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                words = Path(f"/proc/{number}/cmdline").read_bytes().decode().split("\0")
                name = Path(words[0]).name
                kind = KINDS.get(f"{name} {words[1]}" if name == "vne-manager" else name)
                if kind:
                    yield kind, number

    def memory(self, node):
        """Resident megabytes by kind."""
        found = dict.fromkeys(KINDS.values(), 0)
        for kind, number in self.processes(node):
            pages = int(Path(f"/proc/{number}/statm").read_text().split()[1])
            found[kind] += pages * os.sysconf("SC_PAGESIZE") / 1e6
        return found

    def spent(self, node):
        """Processor seconds by kind."""
        found = dict.fromkeys(KINDS.values(), 0)
        for kind, number in self.processes(node):
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            found[kind] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return found

    def engines(self):
        """Processor seconds of all nodes' engines, those that have ended among them."""
        return sum(int((self.nodes.hosts[node].cgroup / "engines" / "cpu.stat").read_text().split()[1])
                   for node in NODES) / 1e6

    def costs(self):
        """What a manager and a host take while nothing happens."""
        shown = {"manager": "london", "host": "host1"}
        before = {role: self.spent(node) for role, node in shown.items()}
        all_before, begun = self.engines(), time.monotonic()
        time.sleep(REST)
        lasted = time.monotonic() - begun
        costs = {"engines": (self.engines() - all_before) / lasted}
        for role, node in shown.items():
            after = self.spent(node)
            costs[role] = {"memory": self.memory(node),
                           "processor": {kind: (after[kind] - before[role][kind]) / lasted for kind in after}}
        return costs

    # ------------------------------------------------------------------ a death

    @contextlib.contextmanager
    def asking(self):
        """Something on a host asks applications on other hosts all the time."""
        targets = [applications(node, self.count)[place] for place in (0, -1) for node in HOSTS if node != "host1"][:ASKED]
        child = self.nodes.hosts["host1"].start(
            None, *PYTHON, "-u", "-c", PYTHON_PRELUDE + ASK, applications("host1", self.count)[0], PAUSE,
            ",".join(targets), stdin=subprocess.PIPE, bufsize=1)
        try:
            if (line := child.stdout.readline()) != "ready\n":
                raise AssertionError(line + child.stdout.read())
            self.asked = child
            self.until_answered(30 * SLOWNESS)
            yield
        finally:
            child.kill()
            child.wait()

    def until_answered(self, seconds):
        """The longest time without an answer, once all are answered."""
        def answers():
            self.asked.stdin.write("\n")
            return json.loads(self.asked.stdout.readline())
        begun = time.monotonic()
        while (found := answers())["silent"] > 3 * PAUSE * SLOWNESS:
            if time.monotonic() - begun > seconds:
                raise AssertionError(f"not all are answered: {found}")
            time.sleep(0.05)
        return max(found["gap"].values())

    def death(self, manager):
        """Kills all of a manager at once, and brings it back; what came of it."""
        left = [node for node in NODES if node != manager]
        device = self.device(manager)
        expected = {node: len(self.expected(node, manager)) for node in left}
        self.asked.stdin.write("reset\n")
        before = Processors(self.engines())
        self.nodes.kill(manager)
        when = self.watch(left, lambda node: not self.tables[node].is_used(device)
                          and self.tables[node].count() >= expected[node], 60 * SLOWNESS)
        busy = Processors(self.engines()).since(before)
        self.prove(left, without=manager)
        missed = self.until_answered(30 * SLOWNESS)
        self.asked.stdin.write("reset\n")
        self.nodes.keep(manager)
        whole = self.wait_until_whole(120 * SLOWNESS)
        missed_then = self.until_answered(30 * SLOWNESS)
        return {"manager": manager, "nodes": when, "median": statistics.median(when.values()),
                "last": max(when.values()), "missed": missed, "whole": whole, "missed until whole": missed_then, **busy}


class Processors:
    """How busy the machine's processors are, and with what."""

    def __init__(self, engines):
        self.time, self.engines = time.monotonic(), engines
        self.own = sum(os.times()[:4])
        fields = list(map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]))
        # All but idling and waiting for disks, what the host of this machine took among them.
        self.busy = (sum(fields[:8]) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")

    def since(self, before):
        """How many processors the engines, this program and others had."""
        lasted = self.time - before.time
        engines, own = ((self.engines - before.engines) / lasted, (self.own - before.own) / lasted)
        return {"engines": engines, "bench": own, "others": max(0, (self.busy - before.busy) / lasted - engines - own)}


# ---------------------------------------------------------------------- what is printed

def measure(trials, sizes, claimed):
    """Rows of growth and, for each size, the deaths there."""
    growth, deaths = [], {}
    with Network(claimed) as network:
        for count in sizes:
            took, known, whole = network.grow(count)
            row = {"applications": count, "added": took, "median": statistics.median(known.values()),
                   "last": max(known.values()), "whole": whole, **network.costs()}
            growth.append(row)
            print(line_of_growth(row), flush=True)
            with network.asking():
                deaths[count] = []
                for number in range(trials if count == sizes[-1] else min(trials, len(MANAGERS))):
                    seen = network.death(list(MANAGERS)[number % len(MANAGERS)])
                    deaths[count].append(seen)
                    print(line_of_death(seen), flush=True)
    return growth, deaths


def line_of_growth(row):
    return (f"  {row['applications']} applications: added in {row['added']:.2f} s, led to by half of the hosts "
            f"{row['median']:.2f} s later, by all {row['last']:.2f} s, with all ways {row['whole']:.2f} s")


def line_of_death(seen):
    first = min(seen["nodes"].values())
    return (f"    {seen['manager']:6} dead: first node {first:.2f} s, half {seen['median']:.2f} s, "
            f"all {seen['last']:.2f} s; no answer for {seen['missed']:.2f} s; whole again after {seen['whole']:.1f} s, "
            f"no answer meanwhile {seen['missed until whole']:.2f} s; processors: engines {seen['engines']:.2f}, "
            f"this program {seen['bench']:.2f}, others {seen['others']:.2f}")


def table(title, lines):
    print(f"\n{title}\n")
    widths = [max(len(str(cell)) for cell in column) for column in zip(*lines)]
    for cells in lines:
        print("  " + "  ".join(str(cell).rjust(width) for cell, width in zip(cells, widths)))


def show(growth, deaths):
    show_growth(growth)
    show_rest(growth)
    show_deaths(deaths)


def show_growth(growth):
    kept = [(role, kind) for role in ("manager", "host") for kind in KINDS.values() if (role, kind) != ("host", "etcd")]
    lines = [["applications", "added", "half", "all", "all ways", *(f"{role} {kind}" for role, kind in kept)]]
    for row in growth:
        seconds = [f"{row[name]:.2f}" for name in ("added", "median", "last", "whole")]
        lines.append([row["applications"], *seconds, *(f"{row[role]['memory'][kind]:.0f}" for role, kind in kept)])
    table("Seconds in which applications were added, and from then on until half of the hosts and all of them led to their "
          "own, and until\nall nodes had all their ways; resident megabytes of a manager's and a host's engines:", lines)


def show_rest(growth):
    kept = [(role, kind) for role in ("manager", "host") for kind in ("bird", "prober", "wireguard-go")]
    lines = [["applications", "manager", "host", *(f"{role} {kind}" for role, kind in kept), "all nodes"]]
    for row in growth:
        whole = [sum(row[role]["processor"].values()) for role in ("manager", "host")]
        shares = [row[role]["processor"][kind] for role, kind in kept]
        lines.append([row["applications"], *(f"{share * 100:.1f}" for share in (*whole, *shares, row["engines"]))])
    table("Per cent of one processor while nothing happens:", lines)


def show_deaths(deaths):
    names = ("median", "last", "missed", "whole", "missed until whole")
    lines = [["applications", "deaths", "first", "half", "all", "no answer", "whole", "no answer then"]]
    for count, seen in deaths.items():
        columns = [[min(one["nodes"].values()) for one in seen], *([one[name] for one in seen] for name in names)]
        lines.append([count, len(seen), *(f"{statistics.median(column):.2f} {max(column):.2f}" for column in columns)])
    table("A manager's death: median and longest seconds until the first, half and all of the nodes that are left "
          "had no route\nthrough it and a route to each application; without an answer from one that was asked; until "
          "all was whole again", lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20, help="deaths with all applications (default: 20)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="COUNT",
                        help="numbers of applications, each larger than the one before (default: 120 1200 10000)")
    parser.add_argument("--claimed", action="store_true",
                        help="each address is claimed by its host, and none is a host's for good")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    sweep()
    # A tunnel's process has a thread for each processor otherwise: there are fifty of them.
    os.environ["GOMAXPROCS"] = "1"
    commit = run("git", "-C", PROJECT, "describe", "--always", "--dirty", check=False).stdout.strip()
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, commit {commit or 'unknown'}"
          + (", claimed" if options.claimed else ""))
    print(f"{versions()}\n")
    growth, deaths = measure(options.trials, options.sizes, options.claimed)
    show(growth, deaths)
    last = [one["last"] for one in deaths[options.sizes[-1]]]
    met = max(last) <= GOAL
    print(f"\nGoal: with {options.sizes[-1]} applications all nodes at most {GOAL} s after a manager's death: "
          f"{'met' if met else 'NOT MET'}, {sum(one > GOAL for one in last)} of {len(last)} later")
    if options.json:
        options.json.write_text(json.dumps({"kernel": platform.release(), "engines": versions(), "commit": commit,
                                            "growth": growth, "deaths": deaths}, indent=1))
    sys.exit(not met)


if __name__ == "__main__":
    main()
