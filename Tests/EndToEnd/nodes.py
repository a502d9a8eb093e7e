"""The nodes of a network on one machine: a namespace each, joined by an underlay, with vne-manager and the real engines.

Inside of a node's namespace the network has one of its own, which `vne-manager join` makes.
"""

import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from world import AGENT, PREFIX, SLOWNESS, Host, forget_node, kill_cgroup, run, setns, sweep_once

MANAGER = AGENT.with_name("vne-manager")
BRIDGE, SPARE = "underlay", "spare"
# A host's way into the network.
CARRIER = "vne-network"


class Nodes:
    """The nodes of a topology of the network acme, on one underlay, and on a spare one of 1,280 bytes where they have
    endpoints there. Use as a context manager."""

    def __init__(self, topology, endpoints, spare=None, disks=()):
        """`disks` are managers whose store has one of its own, with little more room than etcd needs to begin."""
        self.disks = disks
        self.topology = topology
        self.endpoints = endpoints
        self.underlays = [(BRIDGE, "u", endpoints, 1500)] + ([(SPARE, "s", spare, 1280)] if spare else [])
        self.name = f"{PREFIX}{os.getpid()}u"
        self.directory = Path(f"/tmp/{self.name}")
        self.hosts = {}
        self.networks = ["acme"]
        self.others = []
        self.children = []
        self.listeners = []

    def __enter__(self):
        sweep_once()
        self.directory.mkdir()
        try:
            run("ip", "netns", "add", self.name)
            for bridge, *_ in self.underlays:
                run("ip", "-n", self.name, "link", "add", "name", bridge, "up", "type", "bridge")
            for node in self.endpoints:
                self.hosts[node] = Host(node, remote=False).__enter__()
                (self.hosts[node].cgroup / "engines").mkdir()
                self.wire(node)
            for node in self.disks:
                self.store(node).mkdir(parents=True)
                run("mount", "-t", "tmpfs", "-o", "size=768m", "tmpfs", self.store(node))
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for listener in self.listeners:
            listener.kill()
        for host in self.others:
            host.__exit__()
        for node, host in self.hosts.items():
            if (host.cgroup / "engines").exists():
                kill_cgroup(host.cgroup / "engines")
            for network in self.networks:
                run("ip", "netns", "delete", self.network(node, network), check=False)
                for place in ("/run", "/var/lib"):
                    forget_node(Path(f"{place}/vne-manager/{self.network(node, network)}"))
            Path(f"/run/vne-manager/{host.name}.lock").unlink(missing_ok=True)
            host.__exit__()
        for child in self.children:
            child.wait()
        run("ip", "netns", "delete", self.name, check=False)
        shutil.rmtree(self.directory)

    def start(self):
        """Every node joins, by what was given to it by hand."""
        self.write(self.topology)
        self.await_all([self.begin(node) for node in self.endpoints])

    def await_all(self, children):
        for child in children:
            if child.wait() != 0:
                raise AssertionError(f"a node does not join:\n{self.logs()}")

    def network(self, node, network="acme"):
        """The name of a network's namespace at a node."""
        return f"{self.hosts[node].name}@{network}"

    def leads_to(self, node, address, network="acme"):
        """Whether packets from a node get to an application on another host: the one has a way, the other leads on."""
        way = self.run(node, "ip", "route", "get", address, network=network, check=False).stdout
        return bool(way) and CARRIER not in way and any(
            self.has_ready(other, address, network) for other in self.hosts if other != node)

    def has_ready(self, node, address, network="acme"):
        """Whether the network leads to an application on that host."""
        shown = self.run(node, "ip", "route", "show", f"{address}/32", "proto", "188", network=network, check=False).stdout
        return bool(shown) and not shown.startswith("blackhole")

    def add(self, node, network, *options, **more):
        """Has a node join another network."""
        if network not in self.networks:
            self.networks.append(network)
        return self.manager(node, "join", self.directory / f"{network}.yaml", "--keys",
                            self.directory / f"{network}.keys.yaml", "--node", node, *options, **more)

    def apart(self, node, network):
        """The isolator of a host's applications in the namespace of a network that is kept apart."""
        host = Host(f"{node}{network}", remote=False)
        host.namespace = f"/run/netns/{self.network(node, network)}"
        host.directory.mkdir()
        host.cgroup.mkdir()
        self.others.append(host)
        return host

    def wire(self, node):
        """A leg on each underlay."""
        own = self.hosts[node].name
        run("ip", "netns", "exec", own, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.default.rp_filter=0")
        for number, (bridge, _, addresses, mtu) in enumerate(self.underlays):
            device, leg = f"eth{number}", self.leg(node, bridge)
            run("ip", "-n", own, "link", "add", device, "mtu", mtu, "type", "veth",
                "peer", "name", leg, "mtu", mtu, "netns", self.name)
            run("ip", "-n", self.name, "link", "set", leg, "master", bridge, "up")
            run("ip", "-n", own, "address", "add", f"{addresses[node]}/24", "dev", device)
            run("ip", "-n", own, "link", "set", device, "up")

    def leg(self, node, bridge=BRIDGE):
        """The underlay's end of a node's leg."""
        (letter,) = [letter for name, letter, *_ in self.underlays if name == bridge]
        return f"{letter}{list(self.endpoints).index(node)}"

    def write(self, topology, network="acme"):
        """The topology, and the public keys that the nodes make."""
        (self.directory / f"{network}.yaml").write_text(topology)
        with ThreadPoolExecutor() as workers:
            keys = workers.map(lambda node: self.manager(node, "key", network).stdout, self.endpoints)
        (self.directory / f"{network}.keys.yaml").write_text(
            "".join(f"{node}: {key}" for node, key in zip(self.endpoints, keys)))

    def begin(self, node):
        """One command on a node, and it is in the network."""
        return self.spawn(node, MANAGER, "join", self.directory / "acme.yaml", "--keys", self.directory / "acme.keys.yaml",
                          "--node", node, node=node)

    def isolate(self, *places):
        """Applies the policy of a network on hosts, each a node, a network and the isolator there. All at once, as it
        takes seconds to load their programs."""
        def apply(node, network, host):
            host.agent("apply", f"/var/lib/vne-manager/{self.network(node, network)}/policy.yaml")
        with ThreadPoolExecutor() as workers:
            list(workers.map(apply, *zip(*places)))

    def keep(self, node, network="acme"):
        """What systemd would run on a node."""
        return self.spawn(node, MANAGER, "run", "--network", network, node=node)

    def manager(self, node, command, *arguments, **options):
        """Runs vne-manager on a node."""
        return run(MANAGER, *command.split(), "--instance", self.hosts[node].name, *arguments, start_new_session=True,
                   preexec_fn=lambda: self.enter(node), **options)

    def status(self, node):
        return json.loads(self.manager(node, "status", "--json").stdout)

    def enter(self, node):
        (self.hosts[node].cgroup / "engines" / "cgroup.procs").write_text("0")
        setns(self.hosts[node].namespace)

    def spawn(self, name, *command, node=None):
        """Starts a program: of the manager on a node, or of the underlay. As services do it has a session of its own: Linux shares
        processors between sessions first (sched(7), autogroups), and what tests do is one of them."""
        if node:
            command = [*command[:2], "--instance", self.hosts[node].name, *command[2:]]
        with (self.directory / f"{name}.log").open("a") as log:
            child = subprocess.Popen(
                list(map(str, command)), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=lambda: self.enter(node) if node else setns(f"/run/netns/{self.name}"))
        self.children.append(child)
        return child

    def run(self, node, *command, network="acme", **options):
        """Runs a command in the network's namespace of a node."""
        return run("ip", "netns", "exec", self.network(node, network), *command, **options)

    def kill(self, node):
        """Ends every process of a node's engines at once."""
        (self.hosts[node].cgroup / "engines" / "cgroup.kill").write_text("1")

    def place(self, node, name):
        """A file of what runs on a node."""
        return Path(f"/run/vne-manager/{self.network(node)}") / name

    def store(self, node):
        """Where a manager's etcd has its data."""
        return Path(f"/var/lib/vne-manager/{self.network(node)}/etcd")

    def bird(self, node, *command):
        return run("birdc", "-s", self.place(node, "bird.ctl"), *command).stdout

    def reconfigure(self, node, *changes):
        """Changes what BIRD reads at a node, as whoever owns the node can."""
        place = self.place(node, "bird.conf")
        text = place.read_text()
        for old, new in changes:
            assert old in text, text
            text = text.replace(old, new)
        place.write_text(text)
        self.bird(node, "configure")

    def listen(self, namespace, interface, *expression):
        """Captures what a namespace sees from now on."""
        log = self.directory / f"{namespace}.{interface}.txt"
        with log.open("w") as output:
            child = subprocess.Popen(
                ["ip", "netns", "exec", namespace, "tcpdump", "--immediate-mode", "-lni", interface, *expression],
                stdout=output, stderr=subprocess.STDOUT)
        self.children.append(child)
        self.listeners.append(child)
        self.wait_until(lambda: "listening on" in log.read_text(), 10 * SLOWNESS, "nobody listens")
        return log

    def hush(self):
        """Ends what listens: it would keep its namespace."""
        for listener in self.listeners:
            listener.kill()
            listener.wait()
        self.listeners.clear()

    def reaches(self, node, address, source=None):
        """Whether an echo request from the network's namespace is answered within a second."""
        origin = ["-I", source] if source else []
        return self.run(node, "ping", "-c", "1", "-W", "1", *origin, address, check=False).returncode == 0

    def logs(self):
        return "\n".join(f"{log.name}:\n{log.read_text()[-800:]}" for log in self.directory.glob("*.log"))

    def wait_until(self, condition, seconds, message):
        """How long it took."""
        begun = time.monotonic()
        while not condition():
            if time.monotonic() - begun > seconds:
                raise AssertionError(f"{message}\n{self.logs()}")
            time.sleep(0.02)
        return time.monotonic() - begun


class InvitedNodes(Nodes):
    """Nodes that an authority invites. The first one of the topology issues rosters."""

    PASSPHRASE = "correct horse battery staple"

    def start(self):
        """One command on each node, and `vne-manager run`, as systemd would have it."""
        first, *others = self.endpoints
        (self.directory / "acme.yaml").write_text(self.topology)
        self.manager(first, "init", self.directory / "acme.yaml", "--node", first, "--passphrase-file", "-",
                     input=self.PASSPHRASE)
        self.keepers = {first: self.keep(first)}
        self.wait_until(lambda: self.hears(first), 10 * SLOWNESS, "nobody answers nodes that were invited")
        while others:
            # Some are reached once others are there.
            self.manager(first, "invite", "--all", "--output", self.directory)
            invited = [node for node in others if self.invitation(node).exists()]
            self.await_all([self.join(node) for node in invited])
            self.keepers |= {node: self.keep(node) for node in invited}
            others = [node for node in others if node not in invited]

    def hears(self, node):
        """Whether a manager's `run` answers what nodes ask of rosters."""
        return ":7312 " in self.run(node, "ss", "-lnt").stdout

    def invitation(self, node):
        return self.directory / f"{node}.invitation"

    def join(self, node):
        """The one command of a node."""
        return self.spawn(node, MANAGER, "join", "--invitation", self.invitation(node), node=node)

    def roster(self, node):
        return json.loads(self.manager(node, "roster", "--json").stdout)

    def takes_part(self, node, at):
        """Whether a node takes part, as another one knows."""
        (member,) = [member for member in self.roster(at)["nodes"] if member["node"] == node]
        return member["state"] == "member"
