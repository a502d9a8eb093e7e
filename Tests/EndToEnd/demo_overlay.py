"""A network across hosts: what `make demo-overlay` runs.

Seven nodes on one machine, each a namespace with nothing but an address on an underlay: three managers and four hosts join
with one command each. Real servers run in environments on different hosts. A permit comes and goes, an application moves to another
host, a manager dies, it moves again, another manager's link is cut. Prints what was tried, and leaves nothing behind.
"""

import json
import subprocess
import sys
import time
from contextlib import ExitStack

from daemon import Daemon
from demo import fetch
from nodes import MANAGER, InvitedNodes
from servers import nginx, redis
from test_network import ASK_ALWAYS, ECHO
from world import AGENT, ASK_TCP, PYTHON_PRELUDE, TCP_WHO, kernel_objects, left_behind, run, sweep

TOPOLOGY = """network: acme
addressSpace: 10.10.0.0/16
subnets: {nodes: 10.10.255.0/24}
underlays: {internet: }
environments:
  shop: {addresses: 10.10.2.0/24}
  payments: {addresses: 10.10.3.0/24}
applications:
  web: {environment: shop, address: 10.10.2.33, hostname: web.acme}
  bank: {environment: payments, address: 10.10.3.49, hostname: bank.acme}
managers:
  london: {address: 10.10.255.1, endpoints: {internet: 192.0.2.1}}
  paris: {address: 10.10.255.2, endpoints: {internet: 192.0.2.2}}
  rome: {address: 10.10.255.3, endpoints: {internet: 192.0.2.3}}
hosts:
  one: {address: 10.10.255.11, applications: [10.10.2.16/28, 10.10.3.16/28]}
  two: {address: 10.10.255.12, applications: [10.10.2.32/28, 10.10.3.32/28]}
  three: {address: 10.10.255.13, applications: [10.10.2.48/28, 10.10.3.48/28], claims: 10.10.2.128/25}
  four: {address: 10.10.255.14, applications: [10.10.2.64/28, 10.10.3.64/28], claims: 10.10.2.128/25}
store: [london, paris, rome]
"""
MANAGERS = ("london", "paris", "rome")
HOSTS = ("one", "two", "three", "four")
ENDPOINTS = {"london": "192.0.2.1", "paris": "192.0.2.2", "rome": "192.0.2.3", "one": "192.0.2.11", "two": "192.0.2.12",
             "three": "192.0.2.13", "four": "192.0.2.14"}
APPLICATIONS = (
    ("one", "client", "shop", "10.10.2.17", "curl, redis-cli"),
    ("two", "web", "shop", "10.10.2.33", "nginx on 0.0.0.0:80"),
    ("three", "bank", "payments", "10.10.3.49", "nginx on 0.0.0.0:80"),
    ("three", "cache", "shop", "10.10.2.49", "redis on 0.0.0.0:6379"),
    ("four", "echo", "shop", "10.10.2.200", "an echo server on 0.0.0.0:80"),
)
# What the second topology has besides.
PERMIT = ", permits: [{to: payments/bank, ports: [tcp/80]}]"
# What moves between hosts three and four.
MOVED = "10.10.2.200"


class Demo:
    def __init__(self, nodes):
        self.nodes = nodes
        self.wrong = 0

    def row(self, source, destination, why, expected, got):
        self.wrong += got != expected
        print(f"  {source:10} {destination:22} {why:26} {expected:12} {got:12} {'ok' if got == expected else 'WRONG'}")

    def check(self, what, is_right):
        self.wrong += not is_right
        print(f"  {what}: {'ok' if is_right else 'WRONG'}")

    def host(self, application):
        return self.nodes.hosts[next(row[0] for row in APPLICATIONS if row[1] == application)]

    def is_led_to(self, node, address):
        return self.nodes.leads_to(node, address)

    def attach(self, node, name, environment, address):
        self.nodes.hosts[node].attach(name, environment, address)

    def tries(self):
        client = self.host("client")
        print(f"\n  {'from':10} {'to':22} {'why':26} {'expected':12} {'got':12}")
        self.row("client", "web 10.10.2.33:80", "same VNE, other host", "web", fetch(client, "client", "10.10.2.33"))
        self.row("client", "cache 10.10.2.49:6379", "same VNE, other host", "PONG",
                 client.run("client", "redis-cli", "-h", "10.10.2.49", "ping").stdout.strip())
        self.row("client", "bank 10.10.3.49:80", "other VNE, other host", "EPERM", fetch(client, "client", "10.10.3.49"))
        self.row("bank", "web 10.10.2.33:80", "other VNE, other host", "EPERM", fetch(self.host("bank"), "bank", "10.10.2.33"))
        who = client.python("client", ASK_TCP, "10.10.2.33", "7000")
        self.row("client", "web 10.10.2.33:7000", "the address that it sees", "10.10.2.17", who[0])
        self.row("client", "nobody 10.10.2.99:80", "an address without a host", "no answer",
                 fetch(client, "client", "10.10.2.99"))

    def named(self, name):
        """What client gets by a name, with its host's hosts file where programs look."""
        return self.host("client").run("client", "unshare", "--mount", "sh", "-c",
                                       'mount --bind "$0" /etc/hosts && exec curl -sS --max-time 2 "http://$1/"',
                                       self.host("client").hosts, name).stdout.strip()

    def publish(self, permits, expected):
        """Another topology, and how long it takes until it holds."""
        place = self.nodes.directory / "newer.yaml"
        place.write_text(TOPOLOGY.replace("shop: {addresses: 10.10.2.0/24", f"shop: {{addresses: 10.10.2.0/24{permits}"))
        self.nodes.manager("london", "topology publish", place)
        begun = time.monotonic()
        client = self.host("client")
        while (got := fetch(client, "client", "10.10.3.49")) != expected and time.monotonic() - begun < 20:
            time.sleep(0.05)
        why = "permitted" if permits else "the permit is gone"
        self.row("client", "bank 10.10.3.49:80", f"{why}, {time.monotonic() - begun:.1f} s", expected, got)

    def permits(self):
        print("\nA topology with a permit is published on one manager, and then one without:\n")
        self.row("client", "http://web.acme/", "a name of the topology", "web", self.named("web.acme"))
        self.publish(PERMIT, "bank")
        self.row("client", "http://bank.acme/", "the same by name", "bank", self.named("bank.acme"))
        self.row("bank", "web 10.10.2.33:80", "not the other way", "EPERM", fetch(self.host("bank"), "bank", "10.10.2.33"))
        self.publish("", "EPERM")

    def asking(self):
        client = self.host("client")
        child = client.start("client", sys.executable, "-u", "-c", PYTHON_PRELUDE + ASK_ALWAYS, MOVED,
                             stdin=subprocess.PIPE)
        child.stdout.readline()
        return child

    def told(self, child):
        out, _ = child.communicate("stop\n", timeout=60)
        return json.loads(out.strip().splitlines()[-1])

    def carrier(self):
        def sent():
            return {tunnel["node"]: tunnel["sent"] for tunnel in self.nodes.status("one")["tunnels"]}
        before = sent()
        time.sleep(0.5)
        return max((after - before[node], node) for node, after in sent().items())[1]

    def fault(self, what, inject):
        """A fault on the way that a connection takes now."""
        asking = self.asking()
        victim = self.carrier()
        inject(victim)
        time.sleep(3)
        gap, broken, answers = self.told(asking)
        self.check(f"{what.format(victim)}: {gap * 1000:.0f} ms without an answer, {broken} of 1 connections broken",
                   broken == 0 and gap < 3)
        return victim

    def cut(self, victim):
        run("ip", "-n", self.nodes.name, "link", "set", self.nodes.leg(victim), "down")

    def move(self, old, new, when):
        """An application goes to another host: it ends here and is detached, is attached there and starts."""
        begun = time.monotonic()
        self.echo.kill()
        self.echo.wait()
        self.nodes.hosts[old].agent("detach", "echo")
        self.attach(new, "echo", "shop", MOVED)
        self.echo = self.nodes.hosts[new].serve("echo", ECHO)
        others = [node for node in HOSTS if node != new]
        self.nodes.wait_until(lambda: all(self.has_way(node, MOVED) for node in others), 20, "the address is not there")
        client = self.host("client")
        self.nodes.wait_until(lambda: self.answers(client), 20, "nobody answers there")
        self.check(f"echo went from host {old} to host {new} {when}, {time.monotonic() - begun:.2f} s from its end to its first "
                   "answer", True)

    def has_way(self, node, address):
        return bool(self.nodes.run(node, "ip", "route", "show", f"{address}/32", "proto", "bird").stdout)

    def answers(self, client):
        probe = f"answer(socket.create_connection(('{MOVED}', 80), timeout=1).getsockname()[0])"
        return client.python("client", probe) == "10.10.2.17"

    def run(self, begun, daemons):
        for node in HOSTS:
            host = self.nodes.hosts[node]
            host.hosts = host.directory / "hosts"
            host.hosts.write_text("127.0.0.1 localhost\n")
            (host.directory / "policy.yaml").symlink_to(f"/var/lib/vne-manager/{self.nodes.network(node)}/policy.yaml")
            daemons.enter_context(Daemon(host))
        for node, name, environment, address, what in APPLICATIONS:
            self.attach(node, name, environment, address)
            print(f"  {name:7} {environment:9} {address:11} on host {node:6} {what}")
        nginx(self.host("web"), "web", "web")
        nginx(self.host("bank"), "bank", "bank")
        redis(self.host("cache"), "cache")
        self.echo = self.host("echo").serve("echo", ECHO)
        self.host("web").serve("web", TCP_WHO, "0.0.0.0", "7000")
        for _, _, _, address, _ in APPLICATIONS:
            owner = next(row[0] for row in APPLICATIONS if row[3] == address)
            others = [node for node in HOSTS if node != owner]
            self.nodes.wait_until(lambda: all(self.is_led_to(node, address) for node in others), 30, f"no way to {address}")
        self.nodes.wait_until(lambda: fetch(self.host("client"), "client", "10.10.2.33") == "web", 20, "no answer")
        took = time.monotonic() - begun
        self.check(f"from the topology to the first answer from host to host: {took:.1f} s", took < 60)
        self.tries()
        self.permits()
        print()
        self.move("four", "three", "and kept its address")
        print("\nA connection from client to echo, and what happens on the way that it takes:\n")
        self.fault("the manager {} was killed, all its processes at once", self.nodes.kill)
        self.move("three", "four", "while that manager is dead")
        self.fault("the link of the manager {} was cut", self.cut)
        self.tries()


def main():
    for program in (AGENT, MANAGER):
        if not program.exists():
            sys.exit(f"bin/{program.name} is missing: run make build first")
    sweep()
    before = kernel_objects()
    print("Seven nodes with an address on an underlay each; one command a node: vne-manager init, and join\n")
    begun = time.monotonic()
    with InvitedNodes(TOPOLOGY, ENDPOINTS) as nodes, ExitStack() as daemons:
        demo = Demo(nodes)
        demo.run(begun, daemons)
        print("\n" + nodes.manager("one", "status").stdout)
    if left := left_behind(before, 10):
        sys.exit(f"demo-overlay: something was left behind: {left}")
    if demo.wrong:
        sys.exit(f"demo-overlay: {demo.wrong} tries did not go as expected")
    print("Everything as expected, nothing left behind.")


if __name__ == "__main__":
    main()
