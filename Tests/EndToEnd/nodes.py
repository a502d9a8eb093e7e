"""The nodes of a network as namespaces on one machine, each with the real engines on what vne-manager made of a topology.

WireGuard is wireguard-go, which needs no kernel module; its UDP socket is in the node's namespace, beside the network's
addresses.
"""

import os
import subprocess
import time
from pathlib import Path

from world import AGENT, MOUNT, PREFIX, SLOWNESS, kill_cgroup, run, sweep_once

MANAGER = AGENT.with_name("vne-manager")
BRIDGE = "underlay"


class Nodes:
    """The nodes of a topology, joined by one underlay. Use as a context manager."""

    def __init__(self, topology, endpoints):
        self.topology = topology
        self.endpoints = endpoints
        self.name = f"{PREFIX}{os.getpid()}nodes"
        self.cgroup = MOUNT / self.name
        self.directory = Path(f"/tmp/{self.name}")
        self.children = []
        self.listeners = []

    def namespace(self, node):
        return f"{self.name}{node}"

    def __enter__(self):
        sweep_once()
        self.directory.mkdir()
        self.cgroup.mkdir()
        try:
            run("ip", "netns", "add", self.namespace("u"))
            run("ip", "-n", self.namespace("u"), "link", "add", "name", BRIDGE, "up", "type", "bridge")
            self.compile()
            for node, address in self.endpoints.items():
                self.wire(node, address)
            for node in self.endpoints:
                self.start(node)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        kill_cgroup(self.cgroup)
        for listener in self.listeners:
            listener.kill()
        for child in self.children:
            child.wait()
        for node in [*self.endpoints, "u"]:
            run("ip", "netns", "delete", self.namespace(node), check=False)
        run("rm", "-r", self.directory)

    def compile(self):
        """Keys, as they are made on each node, and every node's files."""
        keys = []
        for node in self.endpoints:
            private = run("wg", "genkey").stdout
            place = self.directory / f"{node}.key"
            place.write_text(private)
            place.chmod(0o600)
            keys.append(f"{node}: {run('wg', 'pubkey', input=private).stdout}")
        (self.directory / "keys.yaml").write_text("".join(keys))
        (self.directory / "network.yaml").write_text(self.topology)
        run(MANAGER, "topology", "compile", self.directory / "network.yaml", "--keys", self.directory / "keys.yaml",
            "--output", self.directory)

    def wire(self, node, address):
        """A namespace with a leg on the underlay."""
        own, leg = self.namespace(node), f"u{list(self.endpoints).index(node)}"
        run("ip", "netns", "add", own)
        run("ip", "-n", own, "link", "add", "eth0", "type", "veth", "peer", "name", leg, "netns", self.namespace("u"))
        run("ip", "-n", self.namespace("u"), "link", "set", leg, "master", BRIDGE, "up")
        run("ip", "-n", own, "address", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", own, "link", "set", "eth0", "up")
        # What was there before the node's own settings has those of before.
        run("ip", "netns", "exec", own, "sysctl", "-qw", "net.ipv4.conf.eth0.rp_filter=0")

    def start(self, node):
        """Tunnels, then addresses, then routing: in the node's cgroup, in a mount namespace with a /run of its own."""
        files = self.directory / node
        script = ["mount -t tmpfs tmpfs /run", "mkdir /run/wireguard", f"sysctl -qp {files / 'sysctl.conf'}",
                  f"nft -f {files / 'filter.nft'}"]
        for conf in sorted((files / "wireguard").iterdir()):
            device = conf.stem
            script += [f"WG_PROCESS_FOREGROUND=1 LOG_LEVEL=error wireguard-go -f {device} &",
                       f"while ! wg show {device} >/dev/null 2>&1; do sleep 0.02; done",
                       f"wg setconf {device} {conf}", f"wg set {device} private-key {self.directory / node}.key"]
        script += [f"ip -batch {files / 'addresses.batch'}", f"exec bird -f -c {files / 'bird.conf'} -s {files}/bird.ctl"]
        (files / "start").write_text("set -e\n" + "\n".join(script) + "\n")
        self.spawn(node, "unshare", "--mount", "sh", files / "start")

    def spawn(self, node, *command):
        """Starts a program of a node."""
        cgroup = self.cgroup / node
        cgroup.mkdir(exist_ok=True)

        def enter():
            (cgroup / "cgroup.procs").write_text("0")
        with (self.directory / f"{node}.log").open("a") as log:
            child = subprocess.Popen(["ip", "netns", "exec", self.namespace(node), *map(str, command)], preexec_fn=enter,
                                     stdout=log, stderr=subprocess.STDOUT)
        self.children.append(child)
        return child

    def run(self, node, *command, **options):
        """Runs a command of a node."""
        return run("ip", "netns", "exec", self.namespace(node), *command, **options)

    def kill(self, node):
        """Ends every process of a node at once."""
        (self.cgroup / node / "cgroup.kill").write_text("1")

    def bird(self, node, *command):
        return run("birdc", "-s", self.directory / node / "bird.ctl", *command).stdout

    def reconfigure(self, node, old, new):
        """Changes what BIRD reads at a node, as whoever owns the node can."""
        place = self.directory / node / "bird.conf"
        text = place.read_text()
        assert old in text, text
        place.write_text(text.replace(old, new))
        self.bird(node, "configure")

    def listen(self, node, interface, *expression):
        """Captures what a node sees from now on; heard() says what."""
        log = self.directory / f"{node}.{interface}.txt"
        with log.open("w") as output:
            child = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace(node), "tcpdump", "--immediate-mode", "-lni", interface, *expression],
                stdout=output, stderr=subprocess.STDOUT)
        self.children.append(child)
        self.listeners.append(child)
        self.wait_until(lambda: "listening on" in log.read_text(), 10 * SLOWNESS, "nobody listens")
        return log

    def reaches(self, node, address, source=None):
        """Whether an echo request is answered within a second."""
        origin = ["-I", source] if source else []
        return self.run(node, "ping", "-c", "1", "-W", "1", *origin, address, check=False).returncode == 0

    def wait_until(self, condition, seconds, message):
        """How long it took."""
        begun = time.monotonic()
        while not condition():
            if time.monotonic() - begun > seconds:
                logs = "\n".join(f"{log.name}:\n{log.read_text()[-800:]}" for log in self.directory.glob("*.log"))
                raise AssertionError(f"{message}\n{logs}")
            time.sleep(0.05)
        return time.monotonic() - begun
