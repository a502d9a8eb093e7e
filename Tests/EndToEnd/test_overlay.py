"""What vne-manager makes of a topology, on the engines that read it: WireGuard and BIRD, a namespace a node."""

import json
import tempfile
import unittest
from pathlib import Path

from nodes import BRIDGE, MANAGER, Nodes
from test_schemas import validator
from world import PROJECT, SLOWNESS, run

TOPOLOGY = """
network: acme
addressSpace: 10.10.0.0/16
subnets: {nodes: 10.10.255.0/24}
underlays: {internet: {mtu: 1500}}
environments: {shop: 10.10.2.0/24}
managers:
  london: {address: 10.10.255.1, endpoints: {internet: 192.0.2.1}}
  paris: {address: 10.10.255.2, endpoints: {internet: 192.0.2.2}}
hosts:
  web: {address: 10.10.255.11}
  bank: {address: 10.10.255.12}
"""
ENDPOINTS = {"london": "192.0.2.1", "paris": "192.0.2.2", "web": "192.0.2.11", "bank": "192.0.2.12"}
ADDRESSES = {"london": "10.10.255.1", "paris": "10.10.255.2", "web": "10.10.255.11", "bank": "10.10.255.12"}
GOLDEN = PROJECT / "Tests" / "OverlayModelTests" / "Golden"


class Files(unittest.TestCase):
    def test_bird_takes_every_routing_file(self):
        for conf in sorted(GOLDEN.glob("nodes/*/bird.conf")):
            with self.subTest(conf.parent.name):
                run("bird", "-p", "-c", conf)

    def test_what_is_shown_is_what_the_schema_says(self):
        shown = json.loads(run(MANAGER, "topology", "show", GOLDEN / "network.yaml", "--json").stdout)
        validator("topology").validate(shown)
        self.assertEqual(len(shown["tunnels"]), 19)
        text = run(MANAGER, "topology", "show", GOLDEN / "network.yaml").stdout
        self.assertIn("tunnel london - paris over internet: both, 1420 bytes\n", text)

    def test_each_kind_of_failure_has_a_status_and_a_sentence(self):
        for status, said, *arguments in (
                (2, "Usage:", "topology", "compile", "x.yaml", "--keys", "y.yaml"),
                (3, "subnets.yaml:6:24: “10.11.0.0/24”", "topology", "check", GOLDEN / "errors" / "subnets.yaml"),
                (4, "there is no file", "topology", "check", GOLDEN / "none.yaml"),
                (1, "cannot read", "topology", "check", GOLDEN)):
            with self.subTest(status):
                failed = run(MANAGER, *arguments, check=False)
                self.assertEqual(failed.returncode, status, failed.stderr)
                self.assertIn(said, failed.stderr)

    def test_a_node_s_files_are_printed_or_written_and_a_wrong_name_finds_the_nearest(self):
        arguments = [MANAGER, "topology", "compile", GOLDEN / "network.yaml", "--keys", GOLDEN / "keys.yaml"]
        printed = run(*arguments, "--node", "edge").stdout
        with tempfile.TemporaryDirectory() as directory:
            run(*arguments, "--output", directory)
            for place in sorted((GOLDEN / "nodes").rglob("*.*")):
                if place.is_file():
                    written = Path(directory) / place.relative_to(GOLDEN / "nodes")
                    self.assertEqual(written.read_text(), place.read_text(), written)
                    if place.is_relative_to(GOLDEN / "nodes" / "edge"):
                        self.assertIn(place.read_text(), printed)
        wrong = run(*arguments, "--node", "egde", check=False)
        self.assertEqual(wrong.returncode, 4)
        self.assertIn("did you mean “edge”?", wrong.stderr)


class Network(unittest.TestCase):
    """Two managers and two hosts that are on the underlay somewhere."""

    def setUp(self):
        self.nodes = Nodes(TOPOLOGY, ENDPOINTS)
        self.nodes.__enter__()
        self.addCleanup(self.nodes.__exit__)
        self.nodes.wait_until(self.is_whole, 60 * SLOWNESS, "the network does not come up")

    def is_whole(self):
        return all(self.nodes.reaches(one, ADDRESSES[other]) for one in ADDRESSES for other in ADDRESSES if one != other)

    def ways(self, node, other):
        """How many ways a node has to another one."""
        shown = self.nodes.run(node, "ip", "route", "show", f"{ADDRESSES[other]}/32").stdout
        return max(shown.count("nexthop"), shown.count(" via "))

    def have_ways(self, count):
        return self.ways("web", "bank") == self.ways("bank", "web") == count

    def leads(self, node, address):
        return self.nodes.run(node, "ip", "route", "get", address, check=False).returncode == 0

    def test_hosts_have_a_way_through_each_manager_and_lose_one_with_it(self):
        self.nodes.wait_until(lambda: self.have_ways(2), 30 * SLOWNESS, "there are no two ways")
        self.nodes.kill("london")
        took = self.nodes.wait_until(lambda: self.have_ways(1), 10 * SLOWNESS, "the dead manager stays a way")
        print(f"\n  a dead manager was no way any more after {took:.2f} s", flush=True)
        for _ in range(20):
            self.assertTrue(self.nodes.reaches("web", ADDRESSES["bank"]))

    def test_a_host_that_announces_what_is_not_its_own_is_not_believed(self):
        own = f"route {ADDRESSES['web']}/32 via \"lo\";"
        lies = [f"{ADDRESSES['bank']}/32", "10.10.2.5/32", "10.10.255.0/24", "10.10.0.0/16", "0.0.0.0/0",
                "10.10.255.128/25"]
        # One that the managers are made to take, so that it shows when the others have arrived, too.
        taken = "10.10.2.6/32"
        for manager in ("london", "paris"):
            filter = f"if net ~ [ {ADDRESSES['web']}/32 ] then accept;"
            self.nodes.reconfigure(manager, filter, filter.replace("/32 ]", f"/32, {taken} ]"))
        self.nodes.reconfigure("web", own, own + "".join(f' route {lie} via "lo";' for lie in [*lies, taken]))
        for manager in ("london", "paris"):
            self.nodes.wait_until(lambda: taken in self.nodes.bird(manager, "show", "route", "protocol", "hosts_0_11"),
                                  10 * SLOWNESS, "not even the one that is to be taken arrives")
            routes = self.nodes.bird(manager, "show", "route", "protocol", "hosts_0_11")
            for lie in lies:
                self.assertNotIn(lie, routes)
            self.assertIn(ADDRESSES["web"], routes)
            self.assertNotIn("169.254.0.11", self.nodes.run(manager, "ip", "route", "show", ADDRESSES["bank"]).stdout)

    def test_a_way_that_leads_to_somebody_else_is_not_believed(self):
        place = self.nodes.directory / "web" / "bird.conf"
        lie = "if source = RTS_STATIC then { bgp_next_hop = 169.254.0.2; accept; }"
        place.write_text(place.read_text().replace("next hop self;", "").replace(
            "if source = RTS_STATIC then accept;", lie))
        self.nodes.bird("web", "configure")
        # What the host says is shown by a manager that is made to take it.
        self.nodes.wait_until(lambda: "hosts_0_11" not in self.nodes.bird("london", "show", "route"), 10 * SLOWNESS,
                              "a next hop that is somebody else's is believed")
        self.nodes.reconfigure("london", "if bgp_next_hop != 169.254.0.11 then reject;", "")
        self.nodes.wait_until(lambda: "169.254.0.2 on node2-0" in self.nodes.bird("london", "show", "route", "protocol", "hosts_0_11"),
                              10 * SLOWNESS, "the host does not even say it")

    def test_a_source_that_is_not_the_host_s_own_gets_nowhere(self):
        self.nodes.run("web", "ip", "address", "add", "10.10.2.5/32", "dev", "lo")
        heard = self.nodes.listen("bank", "any", "icmp[icmptype] == icmp-echo")
        for source in ("10.10.2.5", ADDRESSES["web"], "10.10.2.5", ADDRESSES["web"]):
            self.nodes.reaches("web", ADDRESSES["bank"], source=source)
        self.nodes.wait_until(lambda: f"{ADDRESSES['web']} >" in heard.read_text(), 10 * SLOWNESS, "nothing arrived")
        self.assertNotIn("10.10.2.5 >", heard.read_text())

    def test_a_neighbour_on_the_underlay_is_nobody(self):
        """Neither with a source of the network through a manager, nor to a node's own address."""
        space = self.nodes.namespace("u")
        run("ip", "-n", space, "address", "add", "192.0.2.200/24", "dev", BRIDGE)
        run("ip", "-n", space, "address", "add", f"{ADDRESSES['web']}/32", "dev", "lo")
        for source in (ADDRESSES["web"], "192.0.2.200"):
            for target, by in ((ADDRESSES["bank"], ENDPOINTS["london"]), (ADDRESSES["london"], ENDPOINTS["london"]),
                               (ADDRESSES["bank"], ENDPOINTS["bank"])):
                run("ip", "-n", space, "route", "replace", target, "via", by)
                heard = self.nodes.listen(next(name for name in ADDRESSES if ADDRESSES[name] == target), "any",
                                          "icmp[icmptype] == icmp-echo")
                arrived = self.nodes.listen(next(name for name in ENDPOINTS if ENDPOINTS[name] == by), "eth0",
                                            "icmp[icmptype] == icmp-echo")
                run("ip", "netns", "exec", space, "ping", "-c", "2", "-i", "0.2", "-W", "1", "-I", source, target, check=False)
                # It did come by, on the underlay, and no further.
                self.nodes.wait_until(lambda: f"> {target}" in arrived.read_text(), 10 * SLOWNESS, "it was not even sent")
                further = [line for line in heard.read_text().splitlines() if f"> {target}" in line and "eth0" not in line]
                self.assertEqual(further, [])
        # And a host gets no further than the network by a manager.
        self.nodes.run("web", "ip", "route", "replace", "192.0.2.200/32", "via", "169.254.0.1")
        run("ip", "-n", space, "route", "replace", ADDRESSES["web"], "via", ENDPOINTS["london"])
        self.assertFalse(self.nodes.reaches("web", "192.0.2.200", source=ADDRESSES["web"]))

    def test_what_no_tunnel_leads_to_goes_nowhere_and_not_by_the_default_route(self):
        self.nodes.run("web", "ip", "route", "add", "default", "via", ENDPOINTS["bank"])
        self.assertTrue(self.leads("web", "203.0.113.1"))
        self.assertFalse(self.leads("web", "10.10.2.77"))
        self.assertTrue(self.leads("web", ADDRESSES["bank"]))
        for manager in ("london", "paris"):
            self.nodes.kill(manager)
        self.nodes.wait_until(lambda: not self.leads("web", ADDRESSES["bank"]), 10 * SLOWNESS,
                              "a dead network leads somewhere")

    def test_nothing_of_the_network_is_in_clear_on_the_underlay(self):
        marker = "5a" * 16
        capture = self.nodes.directory / "underlay.pcap"
        listener = self.nodes.spawn("u", "tcpdump", "--immediate-mode", "-qUi", BRIDGE, "-w", capture)
        self.nodes.wait_until(capture.exists, 10 * SLOWNESS, "nobody listens")
        self.nodes.run("web", "ping", "-c", "3", "-i", "0.2", "-p", marker, ADDRESSES["bank"])
        # A control that is in clear has to be found.
        clear = "c3" * 16
        self.nodes.run("web", "ping", "-c", "1", "-p", clear, ENDPOINTS["bank"])
        self.nodes.wait_until(lambda: bytes.fromhex(clear) in capture.read_bytes(), 10 * SLOWNESS, "nothing was heard")
        listener.terminate()
        self.assertNotIn(bytes.fromhex(marker), capture.read_bytes())


if __name__ == "__main__":
    unittest.main()
