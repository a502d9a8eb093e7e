"""A network on two underlays: one carries on where the other fails, with packets that fit."""

import json
import re
import subprocess
import time
import unittest

from nodes import BRIDGE, SPARE, Nodes
from test_network import ECHO
from world import PYTHON, PYTHON_PRELUDE, SLOWNESS, run

TOPOLOGY = """
network: acme
addressSpace: 10.10.0.0/16
subnets: {nodes: 10.10.255.0/24}
underlays: {internet: {}, spare: {mtu: 1280}}
environments: {shop: 10.10.2.0/24}
managers:
  london: {address: 10.10.255.1, endpoints: {internet: 192.0.2.1, spare: 198.51.100.1}}
  paris: {address: 10.10.255.2, endpoints: {internet: 192.0.2.2, spare: 198.51.100.2}}
hosts:
  web: {address: 10.10.255.11, endpoints: {internet: 192.0.2.11, spare: 198.51.100.11}, applications: 10.10.2.0/28}
  bank: {address: 10.10.255.12, endpoints: {internet: 192.0.2.12, spare: 198.51.100.12}, applications: 10.10.2.16/28}
"""
NUMBERS = {"london": 1, "paris": 2, "web": 11, "bank": 12}
ENDPOINTS = {node: f"192.0.2.{number}" for node, number in NUMBERS.items()}
SPARES = {node: f"198.51.100.{number}" for node, number in NUMBERS.items()}
FRONT, TILL = "10.10.2.1", "10.10.2.17"

# Has much sent back over one connection, again and again. Each line that is read is answered with the longest time without
# anything, how often all came back, and how often the connection broke, since the line before.
EXCHANGE = """
import threading
gap, exchanges, broken, last = 0, 0, 0, time.monotonic()
def connect():
    return socket.create_connection((sys.argv[1], 80), timeout=30)
def talk(client):
    global gap, last
    thread = threading.Thread(target=client.sendall, args=(bytes(100000),))
    thread.start()
    left = 100000
    while left:
        part = client.recv(65536)
        if not part:
            raise ConnectionError()
        left -= len(part)
        now = time.monotonic()
        gap, last = max(gap, now - last), now
    thread.join()
def exchange():
    global exchanges, broken
    client = connect()
    while True:
        try:
            talk(client)
            exchanges += 1
        except OSError:
            broken += 1
            client = connect()
        time.sleep(0.002)
threading.Thread(target=exchange, daemon=True).start()
ready()
for line in sys.stdin:
    print(json.dumps([max(gap, time.monotonic() - last), exchanges, broken]), flush=True)
    gap = exchanges = broken = 0
"""


class SmallUnderlay(unittest.TestCase):
    def setUp(self):
        self.nodes = Nodes(TOPOLOGY, ENDPOINTS, SPARES)
        self.nodes.__enter__()
        self.addCleanup(self.nodes.__exit__)
        for node in ENDPOINTS:
            self.nodes.keep(node)
        self.web, self.bank = self.nodes.hosts["web"], self.nodes.hosts["bank"]
        self.nodes.isolate(("web", "acme", self.web), ("bank", "acme", self.bank))
        self.web.attach("front", "shop", FRONT)
        self.bank.attach("till", "shop", TILL)
        for node, prefix in (("web", "10.10.2.16/28"), ("bank", "10.10.2.0/28")):
            # Two managers, over two underlays each.
            self.nodes.wait_until(
                lambda: self.nodes.run(node, "ip", "route", "show", prefix).stdout.count("nexthop") == 4,
                30 * SLOWNESS, "the network does not come up")

    def carried(self, device):
        """What the applications' host sent and received over an underlay, in bytes."""
        (link,) = json.loads(run("ip", "-n", self.web.name, "-json", "-statistics", "link", "show", device).stdout)
        return [link["stats64"][way]["bytes"] for way in ("tx", "rx")]

    def goes_over(self, device):
        before = self.carried(device)
        time.sleep(1)
        return all(after - before > 500_000 for before, after in zip(before, self.carried(device)))

    def exchange(self):
        child = self.web.start("front", *PYTHON, "-u", "-c", PYTHON_PRELUDE + EXCHANGE, TILL,
                               stdin=subprocess.PIPE, bufsize=1)
        self.assertEqual(child.stdout.readline(), "ready\n")

        def ask():
            child.stdin.write("\n")
            return json.loads(child.stdout.readline())
        return child, ask

    def test_a_stream_goes_on_over_an_underlay_of_1280_bytes_when_the_other_one_dies(self):
        # Nothing larger, and no part of anything larger, gets through the spare underlay, and nobody says so.
        own = ("ip", "netns", "exec", self.nodes.name)
        legs = ", ".join(f'"{self.nodes.leg(node, SPARE)}"' for node in ENDPOINTS)
        run(*own, "nft", "-f", "-", input=f"""
table netdev narrow {{
    chain in {{
        type filter hook ingress devices = {{ {legs} }} priority 0
        ip frag-off & 0x3fff != 0 counter drop
        ip length > 1280 counter drop
    }}
}}
""")
        ping = ("ip", "netns", "exec", self.web.name, "ping", "-c", "1", "-W", "1", "-M", "dont", SPARES["bank"], "-s")
        self.assertEqual(run(*ping, "1252").returncode, 0)
        self.assertNotEqual(run(*ping, "1253", check=False).returncode, 0)

        def dropped():
            return re.findall(r"counter packets (\d+)", run(*own, "nft", "list", "table", "netdev", "narrow").stdout)
        before = dropped()
        self.assertGreater(int(before[0]), 0)
        self.bank.serve("till", ECHO)
        # Which underlay a connection takes is by chance.
        for _ in range(40):
            child, ask = self.exchange()
            if self.goes_over("eth0"):
                break
            child.kill()
            child.wait()
        else:
            self.fail("no connection takes the first underlay both ways")
        ask()
        run("ip", "-n", self.nodes.name, "link", "set", BRIDGE, "down")
        time.sleep(3)
        gap, _, broken = ask()
        self.assertTrue(self.goes_over("eth1"))
        time.sleep(3)
        stall, exchanges, again = ask()
        print(f"\n  {gap:.3f} s without anything, then {stall:.3f} s at most, {exchanges} times 100 kB", flush=True)
        self.assertEqual((broken, again), (0, 0))
        self.assertLess(gap, 1 * SLOWNESS)
        self.assertLess(stall, 0.5 * SLOWNESS)
        self.assertGreater(exchanges, 20 / SLOWNESS)
        self.assertEqual(dropped(), before)


if __name__ == "__main__":
    unittest.main()
