"""Applications on different hosts of a network: who reaches whom, and what happens when a part of the network dies."""

import json
import subprocess
import sys
import time
import unittest
from pathlib import Path

from nodes import BRIDGE, Nodes
from world import ASK_TCP, ASK_UDP, PYTHON, PYTHON_PRELUDE, SLOWNESS, TCP_WHO, UDP_WHO, lasting, run

TOPOLOGY = """
network: acme
addressSpace: 10.10.0.0/16
subnets: {nodes: 10.10.255.0/24}
underlays: {internet: {mtu: 1400}}
environments: {shop: 10.10.2.0/24, payments: 10.10.3.0/24}
managers:
  london: {address: 10.10.255.1, endpoints: {internet: 192.0.2.1}}
  paris: {address: 10.10.255.2, endpoints: {internet: 192.0.2.2}}
hosts:
  web: {address: 10.10.255.11, applications: [10.10.2.0/28, 10.10.3.0/28]}
  bank: {address: 10.10.255.12, applications: [10.10.2.16/28, 10.10.3.16/28]}
"""
ENDPOINTS = {"london": "192.0.2.1", "paris": "192.0.2.2", "web": "192.0.2.11", "bank": "192.0.2.12"}
HOSTS = ("web", "bank")

# Asks an echo server again and again over one connection and over new ones, until it is told to stop; says how long it
# was without an answer at most, and how often a connection broke.
ASK_ALWAYS = """
import select
def talk(client):
    client.sendall(b"x" * 100)
    got = 0
    while got < 100:
        part = client.recv(100)
        if not part:
            raise ConnectionError()
        got += len(part)
def connect():
    client = socket.create_connection((sys.argv[1], 80), timeout=15)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client
stream = connect()
gap = broken = answers = 0
last = time.monotonic()
ready()
while not select.select([sys.stdin], [], [], 0.001)[0]:
    try:
        talk(stream)
    except OSError:
        broken += 1
        stream = connect()
    now = time.monotonic()
    gap, last, answers = max(gap, now - last), now, answers + 1
answer([gap, broken, answers])
"""

ECHO = """
import threading
def serve(client):
    with client:
        while data := client.recv(65536):
            client.sendall(data)
with socket.create_server(("0.0.0.0", 80)) as listener:
    ready()
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

# Says in which network it is, and who asked.
NAMED = """
with socket.create_server(("0.0.0.0", 80)) as listener:
    ready()
    while True:
        client, peer = listener.accept()
        with client:
            client.sendall(json.dumps([sys.argv[1], peer[0]]).encode())
"""


def setUpModule():
    unittest.enterModuleContext(lasting(*HOSTS))


class Applications(unittest.TestCase):
    def setUp(self):
        self.nodes = Nodes(TOPOLOGY, ENDPOINTS)
        self.nodes.__enter__()
        self.addCleanup(self.nodes.__exit__)
        for node in HOSTS:
            self.nodes.keep(node)
        self.web, self.bank = (self.nodes.hosts[node] for node in HOSTS)
        self.nodes.isolate(("web", "acme", self.web), ("bank", "acme", self.bank))
        self.nodes.wait_until(lambda: len(self.ways("bank")) == len(self.ways("web")) == 2, 30 * SLOWNESS,
                              "the network does not come up")

    def ways(self, node):
        """Through whom a node has ways to the other host."""
        other = {"web": "10.10.255.12", "bank": "10.10.255.11"}[node]
        routes = {route["destination"]: route["through"] for route in self.nodes.status(node)["routes"]}
        return routes.get(other, [])

    def is_led_to(self, node, address):
        return self.nodes.leads_to(node, address)

    def attach(self, host, name, environment, address, by=None):
        """An application, and the other host (or another node) that has to hear of it."""
        host.attach(name, environment, address)
        self.nodes.wait_until(lambda: self.is_led_to(by, address), 10 * SLOWNESS, f"nothing leads to {address}")

    def ask(self, host, application, address):
        return host.python(application, ASK_TCP, address, "80")

    def test_an_application_reaches_its_environment_on_another_host_and_no_other_one(self):
        self.attach(self.bank, "till", "shop", "10.10.2.17", by="web")
        self.attach(self.bank, "vault", "payments", "10.10.3.17", by="web")
        self.attach(self.web, "front", "shop", "10.10.2.1", by="bank")
        for name in ("till", "vault"):
            self.bank.serve(name, TCP_WHO, "0.0.0.0", "80")
            self.bank.serve(name, UDP_WHO, "0.0.0.0", "80")
        # Each sees the other's application address, and no host's.
        self.assertEqual(self.ask(self.web, "front", "10.10.2.17"), ["10.10.2.1", "10.10.2.17"])
        self.assertEqual(self.web.python("front", ASK_UDP, "10.10.2.17", "80", "sendto"), ["10.10.2.1", "x"])
        begun = time.monotonic()
        self.assertEqual(self.ask(self.web, "front", "10.10.3.17"), "EPERM")
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(self.web.python("front", ASK_UDP, "10.10.3.17", "80", "sendto"), "EPERM")
        # Nor does the other host's agent rely on this one's: a process that is no application takes the address.
        own = self.nodes.network("web")
        run("ip", "-n", own, "address", "add", "10.10.2.1/32", "dev", "lo")

        def foreign():
            return self.bank.counts("vault", "ingress").get("other-environment", 0)
        before = foreign()
        asked = self.web.python(None, ASK_TCP, "10.10.3.17", "80", "10.10.2.1", namespace=f"/run/netns/{own}")
        self.assertEqual(asked, "timeout")
        self.assertGreater(foreign(), before)

    def test_an_application_that_stops_is_led_to_no_more_and_one_that_comes_back_is(self):
        self.attach(self.bank, "till", "shop", "10.10.2.17", by="web")
        self.assertEqual(self.nodes.status("bank")["applications"], ["10.10.2.17"])
        self.bank.agent("detach", "till")
        self.nodes.wait_until(lambda: not self.is_led_to("web", "10.10.2.17"), 10 * SLOWNESS, "the way stays")
        self.bank.attach("till", "shop", "10.10.2.17")
        took = self.nodes.wait_until(lambda: self.is_led_to("web", "10.10.2.17"), 10 * SLOWNESS, "no way comes")
        print(f"\n  another host had a way to a new application after {took:.3f} s", flush=True)

    def test_an_address_that_is_another_host_s_is_led_to_where_it_belongs(self):
        self.attach(self.bank, "till", "shop", "10.10.2.17", by="web")
        self.bank.serve("till", TCP_WHO, "0.0.0.0", "80")
        self.attach(self.web, "front", "shop", "10.10.2.1", by="bank")
        # The same address, and one that belongs to nobody, on the wrong host.
        self.web.attach("thief", "shop", "10.10.2.18")
        self.web.attach("squatter", "shop", "10.10.2.200")
        time.sleep(1)
        for address in ("10.10.2.18", "10.10.2.200"):
            self.assertFalse(self.is_led_to("bank", address), address)
        self.assertEqual(self.nodes.status("web")["applications"], ["10.10.2.1"])
        # What it sends gets as far as its own host's end of the network, and no further.
        heard = self.nodes.listen(self.bank.name, "vne-network", "tcp")
        self.assertEqual(self.ask(self.web, "thief", "10.10.2.17"), "timeout")
        self.assertEqual(self.ask(self.web, "front", "10.10.2.17"), ["10.10.2.1", "10.10.2.17"])
        self.nodes.wait_until(lambda: "10.10.2.1." in heard.read_text(), 10 * SLOWNESS, "nothing was heard")
        self.assertNotIn("10.10.2.18", heard.read_text())

    def test_a_neighbour_on_the_underlay_with_an_application_s_source_gets_nowhere(self):
        self.attach(self.bank, "till", "shop", "10.10.2.17", by="web")
        self.attach(self.web, "front", "shop", "10.10.2.1", by="bank")
        self.bank.serve("till", UDP_WHO, "0.0.0.0", "80")
        space = self.nodes.name
        run("ip", "-n", space, "address", "add", "192.0.2.200/24", "dev", BRIDGE)
        run("ip", "-n", space, "address", "add", "10.10.2.1/32", "dev", BRIDGE)
        run("ip", "-n", space, "route", "add", "10.10.2.17", "via", ENDPOINTS["bank"])

        def forged():
            counts = self.bank.counts("till", "ingress")
            return counts.get("forged", 0)
        for tunnels in ("up", "down"):
            with self.subTest(tunnels=tunnels):
                self.assertEqual(self.nodes.status("bank")["up"], tunnels == "up")
                before = forged()
                self.web.python(None, ASK_UDP, "10.10.2.17", "80", "pktinfo", "10.10.2.1", namespace=f"/run/netns/{space}")
                self.nodes.wait_until(lambda: forged() > before, 10 * SLOWNESS, "it did not even come")
                self.nodes.manager("bank", "down")
        self.assertEqual(self.bank.counts("till", "ingress").get("own-environment", 0), 0)

    def test_what_a_dead_network_cannot_carry_is_not_sent_in_clear(self):
        self.attach(self.web, "front", "shop", "10.10.2.1", by="bank")
        heard = self.nodes.listen(self.web.name, "eth0", "net", "10.10.0.0/16")
        run("ip", "-n", self.web.name, "route", "add", "default", "via", "192.0.2.12")
        for step in (lambda: None, lambda: [self.nodes.kill(node) for node in ("london", "paris")],
                     lambda: self.nodes.kill("web"), lambda: self.nodes.manager("web", "down")):
            step()
            self.assertIn(self.ask(self.web, "front", "10.10.2.17"), ("EHOSTUNREACH", "timeout", "ENETUNREACH"))
        # A control that does leave has to be heard.
        self.web.python("front", ASK_UDP, "198.51.100.1", "80", "sendto")
        self.nodes.wait_until(lambda: "198.51.100.1" in heard.read_text(), 10 * SLOWNESS, "nothing was heard")
        self.assertNotIn("10.10.2.17", heard.read_text())

    def test_nothing_of_applications_is_in_clear_on_the_underlay(self):
        self.attach(self.bank, "till", "shop", "10.10.2.17", by="web")
        self.attach(self.web, "front", "shop", "10.10.2.1", by="bank")
        self.bank.serve("till", UDP_WHO, "0.0.0.0", "80")
        send = """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(2)
    client.sendto(bytes.fromhex(sys.argv[2]), (sys.argv[1], 80))
    try:
        answer(len(client.recv(1000)) > 0)
    except OSError:
        answer(False)
"""
        capture = self.nodes.directory / "underlay.pcap"
        listener = self.nodes.spawn("u", "tcpdump", "--immediate-mode", "-qUi", BRIDGE, "-w", capture)
        self.nodes.wait_until(capture.exists, 10 * SLOWNESS, "nobody listens")
        marker, clear = "5a4b3c2d" * 8, "c3d4e5f6" * 8
        self.assertTrue(self.web.python("front", send, "10.10.2.17", marker), "it did not go through the network")
        # A control that is in clear has to be found.
        self.web.python(None, send, "192.0.2.12", clear)
        self.nodes.wait_until(lambda: bytes.fromhex(clear) in capture.read_bytes(), 10 * SLOWNESS, "nothing was heard")
        listener.terminate()
        self.assertNotIn(bytes.fromhex(marker), capture.read_bytes())

    def test_what_a_host_takes_in_from_the_network_is_put_together_on_the_way(self):
        self.attach(self.bank, "till", "shop", "10.10.2.17", by="web")
        self.attach(self.web, "front", "shop", "10.10.2.1", by="bank")
        self.bank.serve("till", ECHO)
        # Larger than any packet of a tunnel.
        heard = self.nodes.listen(self.bank.name, "vne-network", "tcp", "and", "src", "10.10.2.1", "and", "greater", "2600")
        push = "client = socket.create_connection((sys.argv[1], 80)); client.settimeout(5)\nfor _ in range(20):\n" \
            "    client.sendall(bytes(1 << 18)); left = 1 << 18\n    while left: left -= len(client.recv(1 << 16))\nanswer('all')"
        for _ in range(10):
            self.assertEqual(self.web.python("front", push, "10.10.2.17"), "all")
            if "10.10.2.1." in heard.read_text():
                break
        self.assertIn("10.10.2.1.", heard.read_text())

    def begin_asking(self):
        """An application that asks another one on the other host, over one connection."""
        self.attach(self.bank, "till", "shop", "10.10.2.17", by="web")
        self.attach(self.web, "front", "shop", "10.10.2.1", by="bank")
        self.bank.serve("till", ECHO)
        child = self.web.start("front", *PYTHON, "-u", "-c", PYTHON_PRELUDE + ASK_ALWAYS, "10.10.2.17",
                               stdin=subprocess.PIPE)
        self.assertEqual(child.stdout.readline(), "ready\n")
        return child

    def carrier(self):
        """The manager that carries what web sends to bank."""
        def sent():
            return {tunnel["node"]: tunnel["sent"] for tunnel in self.nodes.status("web")["tunnels"]}
        before = sent()
        time.sleep(0.5)
        return max((after - before[node], node) for node, after in sent().items())[1]

    def test_a_node_that_was_taken_down_stays_down_until_it_is_brought_up(self):
        self.attach(self.bank, "till", "shop", "10.10.2.17", by="web")
        self.nodes.manager("bank", "down")
        # Longer than the keeper needs to begin what ended again.
        time.sleep(2)
        self.assertFalse(self.nodes.status("bank")["up"])
        self.nodes.manager("bank", "up")
        self.nodes.wait_until(lambda: self.is_led_to("web", "10.10.2.17"), 20 * SLOWNESS, "it does not come back")
        # The keeper follows again.
        self.bank.agent("detach", "till")
        self.nodes.wait_until(lambda: not self.is_led_to("web", "10.10.2.17"), 20 * SLOWNESS, "the way stays")

    def test_a_host_that_boots_is_closed_before_anything_of_the_network_is_there(self):
        closed = Path(f"/var/lib/vne-manager/{self.nodes.network('bank')}/closed.batch")
        run("ip", "netns", "add", self.nodes.name + "b")
        self.addCleanup(run, "ip", "netns", "delete", self.nodes.name + "b")
        booted = ("ip", "-n", self.nodes.name + "b")
        run(*booted, "link", "set", "lo", "up")
        run(*booted, "route", "add", "default", "dev", "lo")
        self.assertEqual(run(*booted, "route", "get", "10.10.2.1", check=False).returncode, 0)
        # As the unit does before anything else.
        run(*booted, "-batch", closed)
        self.assertNotEqual(run(*booted, "route", "get", "10.10.2.1", check=False).returncode, 0)

    def test_a_node_s_own_talk_is_not_for_applications(self):
        self.attach(self.web, "front", "shop", "10.10.2.1", by="bank")
        # Applications may not even send there; a process of the host does so with an application's source.
        own = self.nodes.network("web")
        rules = run("ip", "netns", "exec", own, "nft", "list", "chain", "inet", "vne_network", "input").stdout
        self.assertIn('iifname "vne-network" drop', rules)
        ask = ASK_TCP.replace("client.connect", "client.setsockopt(1, 25, b'vne-network'); client.connect")
        self.assertEqual(self.web.python(None, ask, "169.254.0.255", "179", "169.254.0.0"), "timeout")
        run("ip", "netns", "exec", own, "nft", "flush", "chain", "inet", "vne_network", "input")
        run("ip", "netns", "exec", own, "nft", "flush", "chain", "inet", "vne_network", "prerouting")
        # A control: without the filter something answers, if only that nobody listens there.
        self.assertNotEqual(self.web.python(None, ask, "169.254.0.255", "179", "169.254.0.0"), "timeout")

    def test_the_death_of_the_manager_that_carries_a_connection_does_not_break_it(self):
        asking = self.begin_asking()
        victim = self.carrier()
        self.nodes.kill(victim)
        time.sleep(3)
        self.assertNotEqual(self.carrier(), victim)
        out, _ = asking.communicate("stop\n", timeout=60)
        gap, broken, answers = json.loads(out.strip().splitlines()[-1])
        print(f"\n  {gap:.3f} s without an answer, {broken} connections broken, {answers} answers", flush=True)
        self.assertEqual(broken, 0)
        # What BGP alone would wait; make bench-overlay measures.
        self.assertLess(gap, 3 * SLOWNESS)


class TwoNetworks(unittest.TestCase):
    """Two customers' networks with the same addresses, on the same nodes."""

    def setUp(self):
        self.nodes = Nodes(TOPOLOGY, ENDPOINTS)
        self.nodes.__enter__()
        self.addCleanup(self.nodes.__exit__)
        other = TOPOLOGY.replace("network: acme", "network: beta").replace("mtu: 1400", "mtu: 1400, port: 53000")
        self.nodes.write(other, "beta")
        for node in ENDPOINTS:
            self.nodes.add(node, "beta", *(["--apart"] if node in HOSTS else []))
        for node in HOSTS:
            for network in ("acme", "beta"):
                self.nodes.keep(node, network)
        self.hosts = {}
        for node in HOSTS:
            joined = self.nodes.hosts[node]
            apart = self.nodes.apart(node, "beta")
            self.hosts[node] = {"acme": joined, "beta": apart}
        self.nodes.isolate(*((node, network, host) for node in HOSTS for network, host in self.hosts[node].items()))

    def is_led_to(self, network, node, address):
        return self.nodes.leads_to(node, address, network)

    def test_the_same_address_on_the_same_hosts_is_somebody_else_in_each(self):
        for network in ("acme", "beta"):
            self.hosts["bank"][network].attach("till", "shop", "10.10.2.17")
            self.hosts["web"][network].attach("front", "shop", "10.10.2.1")
            # Says which network it is in, on one port in both.
            self.hosts["bank"][network].serve("till", NAMED, network)
        for network in ("acme", "beta"):
            self.nodes.wait_until(lambda: self.is_led_to(network, "web", "10.10.2.17"), 20 * SLOWNESS, "no way to bank")
            self.nodes.wait_until(lambda: self.is_led_to(network, "bank", "10.10.2.1"), 20 * SLOWNESS, "no way to web")
            for _ in range(20):
                self.assertEqual(self.hosts["web"][network].python("front", ASK_TCP, "10.10.2.17", "80"),
                                 [network, "10.10.2.1"])
        # Where one has nobody, the other's is not taken for him.
        self.hosts["bank"]["acme"].agent("detach", "till")
        self.nodes.wait_until(lambda: not self.is_led_to("acme", "web", "10.10.2.17"), 10 * SLOWNESS, "the way stays")
        self.assertEqual(self.hosts["web"]["acme"].python("front", ASK_TCP, "10.10.2.17", "80"), "EHOSTUNREACH")
        self.assertEqual(self.hosts["web"]["beta"].python("front", ASK_TCP, "10.10.2.17", "80"), ["beta", "10.10.2.1"])

    def test_a_second_network_that_is_not_kept_apart_is_refused(self):
        refused = self.nodes.add("web", "beta", "--joined", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("join this one with --apart", refused.stderr)


if __name__ == "__main__":
    unittest.main()
