"""Addresses that any of several hosts may have: who gets one, who does not, and what becomes of it when managers die."""

import json
import os
import signal
import subprocess
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from nodes import Nodes
from test_network import ASK_ALWAYS, ECHO
from world import ASK_TCP, ASK_UDP, PYTHON, PYTHON_PRELUDE, SLOWNESS, TCP_WHO, UDP_WHO, run

TOPOLOGY = """
network: acme
addressSpace: 10.10.0.0/16
subnets: {nodes: 10.10.255.0/24}
underlays: {internet: {mtu: 1400}}
environments: {shop: 10.10.2.0/24, payments: 10.10.3.0/24}
managers:
  london: {address: 10.10.255.1, endpoints: {internet: 192.0.2.1}}
  paris: {address: 10.10.255.2, endpoints: {internet: 192.0.2.2}}
  rome: {address: 10.10.255.3, endpoints: {internet: 192.0.2.3}}
hosts:
  web: {address: 10.10.255.11, applications: 10.10.2.0/28, claims: 10.10.2.128/25}
  bank: {address: 10.10.255.12, applications: 10.10.2.16/28, claims: [10.10.2.128/25, 10.10.3.200]}
store: [london, paris, rome]
"""
ENDPOINTS = {"london": "192.0.2.1", "paris": "192.0.2.2", "rome": "192.0.2.3", "web": "192.0.2.11",
             "bank": "192.0.2.12"}
MANAGERS = ("london", "paris", "rome")
HOSTS = ("web", "bank")


class Claims(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.nodes = Nodes(TOPOLOGY, ENDPOINTS)
        cls.nodes.__enter__()
        cls.addClassCleanup(cls.nodes.__exit__)
        cls.keepers = {node: cls.nodes.keep(node) for node in ENDPOINTS}
        cls.web, cls.bank = (cls.nodes.hosts[node] for node in HOSTS)
        cls.nodes.isolate(("web", "acme", cls.web), ("bank", "acme", cls.bank))
        # Each asks the other's application at an address that is its host's for good.
        cls.web.attach("front", "shop", "10.10.2.1")
        cls.bank.attach("counter", "shop", "10.10.2.17")
        for node, address in (("bank", "10.10.2.1"), ("web", "10.10.2.17")):
            cls.nodes.wait_until(lambda: cls.is_led_to(node, address), 60 * SLOWNESS, f"nothing leads to {address}")

    @classmethod
    def is_led_to(cls, node, address):
        """Whether a node has a way to an address at another node."""
        return cls.nodes.leads_to(node, address)

    def tearDown(self):
        self.nodes.hush()
        for host in (self.web, self.bank):
            for name in host.applications():
                if name not in ("front", "counter"):
                    host.agent("detach", name)
        for node in HOSTS:
            self.nodes.wait_until(lambda: not self.nodes.status(node)["claims"], 20 * SLOWNESS, "a claim stays")

    def holders(self, address):
        """Through whom the managers lead to an address: hosts, or other managers."""
        found = {}
        for manager in MANAGERS:
            for route in self.nodes.status(manager)["routes"]:
                if route["destination"] == address:
                    found[manager] = set(route["through"])
        return found

    def wait_for(self, address, host, message, seconds=20):
        """Until every manager leads to an address, by that host."""
        self.until(lambda: self.holders(address) == {manager: {host} for manager in MANAGERS}, message, seconds)

    def claimed(self, node):
        return [claim["address"] for claim in self.nodes.status(node)["claims"]]

    def refused(self, node):
        return {refusal["address"]: refusal["reason"] for refusal in self.nodes.status(node)["refused"]}

    def until(self, condition, message, seconds=20):
        return self.nodes.wait_until(condition, seconds * SLOWNESS, message)

    def test_an_application_keeps_its_address_on_another_host(self):
        self.web.attach("till", "shop", "10.10.2.200")
        self.web.serve("till", TCP_WHO, "0.0.0.0", "80")
        self.until(lambda: self.is_led_to("bank", "10.10.2.200"), "nothing leads to it")
        self.assertEqual(self.bank.python("counter", ASK_TCP, "10.10.2.200", "80"), ["10.10.2.17", "10.10.2.200"])
        # It waits at the other one until the first lets go.
        self.bank.attach("till", "shop", "10.10.2.200")
        self.until(lambda: self.refused("bank"), "nobody refuses it")
        self.assertEqual(self.refused("bank"), {"10.10.2.200": "web has it"})
        self.assertEqual(self.claimed("bank"), [])
        self.wait_for("10.10.2.200", "web", "not all managers lead to it")
        self.bank.serve("till", TCP_WHO, "0.0.0.0", "80")
        self.web.agent("detach", "till")
        took = self.until(lambda: self.is_led_to("web", "10.10.2.200"), "nothing leads to its new host")
        self.assertEqual(self.web.python("front", ASK_TCP, "10.10.2.200", "80"), ["10.10.2.1", "10.10.2.200"])
        self.wait_for("10.10.2.200", "bank", "not all managers lead to it")
        print(f"\n  another host had an application's address {took:.3f} s after the first let go", flush=True)

    def test_of_hosts_that_want_the_same_address_at_once_one_gets_it(self):
        winners = {}
        for turn in range(3):
            address = f"10.10.2.{201 + turn}"
            begun = [threading.Thread(target=host.attach, args=(f"twin{turn}", "shop", address))
                     for host in (self.web, self.bank)]
            for thread in begun:
                thread.start()
            for thread in begun:
                thread.join()
            self.until(lambda: len([node for node in HOSTS if address in self.claimed(node)]) == 1, "nobody gets it")
            (winners[address],) = [node for node in HOSTS if address in self.claimed(node)]
            self.wait_for(address, winners[address], "not all managers lead to it")
        # Managers tell the others once they have waited for what is taken: all of it at a time.
        for address, winner in winners.items():
            (loser,) = set(HOSTS) - {winner}
            self.until(lambda: self.refused(loser).get(address) == f"{winner} has it", "the other one is not told")
            self.assertEqual([node for node in HOSTS if address in self.claimed(node)], [winner])
            self.wait_for(address, winner, "not all managers lead to it any more")

    def test_what_the_topology_does_not_let_a_host_claim_it_does_not_get(self):
        self.web.attach("vault", "payments", "10.10.3.200")
        time.sleep(2)
        self.assertEqual(self.claimed("web"), [])
        self.assertEqual(self.holders("10.10.3.200"), {})
        self.bank.attach("vault", "payments", "10.10.3.200")
        self.wait_for("10.10.3.200", "bank", "its own host does not get it")
        self.assertEqual(self.claimed("bank"), ["10.10.3.200"])

    def test_what_a_host_did_not_claim_is_not_its_own_whatever_it_says(self):
        self.bank.attach("till", "shop", "10.10.2.211")
        self.wait_for("10.10.2.211", "bank", "its own host does not get it")
        # Nobody's, and another one's, which it says that it has from there.
        own, announced = 'route 10.10.255.11/32 via "lo";', "if source !~ [ RTS_STATIC, RTS_INHERIT ] then reject;"
        lies = "".join(f' route {address}/32 via "lo";' for address in ("10.10.2.210", "10.10.2.211"))
        origin = " if net = 10.10.2.211/32 then bgp_path.prepend(4200000012);"
        changes = ((own, own + lies), (announced, announced + origin))
        self.nodes.reconfigure("web", *changes)
        try:
            for manager in MANAGERS:
                # What a manager heard, whatever it makes of it.
                def heard():
                    return self.nodes.bird(manager, "show", "route", "import", "table", "hosts_0_11.ipv4", "all")
                self.until(lambda: "10.10.2.210" in heard() and "4200000011 4200000012" in heard(), "it does not say it")
            time.sleep(1)
            self.assertEqual(self.holders("10.10.2.210"), {})
            self.assertEqual(self.holders("10.10.2.211"), {manager: {"bank"} for manager in MANAGERS})
        finally:
            self.nodes.reconfigure("web", *[(new, old) for old, new in changes])
        # A packet with such a source gets nowhere.
        self.nodes.run("web", "ip", "address", "add", "10.10.2.211/32", "dev", "lo")
        try:
            heard = self.nodes.listen(self.nodes.network("bank"), "any", "icmp[icmptype] == icmp-echo")
            for source in ("10.10.2.211", "10.10.255.11", "10.10.2.211", "10.10.255.11"):
                self.nodes.reaches("web", "10.10.255.12", source=source)
            self.until(lambda: "10.10.255.11 >" in heard.read_text(), "nothing arrived")
            self.assertNotIn("10.10.2.211 >", heard.read_text())
        finally:
            self.nodes.run("web", "ip", "address", "delete", "10.10.2.211/32", "dev", "lo")

    # Sends a manager a line from the network's namespace, and says what it answers.
    ASK_MANAGER = PYTHON_PRELUDE + """
with socket.socket() as client:
    client.settimeout(5)
    if len(sys.argv) > 3:
        client.setsockopt(socket.IPPROTO_IP, 15, 1)
        client.bind((sys.argv[3], 0))
    client.connect((sys.argv[1], 7311))
    client.sendall(sys.argv[2].encode() + b"\\n")
    print(client.makefile().readline())
"""

    def ask_manager(self, node, address, line, *source):
        return self.nodes.run(node, *PYTHON, "-c", self.ASK_MANAGER, address, line, *source, check=False).stdout

    def request(self, turn, *addresses):
        return json.dumps({"turn": turn, "addresses": addresses, "patience": 0})

    def test_a_host_asks_for_itself_alone(self):
        self.bank.attach("till", "shop", "10.10.2.212")
        self.wait_for("10.10.2.212", "bank", "its own host does not get it")
        for line in ("", "{}", "x" * 100_000, '{"turn": -1, "addresses": ["10.10.2.213"], "patience": 0}',
                     '{"turn": 1e400, "addresses": [1], "patience": []}'):
            self.assertNotIn('"held":["', self.ask_manager("web", "169.254.0.1", line))
        # What is another one's, and what is not for it.
        turn = int(time.time() * 1000) + 3600_000
        answer = json.loads(self.ask_manager("web", "169.254.0.1", self.request(turn, "10.10.2.212", "10.10.3.200", "x")))
        self.assertEqual(answer["held"], [])
        self.assertEqual(answer["refused"], {"10.10.2.212": "bank has it",
                                             "10.10.3.200": "the topology does not let this host claim it"})
        # What comes late changes nothing, and neither does what comes from days ahead.
        late = json.loads(self.ask_manager("web", "169.254.0.2", self.request(turn - 1, "10.10.2.213")))
        self.assertEqual((late["held"], late["later"]), ([], turn))
        ahead = json.loads(self.ask_manager("web", "169.254.0.2", self.request(turn + 10**9, "10.10.2.213")))
        self.assertIn("more than a day ahead", ahead["failure"])
        # The host finds its way behind a turn that it did not have.
        self.web.attach("next", "shop", "10.10.2.213")
        self.wait_for("10.10.2.213", "web", "the host does not get on")
        # In another one's name: from the end of a tunnel that is not its own.
        heard = self.nodes.listen(self.nodes.network("london"), "any", "tcp dst port 7311")
        self.nodes.run("web", "ip", "address", "add", "169.254.0.12/32", "dev", "lo")
        try:
            self.assertEqual(self.ask_manager("web", "169.254.0.1", self.request(turn + 5000), "169.254.0.12"), "")
        finally:
            self.nodes.run("web", "ip", "address", "delete", "169.254.0.12/32", "dev", "lo")
        self.ask_manager("web", "169.254.0.1", "{}")
        self.until(lambda: "169.254.0.11." in heard.read_text(), "nothing arrived")
        self.assertNotIn("169.254.0.12.", heard.read_text())
        self.assertEqual(self.holders("10.10.2.212"), {manager: {"bank"} for manager in MANAGERS})
        self.assertEqual(self.claimed("web"), ["10.10.2.213"])

    def test_hosts_do_not_reach_the_store(self):
        def asks(*addresses):
            return [("etcdctl", "--dial-timeout", "1s", "--command-timeout", "2s", "get", "--prefix", "/vne/",
                     "--endpoints", f"http://{address}:2379") for address in addresses]
        knock = [(*PYTHON, "-c", "import socket; socket.create_connection(('10.10.255.2', 2380), timeout=2)")]
        # All at once, as each waits for an answer in vain.
        with ThreadPoolExecutor() as workers:
            tried = workers.map(lambda command: self.nodes.run("web", *command, check=False),
                                asks("10.10.255.1", "10.10.255.2", "169.254.0.1") + knock)
            for result in tried:
                self.assertNotEqual(result.returncode, 0, result.args)
        # A control: from a manager it is reached, its own and another one's.
        for command in asks("10.10.255.1", "10.10.255.2") + knock:
            self.nodes.run("london", *command)

    def test_what_a_host_gives_up_it_does_not_have_again_before_a_manager_says_so(self):
        # Whoever hears that it is given up may give it to another host at once, whenever the answer comes.
        self.web.attach("till", "shop", "10.10.2.218")
        self.wait_for("10.10.2.218", "web", "nobody leads to it")
        for manager in MANAGERS:
            self.keepers[manager].send_signal(signal.SIGSTOP)
        try:
            self.web.agent("detach", "till")
            self.until(lambda: "10.10.2.218" not in self.claimed("web"), "it still has what it gave up")
            self.web.attach("till", "shop", "10.10.2.218")
            end = time.monotonic() + 1
            while time.monotonic() < end:
                self.assertFalse(self.nodes.has_ready("web", "10.10.2.218"))
        finally:
            for manager in MANAGERS:
                self.keepers[manager].send_signal(signal.SIGCONT)
        self.wait_for("10.10.2.218", "web", "it does not get it again", 60)

    def test_a_claim_is_taken_away_from_a_host_that_is_gone(self):
        self.web.attach("till", "shop", "10.10.2.214")
        self.wait_for("10.10.2.214", "web", "nobody leads to it")
        self.nodes.kill("web")
        self.bank.attach("till", "shop", "10.10.2.214")
        self.until(lambda: self.refused("bank") == {"10.10.2.214": "web has it"}, "it is not refused")
        try:
            answer = self.nodes.manager("paris", "reclaim", "10.10.2.214", check=False)
            self.assertEqual(answer.returncode, 2)
            answer = self.nodes.manager("paris", "reclaim", "10.10.2.214", "--force")
            self.assertEqual(answer.stdout, "10.10.2.214 was web's, and is free\n")
            self.wait_for("10.10.2.214", "bank", "bank has no way")
            answer = self.nodes.manager("paris", "reclaim", "10.10.2.215", "--force", check=False)
            self.assertEqual((answer.returncode, answer.stderr), (4, "vne-manager: nobody has claimed 10.10.2.215\n"))
        finally:
            self.web.agent("detach", "till")
            self.nodes.begin("web").wait()
            self.keepers["web"] = self.nodes.keep("web")
        self.until(lambda: self.is_led_to("bank", "10.10.2.1"), "the host does not come back", 60)

    def test_a_host_whose_routing_is_coming_back_does_not_keep_what_it_lost_meanwhile(self):
        self.web.attach("till", "shop", "10.10.2.216")
        self.wait_for("10.10.2.216", "web", "nobody leads to it")
        routing = int(self.nodes.place("web", "bird.pid").read_text())
        self.keepers["web"].send_signal(signal.SIGSTOP)
        try:
            begun = time.monotonic()
            os.kill(routing, signal.SIGKILL)
            self.nodes.manager("london", "reclaim", "10.10.2.216", "--force")
            self.until(lambda: not any(self.holders("10.10.2.216").values()), "a manager still leads to it")
            # Its routes are kept for five seconds: of what it still has, they are.
            self.assertLess(time.monotonic() - begun, 4 * SLOWNESS)
        finally:
            self.keepers["web"].send_signal(signal.SIGCONT)
            self.web.agent("detach", "till")
        self.until(lambda: self.is_led_to("bank", "10.10.2.1"), "the host does not come back", 60)

    def test_a_manager_that_is_cut_off_from_the_store_lets_nobody_have_anything(self):
        self.web.attach("till", "shop", "10.10.2.230")
        self.wait_for("10.10.2.230", "web", "nobody leads to it")
        # London keeps its hosts, and loses the other managers.
        rules = "table inet cut { chain out { type filter hook output priority 0; ip daddr { 192.0.2.2, 192.0.2.3 } drop; }; }"
        london = self.nodes.hosts["london"].name
        run("ip", "netns", "exec", london, "nft", rules)
        try:
            self.until(lambda: "10.10.255.2" not in self.nodes.run("london", "ip", "route", "show", "via", "169.254.0.2").stdout,
                       "it is not cut off")
            self.web.agent("detach", "till")
            self.until(lambda: not self.claimed("web"), "it is not given up", 40)
            self.bank.attach("till", "shop", "10.10.2.230")
            self.until(lambda: self.claimed("bank") == ["10.10.2.230"], "the others do not let it have it", 40)
            # London remembers whom it belonged to, and that one asks London first.
            claims = [claim["host"] for claim in self.nodes.status("london")["claims"] if claim["address"] == "10.10.2.230"]
            self.assertEqual(claims, ["web"])
            self.web.attach("till", "shop", "10.10.2.230")
            self.until(lambda: self.refused("web").get("10.10.2.230") == "bank has it", "it is not refused", 40)
            self.assertEqual(self.claimed("web"), [])
            self.assertNotIn("london", self.holders("10.10.2.230"))
        finally:
            run("ip", "netns", "exec", london, "nft", "delete", "table", "inet", "cut")
        self.wait_for("10.10.2.230", "bank", "the manager that was cut off does not catch up", 60)

    def test_an_address_that_is_refused_holds_up_no_other_one(self):
        self.bank.attach("till", "shop", "10.10.2.240")
        self.wait_for("10.10.2.240", "bank", "nobody leads to it")
        self.web.attach("till", "shop", "10.10.2.240")
        self.until(lambda: self.refused("web"), "nobody refuses it")
        # More than managers let one host wait for at a time, all together.
        others = [f"10.10.2.{241 + number}" for number in range(14)]
        for number, address in enumerate(others):
            self.web.attach(f"other{number}", "shop", address)
        took = self.until(lambda: self.claimed("web") == others, "others are not claimed", 8)
        print(f"\n  {len(others)} addresses were claimed {took:.1f} s after the last one came, beside one that was refused", flush=True)
        self.assertEqual(self.refused("web"), {"10.10.2.240": "bank has it"})

    def test_another_store_is_refused(self):
        place = self.nodes.directory / "other.yaml"
        place.write_text(TOPOLOGY.replace("store: [london, paris, rome]", "store: paris"))
        refused = self.nodes.manager("paris", "join", place, "--keys", self.nodes.directory / "acme.keys.yaml", "--node",
                                     "paris", check=False)
        self.assertEqual(refused.returncode, 3)
        self.assertIn("cannot be changed", refused.stderr)

    def test_claims_outlive_managers(self):
        self.web.attach("till", "shop", "10.10.2.220")
        self.wait_for("10.10.2.220", "web", "nobody leads to it")
        self.web.serve("till", UDP_WHO, "0.0.0.0", "80")

        def is_answered():
            return self.bank.python("counter", ASK_UDP, "10.10.2.220", "80", "sendto") == ["10.10.2.17", "x"]

        def begin(manager):
            self.assertEqual(self.nodes.begin(manager).wait(), 0)
            self.keepers[manager] = self.nodes.keep(manager)
        self.nodes.kill("rome")
        # Two of three are enough.
        self.bank.attach("safe", "shop", "10.10.2.221")
        self.until(lambda: set(self.holders("10.10.2.221")) >= {"london", "paris"}, "two are not enough", 40)
        self.assertTrue(is_answered())
        self.nodes.kill("paris")
        # One of three lets nobody have anything new, and forwards what it knows.
        self.bank.attach("new", "shop", "10.10.2.222")
        self.until(is_answered, "what was claimed is not reached", 40)
        time.sleep(3)
        self.assertNotIn("10.10.2.222", self.claimed("bank"))
        self.assertEqual(self.holders("10.10.2.222"), {})
        # Nor does it forget over a reboot.
        self.nodes.manager("london", "down")
        begin("london")
        self.until(is_answered, "a manager that comes back alone has forgotten", 60)
        # They come back, know what they missed, and go on.
        begin("paris")
        begin("rome")
        self.wait_for("10.10.2.222", "bank", "what was asked for meanwhile is not claimed", 60)
        self.wait_for("10.10.2.220", "web", "what was claimed before is not led to")
        self.wait_for("10.10.2.221", "bank", "what was claimed by two is not led to")


if __name__ == "__main__":
    unittest.main()
