"""The nodes of a network on one machine: a namespace each, joined by an underlay, with vne-manager and the real engines.

Inside of a node's namespace the network has one of its own, which `vne-manager join` makes.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from world import AGENT, PREFIX, SLOWNESS, Host, kill_cgroup, run, setns, sweep_once

MANAGER = AGENT.with_name("vne-manager")
BRIDGE = "underlay"


class Nodes:
    """The nodes of a topology of the network acme, on one underlay. Use as a context manager."""

    def __init__(self, topology, endpoints, policy=None):
        self.topology = topology
        self.endpoints = endpoints
        self.policy = policy
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
            run("ip", "-n", self.name, "link", "add", "name", BRIDGE, "up", "type", "bridge")
            for node in self.endpoints:
                self.hosts[node] = Host(node, remote=False).__enter__()
                (self.hosts[node].cgroup / "engines").mkdir()
                self.wire(node)
            self.write(self.topology)
            begun = [self.begin(node) for node in self.endpoints]
            for child in begun:
                if child.wait() != 0:
                    raise AssertionError(f"a node does not join:\n{self.logs()}")
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
                    shutil.rmtree(f"{place}/vne-manager/{self.network(node, network)}", ignore_errors=True)
            Path(f"/run/vne-manager/{host.name}.lock").unlink(missing_ok=True)
            host.__exit__()
        for child in self.children:
            child.wait()
        run("ip", "netns", "delete", self.name, check=False)
        shutil.rmtree(self.directory)

    def network(self, node, network="acme"):
        """The name of a network's namespace at a node."""
        return f"{self.hosts[node].name}@{network}"

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
        """A leg on the underlay."""
        own, leg = self.hosts[node].name, f"u{list(self.endpoints).index(node)}"
        run("ip", "-n", own, "link", "add", "eth0", "type", "veth", "peer", "name", leg, "netns", self.name)
        run("ip", "-n", self.name, "link", "set", leg, "master", BRIDGE, "up")
        run("ip", "-n", own, "address", "add", f"{self.endpoints[node]}/24", "dev", "eth0")
        run("ip", "-n", own, "link", "set", "eth0", "up")
        run("ip", "netns", "exec", own, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.eth0.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")

    def leg(self, node):
        """The underlay's end of a node's leg."""
        return f"u{list(self.endpoints).index(node)}"

    def write(self, topology, network="acme"):
        """The topology, and the public keys that the nodes make."""
        (self.directory / f"{network}.yaml").write_text(topology)
        keys = [f"{node}: {self.manager(node, 'key', network).stdout}" for node in self.endpoints]
        (self.directory / f"{network}.keys.yaml").write_text("".join(keys))

    def begin(self, node):
        """One command on a node, and it is in the network."""
        return self.spawn(node, MANAGER, "join", self.directory / "acme.yaml", "--keys", self.directory / "acme.keys.yaml",
                          "--node", node, node=node)

    def keep(self, node, network="acme"):
        """What systemd would run on a node."""
        return self.spawn(node, MANAGER, "run", "--network", network, node=node)

    def manager(self, node, command, *arguments, **options):
        """Runs vne-manager on a node."""
        return run(MANAGER, command, "--instance", self.hosts[node].name, *arguments,
                   preexec_fn=lambda: self.enter(node), **options)

    def status(self, node):
        return json.loads(self.manager(node, "status", "--json").stdout)

    def enter(self, node):
        (self.hosts[node].cgroup / "engines" / "cgroup.procs").write_text("0")
        setns(self.hosts[node].namespace)

    def spawn(self, name, *command, node=None):
        """Starts a program: of the manager on a node, or of the underlay."""
        if node:
            command = [*command[:2], "--instance", self.hosts[node].name, *command[2:]]
        with (self.directory / f"{name}.log").open("a") as log:
            child = subprocess.Popen(
                list(map(str, command)), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
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
