"""What vne-manager makes of a topology, on the engines that read it: WireGuard and BIRD, a namespace a node."""

import json
import os
import re
import signal
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
  web: {address: 10.10.255.11, applications: 10.10.2.32/28}
  bank: {address: 10.10.255.12, applications: 10.10.2.48/28}
# No link is given up because this machine is busy.
failureDetection: {interval: 200ms}
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
        """Through whom a node has ways to another one."""
        routes = {route["destination"]: route["through"] for route in self.nodes.status(node)["routes"]}
        return routes.get(ADDRESSES[other], [])

    def have_ways(self, *through):
        return self.ways("web", "bank") == self.ways("bank", "web") == list(through)

    def leads(self, node, address):
        return self.nodes.run(node, "ip", "route", "get", address, check=False).returncode == 0

    def test_hosts_have_a_way_through_each_manager_and_lose_one_with_it(self):
        self.nodes.wait_until(lambda: self.have_ways("london", "paris"), 30 * SLOWNESS, "there are no two ways")
        self.nodes.kill("london")
        dead = "169.254.0.1 "
        took = self.nodes.wait_until(lambda: dead not in self.nodes.run("web", "ip", "route", "show", ADDRESSES["bank"]).stdout,
                                     10 * SLOWNESS, "the dead manager stays a way")
        self.nodes.wait_until(lambda: self.have_ways("paris"), 10 * SLOWNESS, "the other one is no way")
        print(f"\n  a dead manager was no way any more after {took:.2f} s", flush=True)
        for _ in range(20):
            self.assertTrue(self.nodes.reaches("web", ADDRESSES["bank"]))

    def test_a_status_is_what_the_schema_says_and_names_who_is_not_heard(self):
        self.nodes.wait_until(lambda: self.have_ways("london", "paris"), 30 * SLOWNESS, "there are no two ways")
        validator("node").validate(self.nodes.status("web"))
        self.assertEqual(self.nodes.manager("web", "status", "--check").returncode, 0)
        self.nodes.kill("london")
        self.nodes.wait_until(lambda: self.have_ways("paris"), 10 * SLOWNESS, "the dead manager stays a way")
        shown = self.nodes.manager("web", "status", "--check", check=False)
        self.assertEqual(shown.returncode, 1)
        self.assertRegex(shown.stdout, r"tunnel to london over internet, .*: (down|Connect|Active|Idle), silent, ")
        down = self.nodes.manager("london", "status").stdout
        self.assertIn("BIRD does not run", down)

    def view(self, node, command, check=True):
        """What a command says with --json, which is what its schema says."""
        shown = json.loads(self.nodes.manager(node, f"{command} --json", check=check).stdout)
        validator(command.split()[0]).validate(shown)
        return shown

    def test_links_ways_and_networks_of_a_node_are_shown(self):
        self.nodes.wait_until(lambda: self.have_ways("london", "paris"), 30 * SLOWNESS, "there are no two ways")
        self.assertEqual([(link["node"], link["link"]) for link in self.view("web", "links")],
                         [("london", "good"), ("paris", "good")])
        self.assertRegex(self.nodes.manager("web", "links").stdout, r"(?m)^london +internet +192\.0\.2\.1:\d+ +good +Established")
        self.assertIn({"destination": ADDRESSES["bank"], "through": ["london", "paris"]}, self.view("web", "routes"))
        # That of the host it belongs to, and not the address's own.
        self.assertEqual(self.view("web", "routes 10.10.2.49"),
                         [{"destination": "10.10.2.48/28", "through": ["london", "paris"]}])
        self.assertEqual(self.nodes.manager("web", "routes 10.10.2.49").stdout, "TO             THROUGH\n"
                         "10.10.2.48/28  london, paris\n")
        self.assertEqual(self.nodes.manager("web", f"routes {ADDRESSES['web']}").stdout.splitlines()[1], "10.10.255.11  this node")
        none = self.nodes.manager("web", "routes 10.10.9.9", check=False)
        self.assertEqual((none.returncode, none.stdout, none.stderr), (1, "", "vne-manager: web has no way to 10.10.9.9\n"))
        self.assertEqual(self.nodes.manager("web", "routes till", check=False).returncode, 2)
        self.assertEqual(self.view("web", "networks"), [
            {"network": "acme", "node": "web", "role": "host", "address": ADDRESSES["web"], "state": "up"}])

    def wrong(self, node):
        """What a node says is wrong with it, by what it is about."""
        return {finding["subject"]: (finding["what"], finding.get("remedy", ""))
                for finding in self.view(node, "doctor", check=False)["findings"] if finding["grade"] == "wrong"}

    def test_a_node_says_what_is_wrong_with_it_and_what_to_do(self):
        self.nodes.wait_until(lambda: self.have_ways("london", "paris"), 30 * SLOWNESS, "there are no two ways")
        self.nodes.wait_until(lambda: not self.wrong("web"), 30 * SLOWNESS, "it finds something wrong with a sound node")
        sound = self.nodes.manager("web", "doctor", "--all")
        self.assertIn("right: tunnel to paris over internet: good", sound.stdout)
        # What has no application has nobody to lead to.
        self.assertIn("notice: applications: ", self.nodes.manager("web", "doctor").stdout)
        os.kill(int(self.nodes.place("web", "bird.pid").read_text()), signal.SIGKILL)
        run("ip", "-n", self.nodes.hosts["paris"].name, "link", "set", "eth0", "down")
        subject = "tunnel to paris over internet"
        self.nodes.wait_until(lambda: {"engines", subject} <= set(self.wrong("web")), 10 * SLOWNESS, "it finds nothing wrong")
        wrong = self.wrong("web")
        self.assertEqual(wrong["engines"][0], "BIRD does not run")
        self.assertIn("vne-manager up mends it", wrong["engines"][1])
        self.assertIn("it forwards nothing", wrong[subject][0])
        self.assertIn("192.0.2.2, UDP port ", wrong[subject][1])
        self.assertEqual(self.nodes.manager("web", "doctor", check=False).returncode, 1)
        self.nodes.manager("web", "up")
        self.assertNotIn("engines", self.wrong("web"))
        self.nodes.manager("web", "down")
        self.assertEqual(self.wrong("web"), {"node": ("it was taken down", "vne-manager up")})
        self.assertEqual(self.view("web", "networks")[0]["state"], "down")

    def test_a_drained_manager_is_no_way_and_is_one_again(self):
        self.nodes.wait_until(lambda: self.have_ways("london", "paris"), 30 * SLOWNESS, "there are no two ways")
        processes = self.engines("london")
        self.nodes.manager("london", "drain")
        self.nodes.wait_until(lambda: self.have_ways("paris"), 10 * SLOWNESS, "a drained manager stays a way")
        self.assertTrue(self.nodes.status("london")["draining"])
        self.assertTrue(self.nodes.reaches("web", ADDRESSES["london"]))
        self.nodes.manager("london", "drain", "--undo")
        self.nodes.wait_until(lambda: self.have_ways("london", "paris"), 10 * SLOWNESS, "it does not come back")
        self.assertEqual(self.engines("london"), processes)

    def engines(self, node):
        """The processes of a node, by their numbers."""
        return sorted((self.nodes.hosts[node].cgroup / "engines" / "cgroup.procs").read_text().split())

    def test_what_ends_is_begun_again_and_nothing_else_is_touched(self):
        self.nodes.wait_until(lambda: self.have_ways("london", "paris"), 30 * SLOWNESS, "there are no two ways")
        before = self.engines("web")
        keeper = self.nodes.keep("web")
        for name in ("bird", "wireguard-go"):
            with self.subTest(name):
                victim = next(number for number in before
                              if Path(f"/proc/{number}/comm").read_text() == f"{name}\n")
                os.kill(int(victim), signal.SIGKILL)
                took = self.nodes.wait_until(lambda: victim not in self.engines("web") and self.is_up("web", before),
                                             10 * SLOWNESS, f"{name} stays dead")
                self.nodes.wait_until(lambda: self.have_ways("london", "paris"), 20 * SLOWNESS, "it is no way again")
                # The first one may end before it is looked after.
                if name != "bird":
                    self.assertIn(f"an engine ended: {name} ({victim}", self.nodes.logs())
                print(f"\n  {name} was begun again within {took:.2f} s", flush=True)
                now = self.engines("web")
                self.assertEqual(len(set(before) & set(now)), len(before) - 1, "others were begun again too")
                before = [number for number in now if number != str(keeper.pid)]
        # And nothing depends on who keeps it.
        keeper.kill()
        keeper.wait()
        self.assertTrue(self.nodes.reaches("web", ADDRESSES["bank"]))
        again = self.nodes.keep("web")
        self.nodes.wait_until(lambda: self.is_kept(again),
                              10 * SLOWNESS, "the keeper does not begin")
        self.nodes.manager("web", "up")
        self.assertLessEqual(set(before), set(self.engines("web")))
        again.terminate()
        self.assertEqual(again.wait(), 0)
        self.assertEqual(self.engines("web"), before)

    @staticmethod
    def is_kept(keeper):
        """Whether the process handles SIGTERM, the fifteenth bit."""
        caught = re.search(r"SigCgt:\t(\w+)", Path(f"/proc/{keeper.pid}/status").read_text())
        return bool(int(caught[1], 16) & 1 << 14)

    def is_up(self, node, before):
        status = self.nodes.status(node)
        return status["routingRuns"] and len(self.engines(node)) > len(before)

    def test_a_newer_topology_changes_what_is_new_and_nothing_else(self):
        self.nodes.wait_until(lambda: self.have_ways("london", "paris"), 30 * SLOWNESS, "there are no two ways")
        before = {node: self.engines(node) for node in ADDRESSES}
        direct = TOPOLOGY.replace("bank: {address: 10.10.255.12, applications: 10.10.2.48/28}",
                                  "bank: {address: 10.10.255.12, applications: 10.10.2.48/28, endpoints: {internet: 192.0.2.12}, "
                                  "direct: web}")
        for topology, through in ((direct, ["bank"]), (TOPOLOGY, ["london", "paris"])):
            self.nodes.write(topology)
            for node in ADDRESSES:
                self.assertEqual(self.nodes.begin(node).wait(), 0, self.nodes.logs())
            self.nodes.wait_until(lambda: self.ways("web", "bank") == through, 20 * SLOWNESS, "the ways stay")
            for node in ADDRESSES:
                self.assertLessEqual(set(before[node]), set(self.engines(node)), node)
        for node in ADDRESSES:
            self.assertEqual(self.engines(node), before[node])

    def test_a_node_whose_topology_is_not_understood_is_taken_down_and_left_all_the_same(self):
        # As after a step back to an older version.
        kept = Path(f"/var/lib/vne-manager/{self.nodes.network('web')}/topology.yaml")
        kept.write_text(kept.read_text() + "newer: true\n")
        self.assertEqual(self.nodes.manager("web", "status", check=False).returncode, 3)
        self.nodes.manager("web", "down")
        self.assertNotIn(self.nodes.network("web"), run("ip", "netns", "list").stdout)
        self.nodes.manager("web", "leave")
        self.assertFalse(kept.exists())

    def test_what_was_left_leaves_nothing(self):
        host = self.nodes.hosts["web"]
        keeper = self.nodes.keep("web")
        self.nodes.wait_until(lambda: self.is_kept(keeper),
                              10 * SLOWNESS, "the keeper does not begin")
        self.nodes.manager("web", "leave")
        self.nodes.wait_until(lambda: self.engines("web") == [], 20 * SLOWNESS, "something goes on")
        self.assertNotIn(self.nodes.network("web"), run("ip", "netns", "list").stdout)
        links = run("ip", "-n", host.name, "-br", "link").stdout
        self.assertNotIn("vne-network", links)
        self.assertNotIn("10.10.", run("ip", "-n", host.name, "route", "show", "table", "all").stdout)
        self.assertFalse(Path(f"/var/lib/vne-manager/{self.nodes.network('web')}").exists())
        self.assertEqual(keeper.wait(timeout=20 * SLOWNESS), 4, "who keeps it does not notice")
        gone = self.nodes.manager("web", "status", check=False)
        self.assertEqual(gone.returncode, 4)
        self.assertIn("this node is in no network", gone.stderr)

    def test_a_key_that_is_not_this_node_s_is_refused_and_nothing_changes(self):
        (self.nodes.directory / "acme.keys.yaml").write_text(
            "".join(f"{node}: {self.nodes.manager(other, 'key', 'acme').stdout}"
                    for node, other in zip(ADDRESSES, reversed(ADDRESSES))))
        before = self.engines("web")
        refused = self.nodes.manager("web", "join", self.nodes.directory / "acme.yaml", "--keys",
                                     self.nodes.directory / "acme.keys.yaml", "--node", "web", check=False)
        self.assertEqual(refused.returncode, 3)
        self.assertIn("and the key of this node is", refused.stderr)
        self.nodes.manager("web", "up")
        self.assertEqual(self.engines("web"), before)
        self.assertTrue(self.nodes.reaches("web", ADDRESSES["bank"]))

    def test_a_new_key_is_told_to_the_tunnels(self):
        kept = Path(f"/var/lib/vne-manager/{self.nodes.network('web')}")
        (kept / "private.key").unlink()
        self.nodes.write(TOPOLOGY)
        for node in ADDRESSES:
            self.assertEqual(self.nodes.begin(node).wait(), 0, self.nodes.logs())
        self.nodes.wait_until(lambda: self.nodes.reaches("web", ADDRESSES["bank"]), 30 * SLOWNESS, "the old key stays")

    def test_a_private_key_is_root_s_and_nobody_else_sees_it(self):
        kept = Path(f"/var/lib/vne-manager/{self.nodes.network('web')}")
        key = (kept / "private.key").read_text().strip()
        self.assertEqual(len(key), 44)
        for place in [kept, *kept.iterdir()]:
            self.assertEqual(place.stat().st_mode & 0o077, 0, place)
        shown = [path for path in self.nodes.place("web", "").rglob("*") if path.is_file()]
        self.assertGreater(len(shown), 5)
        for path in shown:
            self.assertNotIn(key, path.read_text(), path)
        for number in self.engines("web"):
            for file in ("cmdline", "environ"):
                self.assertNotIn(key, Path(f"/proc/{number}/{file}").read_text())

    def test_a_host_that_announces_what_is_not_its_own_is_not_believed(self):
        own = f"route {ADDRESSES['web']}/32 via \"lo\";"
        lies = [f"{ADDRESSES['bank']}/32", "10.10.2.48/28", "10.10.2.49/32", "10.10.2.32/29", "10.10.2.33/32", "10.10.2.5/32",
                "10.10.255.0/24", "10.10.0.0/16", "0.0.0.0/0", "10.10.255.128/25"]
        # One that the managers are made to take, so that it shows when the others have arrived, too.
        taken = "10.10.2.6/32"
        for manager in ("london", "paris"):
            filter = f"if net !~ [ {ADDRESSES['web']}/32, 10.10.2.32/28 ] then reject;"
            self.nodes.reconfigure(manager, (filter, filter.replace(" ]", f", {taken} ]")))
        self.nodes.reconfigure("web", (own, own + "".join(f' route {lie} via "lo";' for lie in [*lies, taken])))
        for manager in ("london", "paris"):
            self.nodes.wait_until(lambda: taken in self.nodes.bird(manager, "show", "route", "protocol", "hosts_0_11"),
                                  10 * SLOWNESS, "not even the one that is to be taken arrives")
            routes = self.nodes.bird(manager, "show", "route", "protocol", "hosts_0_11")
            for lie in lies:
                self.assertNotIn(lie, routes)
            for own in (ADDRESSES["web"], "10.10.2.32/28"):
                self.assertIn(own, routes)
            self.assertNotIn("169.254.0.11", self.nodes.run(manager, "ip", "route", "show", ADDRESSES["bank"]).stdout)

    def test_a_way_that_leads_to_somebody_else_is_not_believed(self):
        lie = "if source = RTS_STATIC then { bgp_next_hop = 169.254.0.2; accept; }"
        own = "if source !~ [ RTS_STATIC, RTS_INHERIT ] then reject;"
        self.nodes.reconfigure("web", ("next hop self;", ""), (own, lie + own))
        # What the host says is shown by a manager that is made to take it.
        self.nodes.wait_until(lambda: "hosts_0_11" not in self.nodes.bird("london", "show", "route"), 10 * SLOWNESS,
                              "a next hop that is somebody else's is believed")
        self.nodes.reconfigure("london", ("if bgp_next_hop != 169.254.0.11 then reject;", ""))
        self.nodes.wait_until(lambda: "169.254.0.2 on node2-0" in self.nodes.bird("london", "show", "route", "protocol", "hosts_0_11"),
                              10 * SLOWNESS, "the host does not even say it")

    def test_a_source_that_is_not_the_host_s_own_gets_nowhere(self):
        self.nodes.run("web", "ip", "address", "add", "10.10.2.5/32", "dev", "lo")
        heard = self.nodes.listen(self.nodes.network("bank"), "any", "icmp[icmptype] == icmp-echo")
        for source in ("10.10.2.5", ADDRESSES["web"], "10.10.2.5", ADDRESSES["web"]):
            self.nodes.reaches("web", ADDRESSES["bank"], source=source)
        self.nodes.wait_until(lambda: f"{ADDRESSES['web']} >" in heard.read_text(), 10 * SLOWNESS, "nothing arrived")
        self.assertNotIn("10.10.2.5 >", heard.read_text())

    def test_a_host_gets_no_further_than_the_network_by_a_manager(self):
        # A manager whose namespace has a way out, and a host that has its own engine send there.
        out = self.nodes.network("london")
        run("ip", "-n", out, "link", "add", "out", "type", "veth", "peer", "name", "beyond")
        run("ip", "-n", out, "link", "set", "out", "up", "arp", "off")
        run("ip", "-n", out, "link", "set", "beyond", "up")
        run("ip", "-n", out, "route", "add", "203.0.113.0/24", "dev", "out")
        key = next(line.split()[2] for line in self.nodes.place("web", "applied/node1-0.conf").read_text().splitlines()
                   if line.startswith("PublicKey"))
        sockets = self.nodes.place("web", "wireguard")
        run("unshare", "--mount", "sh", "-c", 'mkdir -p /run/wireguard && mount --bind "$1" /run/wireguard && shift && "$@"',
            "sh", sockets, "wg", "set", "node1-0", "peer", key, "allowed-ips", "169.254.0.1/32,10.10.0.0/16,203.0.113.0/24")
        self.nodes.run("web", "ip", "route", "add", "203.0.113.0/24", "via", "169.254.0.1")
        heard = self.nodes.listen(out, "any", "dst net 203.0.113.0/24")

        def sent():
            self.nodes.reaches("web", "203.0.113.1", source=ADDRESSES["web"])
            return heard.read_text()

        def left():
            return any(" Out " in line for line in sent().splitlines())
        self.nodes.wait_until(lambda: "203.0.113.1" in sent(), 10 * SLOWNESS, "it did not even come to the manager")
        self.assertFalse(left())
        # Without the filter it would.
        run("ip", "netns", "exec", out, "nft", "flush", "chain", "inet", "vne_network", "forward")
        self.nodes.wait_until(left, 10 * SLOWNESS, "nothing leaves without the filter either")

    def test_what_no_tunnel_leads_to_goes_nowhere_and_not_by_the_default_route(self):
        self.assertTrue(self.leads("web", ADDRESSES["bank"]))
        self.assertFalse(self.leads("web", "10.10.2.77"))
        for manager in ("london", "paris"):
            self.nodes.kill(manager)
        self.nodes.wait_until(lambda: not self.leads("web", ADDRESSES["bank"]), 10 * SLOWNESS,
                              "a dead network leads somewhere")
        # Neither from the host's own namespace, also while the network is down.
        host = self.nodes.hosts["web"].name
        run("ip", "-n", host, "route", "add", "default", "via", ENDPOINTS["bank"])
        self.nodes.manager("web", "down")
        self.assertIn("192.0.2.12", run("ip", "-n", host, "route", "get", "203.0.113.1").stdout)
        self.assertNotEqual(run("ip", "-n", host, "route", "get", "10.10.2.77", check=False).returncode, 0)


if __name__ == "__main__":
    unittest.main()
