"""Moves of an address while managers are cut off from each other and from hosts, and what is seen of its owners meanwhile."""

import base64
import contextlib
import json
import re
import select
import socket
import struct
import subprocess
import threading
import time

from moves import MANAGERS, OWNERS, TILL
from world import run, setns


def changes(sequence):
    """How often a value follows another one."""
    return sum(earlier != later for earlier, later in zip(sequence, sequence[1:]))


class Routes:
    """What the network's namespaces of the hosts let through to the till, as the kernel tells of it: at most one of them at any
    time."""

    NEW, DELETE, PROTOCOL, UNICAST = 24, 25, 188, 1

    def __init__(self, nodes):
        self.open, self.sockets, self.both, self.opened = dict.fromkeys(OWNERS, False), {}, [], []
        self.stopped = threading.Event()
        for node in OWNERS:
            made = []

            def make(place=f"/run/netns/{nodes.network(node)}"):
                setns(place)
                made.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))
            # Of the namespace that its thread is in.
            thread = threading.Thread(target=make)
            thread.start()
            thread.join()
            made[0].setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
            made[0].bind((0, 0x40))
            self.sockets[node] = made[0]
            shown = nodes.run(node, "ip", "route", "show", TILL, "proto", str(self.PROTOCOL)).stdout
            self.open[node] = "via" in shown
        self.thread = threading.Thread(target=self.follow)
        self.thread.start()

    def drain(self, node):
        """Takes in what the kernel told; says whether there was something."""
        heard = False
        while True:
            try:
                data = self.sockets[node].recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return heard
            while len(data) >= 16:
                length, kind = struct.unpack("=IH", data[:6])
                body, data = data[16:length], data[(length + 3) & ~3:]
                if kind not in (self.NEW, self.DELETE) or body[1] != 32 or body[5] != self.PROTOCOL:
                    continue
                if socket.inet_aton(TILL) in body[12:]:
                    heard = True
                    self.open[node] = kind == self.NEW and body[7] == self.UNICAST
                    self.opened.append((time.monotonic(), node, self.open[node]))

    def follow(self):
        while not self.stopped.is_set():
            select.select(list(self.sockets.values()), [], [], 0.2)
            self.look()

    def look(self):
        first, second = OWNERS
        self.drain(first)
        self.drain(second)
        # Both were at once if the second one was while the first did not change.
        if all(self.open.values()) and not self.drain(first) and all(self.open.values()):
            self.both.append(time.monotonic())

    def end(self):
        self.stopped.set()
        self.thread.join()
        self.look()
        for made in self.sockets.values():
            made.close()


class Believed:
    """Whom each manager takes packets of the till from, and leads those for it to, looked at over and over: at most one
    host."""

    def __init__(self, nodes):
        self.nodes, self.two, self.looks = nodes, [], 0
        self.keys = {}
        for line in (nodes.directory / "acme.keys.yaml").read_text().splitlines():
            node, key = line.split(": ", 1)
            self.keys[base64.b64decode(key).hex()] = node
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.follow)
        self.thread.start()

    def sources(self, manager):
        """The peers that may have the till's address as a source, device by device."""
        found = []
        for path in self.nodes.place(manager, "wireguard").glob("hosts-*.sock"):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(5)
                client.connect(str(path))
                client.sendall(b"get=1\n\n")
                text = b""
                while not text.endswith(b"\n\n"):
                    text += client.recv(65536) or b"\n\n"
            peer = None
            for line in text.decode().splitlines():
                name, _, value = line.partition("=")
                if name == "public_key":
                    peer = self.keys.get(value)
                elif line == f"allowed_ip={TILL}/32":
                    found.append(peer)
        return set(found)

    def follow(self):
        while not self.stopped.wait(0.02):
            for manager in MANAGERS:
                with contextlib.suppress(OSError):
                    sources = self.sources(manager)
                    shown = self.nodes.run(manager, "ip", "route", "show", TILL, check=False).stdout
                    hosts = set(re.findall(r"via (169\.254\.0\.1[12]) ", shown))
                    self.looks += 1
                    if len(sources) > 1 or len(hosts) > 1:
                        self.two.append((manager, sources, hosts))

    def end(self):
        self.stopped.set()
        self.thread.join()


class History:
    """Who had the till at which revision of the store from now on, as each manager's own etcd tells of it: nothing on the way
    there may be cut."""

    KEY = f"/vne/claims/{TILL}"

    def __init__(self, nodes):
        self.nodes, self.watches = nodes, {}
        self.begun, self.first = self.read(MANAGERS[0])
        self.go_on()

    def go_on(self):
        """An etcd that is cut off from the others ends what watches it: it is begun again where it ended."""
        for manager in MANAGERS:
            if manager in self.watches and self.watches[manager].poll() is None:
                continue
            told = self.told(manager)
            revision = told[-1][0] if told else self.begun
            with self.place(manager).open("a") as output:
                child = subprocess.Popen(
                    [*self.command(manager), "watch", self.KEY, "--rev", str(revision + 1), "--write-out", "json"],
                    stdout=output, stderr=subprocess.DEVNULL)
            self.watches[manager] = child
            self.nodes.children.append(child)
            self.nodes.listeners.append(child)

    def place(self, manager):
        return self.nodes.directory / f"{manager}.history.json"

    def command(self, manager):
        address = f"10.10.255.{MANAGERS.index(manager) + 1}"
        return ["ip", "netns", "exec", self.nodes.network(manager), "etcdctl", "--endpoints", f"http://{address}:2379"]

    def read(self, manager):
        """When the till's owner became that, and who he is."""
        (found,) = json.loads(run(*self.command(manager), "get", self.KEY, "--write-out", "json").stdout)["kvs"]
        return found["mod_revision"], base64.b64decode(found["value"]).decode()

    def told(self, manager):
        """Revisions, and who became the owner there: nobody has no name."""
        lines = self.place(manager).read_text().splitlines(keepends=True) if self.place(manager).exists() else []
        return [(event["kv"]["mod_revision"], base64.b64decode(event["kv"].get("value", "")).decode())
                for line in lines if line.endswith("\n") for event in json.loads(line)["Events"] or []]

    def is_whole(self, manager):
        """Whether a manager's own etcd told all of it, up to what the store says now."""
        self.go_on()
        # One that is just coming back does not answer.
        with contextlib.suppress(AssertionError):
            return (self.told(manager) or [(self.begun, self.first)])[-1] == self.read(MANAGERS[0])

    def end(self):
        for child in self.watches.values():
            child.terminate()
            child.wait()


class Cuts:
    """Moves, and what is cut meanwhile; then what was seen."""

    def __init__(self, moves, chance):
        self.moves, self.nodes, self.chance = moves, moves.nodes, chance
        self.done = 0

    def cut(self):
        """Cuts a manager off from the other ones, or from a host; returns what undoes it."""
        manager = self.chance.choice(MANAGERS)
        whom = self.chance.choice([[node for node in MANAGERS if node != manager], ["web"], ["bank"]])
        name = self.nodes.hosts[manager].name
        ends = ", ".join(self.nodes.endpoints[node] for node in whom)
        run("ip", "netns", "exec", name, "nft", "table inet cut { chain out { type filter hook output priority 0; ip daddr { "
            f"{ends} }} drop; }}; chain in {{ type filter hook input priority 0; ip saddr {{ {ends} }} drop; }}; }}")
        return f"{manager} from {' and '.join(whom)}", lambda: run(
            "ip", "netns", "exec", name, "nft", "delete", "table", "inet", "cut")

    def move(self):
        owner, other = self.moves.place()
        what, mend = self.cut()
        try:
            # Some are cut off before, some while it is handed over.
            delay = self.chance.choice([0, 0.2, 1, 3])
            time.sleep(delay)
            begun = time.monotonic()
            said = self.moves.move(other, check=False)
            took = time.monotonic() - begun
        finally:
            mend()
        self.done += said.returncode == 0
        print(f"  {owner} to {other}, {what} for {delay} s: {took:.1f} s: {(said.stdout or said.stderr).strip()}", flush=True)

    def run(self, tries):
        """Moves it as often, and looks whether anything had two owners; raises AssertionError if so."""
        self.moves.place()
        history, routes, believed, end = History(self.nodes), Routes(self.nodes), Believed(self.nodes), self.moves.ask()
        seen = None
        try:
            for _ in range(tries):
                self.move()
                history.go_on()
            owner, _ = self.moves.place()
            self.moves.until(lambda: all(self.nodes.status(node)["claims"] == [{"address": TILL, "host": owner}]
                                         for node in MANAGERS), "a manager does not catch up", 60)
            for manager in MANAGERS:
                self.moves.until(lambda: history.is_whole(manager), f"the etcd of {manager} does not catch up", 60)
        finally:
            seen = end()
            believed.end()
            routes.end()
            history.end()
        told = history.told(MANAGERS[0])
        for manager in MANAGERS:
            assert history.told(manager) == told, (manager, history.told(manager), told)
        # One owner at each revision, and never none; each handover is one change.
        revisions, owners = [revision for revision, _ in told], [history.first] + [name for _, name in told]
        assert revisions == sorted(set(revisions)) and set(owners) <= set(OWNERS), (history.first, told)
        assert changes(owners) == len(told) >= self.done and owners[-1] == owner, (owners, self.done, owner)
        assert not believed.two, believed.two
        assert believed.looks > tries, believed.looks
        assert not routes.both, (routes.both, routes.opened)
        # Whoever got it let it through.
        opened = [node for _, node, is_open in routes.opened if is_open]
        assert len(opened) >= self.done, (opened, self.done)
        # Who was heard of all the time is one of them, and then the other.
        heard = changes([who for _, who in seen["told"]])
        assert heard <= len(told), (heard, told)
        print(f"  {self.done} of {tries} were handed over; {len(told)} changes of the owner in the store; {believed.looks} "
              f"looks at managers; {heard} changes of who was heard", flush=True)
