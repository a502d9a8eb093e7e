"""Networks with an authority: who comes by an invitation, who goes, and what nobody gets by an old, a stolen or a made-up one."""

import base64
import json
import re
import shutil
import signal
import subprocess
import time
import unittest
from collections import Counter
from pathlib import Path

from demo_overlay import ENDPOINTS as SEVEN_ENDPOINTS
from demo_overlay import TOPOLOGY as SEVEN
from nodes import MANAGER, InvitedNodes
from test_schemas import validator
from world import ASK_TCP, SLOWNESS, TCP_WHO, Host, run, setns

TOPOLOGY = """
network: acme
addressSpace: 10.10.0.0/16
subnets: {nodes: 10.10.255.0/24}
underlays: {internet: }
environments: {shop: 10.10.2.0/24}
managers:
  london: {address: 10.10.255.1, endpoints: {internet: 192.0.2.1}}
  paris: {address: 10.10.255.2, endpoints: {internet: 192.0.2.2}}
  rome: {address: 10.10.255.3, endpoints: {internet: 192.0.2.3}}
hosts:
  web: {address: 10.10.255.11, managers: [paris, rome], applications: 10.10.2.0/28}
  bank: {address: 10.10.255.12, managers: [london, paris], endpoints: {internet: 192.0.2.12}, direct: shelf, applications: 10.10.2.16/28}
  shelf: {address: 10.10.255.13, endpoints: {internet: 192.0.2.13}}
"""
ENDPOINTS = {"london": "192.0.2.1", "paris": "192.0.2.2", "rome": "192.0.2.3", "web": "192.0.2.11",
             "bank": "192.0.2.12", "shelf": "192.0.2.13"}
# What others have ways to, by the node.
DESTINATIONS = {"london": ["10.10.255.1"], "paris": ["10.10.255.2"], "rome": ["10.10.255.3"],
                "web": ["10.10.255.11", "10.10.2.0/28"], "bank": ["10.10.255.12", "10.10.2.16/28"], "shelf": ["10.10.255.13"]}
# What one question to a manager gets as an answer.
ASK_ROSTER = """
import json, socket, sys
with socket.create_connection((sys.argv[1], int((sys.argv + ["7312"])[3])), timeout=3) as manager:
    manager.sendall(sys.argv[2].encode() + b"\\n")
    print(manager.makefile().readline())
"""
# A manager that tells everybody who asks of one roster.
TELL_ROSTER = """
import json, socket, sys
answer = json.dumps({"roster": open(sys.argv[1]).read()}).encode() + b"\\n"
with socket.create_server(("", 7312)) as listener:
    while True:
        client, peer = listener.accept()
        with client:
            client.settimeout(2)
            try:
                client.makefile().readline()
                client.sendall(answer)
                print(peer[0], flush=True)
            except OSError:
                pass
"""


class Beginning(unittest.TestCase):
    def test_seven_nodes_are_a_network_within_a_minute_by_one_command_each(self):
        begun = time.monotonic()
        with InvitedNodes(SEVEN, SEVEN_ENDPOINTS) as nodes:
            one, two = nodes.hosts["one"], nodes.hosts["two"]
            nodes.isolate(("one", "acme", one), ("two", "acme", two))
            one.attach("client", "shop", "10.10.2.17")
            two.attach("web", "shop", "10.10.2.33")
            two.serve("web", TCP_WHO, "0.0.0.0", "7000")
            nodes.wait_until(lambda: one.python("client", ASK_TCP, "10.10.2.33", "7000") == ["10.10.2.17", "10.10.2.33"],
                             60 * SLOWNESS, "no application answers")
            seconds = time.monotonic() - begun
            print(f"first request over the network of seven nodes: {seconds:.1f} s")
            self.assertLess(seconds, 60 * SLOWNESS)


class Rosters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.nodes = InvitedNodes(TOPOLOGY, ENDPOINTS)
        cls.nodes.__enter__()
        cls.addClassCleanup(cls.nodes.__exit__)

    def setUp(self):
        self.whole()

    def whole(self, nodes=ENDPOINTS):
        """Every node takes part, and hears its neighbours."""
        for node in nodes:
            self.nodes.wait_until(
                lambda: self.nodes.manager(node, "status", "--check", check=False).returncode == 0, 30 * SLOWNESS,
                f"{node} is not whole")

    def wg(self, node, *command):
        sockets = self.nodes.place(node, "wireguard")
        return run("unshare", "--mount", "sh", "-c", 'mkdir -p /run/wireguard && mount --bind "$1" /run/wireguard && shift && '
                   'exec "$@"', "sh", sockets, "ip", "netns", "exec", self.nodes.network(node), "wg", *command, check=False)

    def member(self, node, at="london"):
        (member,) = [member for member in self.nodes.roster(at)["nodes"] if member["node"] == node]
        return member

    def again(self, node):
        """A node comes anew, by another invitation."""
        self.stop(node)
        self.nodes.manager("london", "invite", node, "--replace", "--output", self.nodes.directory)
        self.come(node)

    def come(self, node):
        self.nodes.await_all([self.nodes.join(node)])
        self.nodes.keepers[node] = self.nodes.keep(node)

    def stop(self, node):
        keeper = self.nodes.keepers[node]
        keeper.send_signal(signal.SIGTERM)
        keeper.wait()
        # It is killed at the end, too.
        self.nodes.children.remove(keeper)

    def ask(self, node, manager, request):
        """What a manager answers a node that asks from its end of a tunnel."""
        answer = self.nodes.run(node, "python3", "-c", ASK_ROSTER, manager, json.dumps(request), check=False)
        return json.loads(answer.stdout) if answer.stdout.strip() else None

    # MARK: Who takes part

    def test_every_node_knows_who_takes_part_and_has_a_way_to_all(self):
        self.nodes.wait_until(lambda: len({self.nodes.roster(node)["version"] for node in ENDPOINTS}) == 1, 10 * SLOWNESS,
                              "nodes know different rosters")
        rosters = [self.nodes.roster(node) for node in ENDPOINTS]
        self.assertEqual({"member"}, {node["state"] for roster in rosters for node in roster["nodes"]})
        for roster in rosters:
            validator("roster").validate(roster)
        for node in ENDPOINTS:
            routes = {route["destination"] for route in self.nodes.status(node)["routes"]}
            self.assertEqual({wanted for other, own in DESTINATIONS.items() if other != node for wanted in own}, routes, node)

    def test_a_newer_topology_is_everybody_s_within_seconds_and_a_stream_does_not_notice(self):
        ping = self.nodes.spawn("ping", "ip", "netns", "exec", self.nodes.network("web"), "ping", "-i", "0.02", "-D",
                                "10.10.255.12")
        self.addCleanup(ping.kill)
        newer = TOPOLOGY.replace("environments: {shop: 10.10.2.0/24}", "environments: {shop: [10.10.2.0/24, 10.10.4.0/24]}")
        place = self.nodes.directory / "newer.yaml"
        place.write_text(newer)
        version = self.nodes.roster("web")["version"]
        self.nodes.manager("london", "topology publish", place)
        for node in ENDPOINTS:
            self.nodes.wait_until(lambda: self.nodes.roster(node)["version"] != version, 10 * SLOWNESS, f"{node} does not hear")
        policy = f"/var/lib/vne-manager/{self.nodes.network('bank')}/policy.yaml"
        self.nodes.wait_until(lambda: "10.10.4.0/24" in open(policy).read(), 10 * SLOWNESS, "bank does not go over to it")
        time.sleep(1)
        ping.send_signal(signal.SIGINT)
        ping.wait()
        times = [float(line[1:].split("]")[0]) for line in (self.nodes.directory / "ping.log").read_text().split("\n")
                 if line.startswith("[") and "time=" in line]
        gap = max(after - before for before, after in zip(times, times[1:]))
        print(f"a newer topology: {gap * 1000:.0f} ms without an answer at most")
        self.assertLess(gap, 0.3 * SLOWNESS)
        place.write_text(TOPOLOGY)
        self.nodes.manager("london", "topology publish", place)
        refused = self.nodes.manager("london", "topology publish", place, check=False)
        self.assertIn("is what the network has already", refused.stderr)
        elsewhere = self.nodes.manager("paris", "topology publish", self.nodes.directory / "acme.yaml", check=False)
        self.assertIn("london issues the rosters of acme: do this there", elsewhere.stderr)

    # MARK: Who goes

    def test_a_revoked_node_is_dead_within_five_seconds_at_managers_and_at_hosts_and_comes_back_anew(self):
        key = self.member("bank")["publicKey"]
        begun = time.monotonic()
        revoking = self.nodes.spawn("revoke", MANAGER, "revoke", "bank", node="london")
        self.addCleanup(self.whole)
        self.addCleanup(self.again, "bank")
        others = {"london": "hosts-0", "paris": "hosts-0", "shelf": "node12-0"}
        for node, device in others.items():
            self.nodes.wait_until(lambda: not self.knows(node, device, key), 30 * SLOWNESS, f"{node} knows the key")
            print(f"revoked at {node} after {time.monotonic() - begun:.2f} s")
        self.assertLess(time.monotonic() - begun, 5 * SLOWNESS)
        self.nodes.await_all([revoking])
        self.assertFalse(self.nodes.reaches("bank", "10.10.255.1"))
        self.assertFalse(self.nodes.reaches("shelf", "10.10.255.12"))
        self.doCleanups()
        self.assertNotEqual(key, self.member("bank")["publicKey"])
        self.assertTrue(self.nodes.reaches("shelf", "10.10.255.12"))

    def test_a_stolen_key_that_is_used_beside_its_owner_is_reported_and_revoked(self):
        """A thief has all that a host keeps, and is beside it on the underlay."""
        for node in ("london", "paris"):
            self.assertEqual([], self.nodes.status(node)["usedTwice"])
        thief = Host("thief", remote=False)
        with thief:
            self.plug(thief, "192.0.2.66")
            stolen = self.kept("bank").with_name(f"{thief.name}@acme")
            shutil.copytree(self.kept("bank"), stolen)
            run(MANAGER, "up", "--instance", thief.name, preexec_fn=lambda: self.enter(thief))

            def reaches():
                return run("ip", "netns", "exec", f"{thief.name}@acme", "ping", "-c", "1", "-W", "1", "10.10.255.1",
                           check=False).returncode == 0
            try:
                # The two take turns at being answered: that the thief was heard is what the report says.
                seconds = self.nodes.wait_until(lambda: self.nodes.status("london")["usedTwice"], 180 * SLOWNESS, "no report")
                print(f"a stolen key was reported after {seconds:.1f} s")
                (alarm,) = self.nodes.status("london")["usedTwice"]
                self.assertEqual("bank", alarm["node"])
                self.assertEqual({"192.0.2.12", "192.0.2.66"}, {place.rsplit(":", 1)[0] for place in alarm["places"]})
                self.assertIn("the key of bank is used from", self.nodes.manager("london", "status").stdout)
                self.addCleanup(self.whole)
                self.addCleanup(self.again, "bank")
                begun = time.monotonic()
                revoking = self.nodes.spawn("revoke", MANAGER, "revoke", "bank", node="london")
                key = json.loads(run(MANAGER, "roster", "--instance", thief.name, "--json",
                                     preexec_fn=lambda: self.enter(thief)).stdout)
                (key,) = [member["publicKey"] for member in key["nodes"] if member["node"] == "bank"]
                for node, device in (("london", "hosts-0"), ("paris", "hosts-0"), ("shelf", "node12-0")):
                    self.nodes.wait_until(lambda: not self.knows(node, device, key), 30 * SLOWNESS, f"{node} knows the key")
                self.assertLess(time.monotonic() - begun, 5 * SLOWNESS)
                self.nodes.await_all([revoking])
                self.assertFalse(reaches())
            finally:
                self.forget(thief)

    def knows(self, node, device, key):
        # A device without peers is gone.
        return key in self.wg(node, "show", device, "peers").stdout

    def test_a_manager_that_was_cut_off_forgets_a_revoked_node_when_it_is_back(self):
        key = self.member("shelf")["publicKey"]
        underlay = self.nodes.name
        run("ip", "-n", underlay, "link", "set", self.nodes.leg("rome"), "down")
        self.nodes.manager("london", "revoke", "shelf")
        self.nodes.wait_until(lambda: not self.knows("paris", "hosts-0", key), 10 * SLOWNESS, "paris knows the key")
        self.assertTrue(self.knows("rome", "hosts-0", key))
        run("ip", "-n", underlay, "link", "set", self.nodes.leg("rome"), "up")
        seconds = self.nodes.wait_until(lambda: not self.knows("rome", "hosts-0", key), 30 * SLOWNESS, "rome knows the key")
        print(f"a manager that was cut off knew after {seconds:.2f} s")
        self.again("shelf")

    def test_the_issuer_does_not_put_itself_out(self):
        refused = self.nodes.manager("london", "revoke", "london", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("take-over", refused.stderr)
        self.assertIn("“nobody”", self.nodes.manager("london", "revoke", "nobody", check=False).stderr)

    # MARK: Another issuer

    def test_another_manager_takes_over_and_the_one_before_obeys(self):
        self.nodes.wait_until(lambda: self.sealed("paris") == self.sealed("london"), 10 * SLOWNESS, "paris has no keyset")
        wrong = self.nodes.manager("paris", "take-over", "--passphrase-file", "-", input="another one altogether", check=False)
        self.assertIn("the passphrase is wrong", wrong.stderr)
        self.nodes.manager("paris", "take-over", "--passphrase-file", "-", input=self.nodes.PASSPHRASE)
        self.nodes.wait_until(lambda: self.nodes.roster("london")["issuer"] == "paris", 10 * SLOWNESS, "london does not hear")
        refused = self.nodes.manager("london", "revoke", "web", check=False)
        self.assertIn("paris issues the rosters of acme", refused.stderr)
        kept = f"/var/lib/vne-manager/{self.nodes.network('london')}/passphrase.credential"
        self.nodes.wait_until(lambda: run("test", "-e", kept, check=False).returncode == 1, 10 * SLOWNESS,
                              "london keeps the passphrase")
        self.nodes.wait_until(lambda: self.sealed("paris") == self.sealed("london"), 10 * SLOWNESS, "london has an old keyset")
        self.nodes.manager("london", "take-over", "--passphrase-file", "-", input=self.nodes.PASSPHRASE)
        self.nodes.wait_until(lambda: self.nodes.roster("paris")["issuer"] == "london", 10 * SLOWNESS, "paris does not hear")

    def sealed(self, node):
        return (self.kept(node) / "keyset.sealed").read_text()

    def kept(self, node):
        return self.nodes.store(node).parent

    def test_no_host_gets_the_keyset_and_no_manager_the_passphrase(self):
        answer = self.ask("bank", "169.254.0.1", {"held": {"term": 0, "revision": 0}, "keyset": 0})
        self.assertIn("roster", answer)
        self.assertNotIn("keyset", answer)
        for node in ENDPOINTS:
            names = {path.name for path in self.kept(node).iterdir()}
            self.assertEqual(node == "london", "passphrase.credential" in names, node)
            if node in ("web", "bank", "shelf"):
                self.assertNotIn("keyset.sealed", names, node)
        self.assertNotIn(self.nodes.PASSPHRASE, (self.kept("london") / "passphrase.credential").read_text())

    # MARK: Invitations

    def test_an_invitation_works_once(self):
        """The whole of a host that comes with an invitation that was used: another machine on the same underlay."""
        used = self.nodes.invitation("web")
        thief = Host("thief", remote=False)
        with thief:
            self.plug(thief, "192.0.2.66")
            # He is where a node could be.
            run("ip", "netns", "exec", thief.name, "ping", "-c", "1", "-W", "5", "192.0.2.2")
            tried = self.join(thief, used)
            self.assertEqual(1, tried.returncode, tried.stderr)
            self.assertIn("somebody used the invitation before you", tried.stderr)
            self.forget(thief)
        self.whole()

    def plug(self, host, address):
        """Puts another machine on the underlay."""
        run("ip", "-n", host.name, "link", "add", "eth0", "type", "veth", "peer", "name", "thief", "netns", self.nodes.name)
        run("ip", "-n", self.nodes.name, "link", "set", "thief", "master", "underlay", "up")
        run("ip", "-n", host.name, "address", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", host.name, "link", "set", "eth0", "up")

    def join(self, host, invitation):
        return run(MANAGER, "join", "--instance", host.name, "--invitation", invitation, "--patience", "20", check=False,
                   preexec_fn=lambda: self.enter(host))

    def enter(self, host):
        (host.cgroup / "engines").mkdir(exist_ok=True)
        (host.cgroup / "engines" / "cgroup.procs").write_text("0")
        setns(host.namespace)

    def forget(self, host):
        run(MANAGER, "leave", "--instance", host.name, "--network", "acme", preexec_fn=lambda: self.enter(host))
        Path(f"/run/vne-manager/{host.name}.lock").unlink(missing_ok=True)

    def test_a_guest_has_no_way_into_the_network_before_he_takes_part(self):
        """Who has an invitation's key, and does not say which key is his own."""
        self.stop("web")
        self.nodes.manager("web", "down")
        self.nodes.manager("london", "invite", "web", "--replace", "--output", self.nodes.directory)
        self.addCleanup(self.come, "web")
        invitation = self.nodes.invitation("web").read_text()
        secret = re.search("Secret: (.*)", invitation)[1]
        paris = re.search("Gateway: paris (.*)", invitation)[1]
        thief = Host("thief", remote=False)
        with thief:
            self.plug(thief, "192.0.2.66")
            place = thief.directory / "wg"
            place.mkdir()
            tunnel = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c",
                 'mkdir -p /run/wireguard && mount --bind "$1" /run/wireguard && exec wireguard-go -f wg0', "sh", str(place)],
                preexec_fn=lambda: self.enter(thief), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                self.nodes.wait_until(lambda: (place / "wg0.sock").exists(), 10 * SLOWNESS, "no device")
                conf = (f"[Interface]\nPrivateKey = {secret}\n[Peer]\nPublicKey = {paris}\nAllowedIPs = 0.0.0.0/0\n"
                        "Endpoint = 192.0.2.2:51820\n")
                run("unshare", "--mount", "sh", "-c",
                    'mkdir -p /run/wireguard && mount --bind "$1" /run/wireguard && exec wg setconf wg0 /dev/stdin', "sh",
                    place, input=conf, preexec_fn=lambda: self.enter(thief))
                run("ip", "-n", thief.name, "link", "set", "wg0", "up")
                for address in ("169.254.0.11", "10.10.255.11", "10.10.2.1"):
                    run("ip", "-n", thief.name, "address", "add", f"{address}/32", "dev", "wg0")
                run("ip", "-n", thief.name, "route", "add", "169.254.0.0/16", "dev", "wg0")
                run("ip", "-n", thief.name, "route", "add", "10.10.0.0/16", "dev", "wg0")

                def pings(source, destination):
                    return run("ip", "netns", "exec", thief.name, "ping", "-c", "2", "-W", "1", "-I", source, destination,
                               check=False).returncode == 0
                # The tunnel is there, and what the nodes say to each other comes through.
                self.nodes.wait_until(lambda: pings("169.254.0.11", "169.254.0.2"), 20 * SLOWNESS, "no tunnel")
                asked = {"7311": {"turn": int(time.time() * 1000), "addresses": ["10.10.2.1"], "patience": 0},
                         "7312": {"held": {"term": 0, "revision": 0}, "keyset": 0}}
                for port, request in asked.items():
                    answer = run("ip", "netns", "exec", thief.name, "python3", "-c", ASK_ROSTER, "169.254.0.2",
                                 json.dumps(request), port, check=False).stdout
                    self.assertNotIn("BEGIN VNE", answer)
                    self.assertNotIn("10.10.2.1", answer)
                for source in ("169.254.0.11", "10.10.255.11", "10.10.2.1"):
                    for destination in ("10.10.255.1", "10.10.255.12"):
                        self.assertFalse(pings(source, destination), f"{source} reaches {destination}")
            finally:
                tunnel.kill()
                tunnel.wait()

    def test_a_node_that_is_killed_while_it_joins_joins_when_it_is_asked_again(self):
        self.stop("web")
        for milliseconds in (100, 400, 700, 1000, 1500):
            self.nodes.manager("web", "leave")
            self.nodes.manager("london", "invite", "web", "--replace", "--output", self.nodes.directory)
            first = self.nodes.join("web")
            time.sleep(milliseconds / 1000 * SLOWNESS)
            first.kill()
            first.wait()
            self.nodes.await_all([self.nodes.join("web")])
            self.assertEqual(self.member("web", at="web")["publicKey"], self.nodes.manager("web", "key", "acme").stdout.strip())
        self.nodes.keepers["web"] = self.nodes.keep("web")
        self.whole()

    # MARK: What is not believed

    def told(self, texts):
        """What becomes of rosters that a manager tells everybody of who asks: it runs nothing but that."""
        self.stop("paris")
        try:
            for text in texts:
                place = self.nodes.directory / "told.roster"
                place.write_text(text)
                log = self.nodes.directory / "told.txt"
                with log.open("w") as output:
                    teller = subprocess.Popen(["ip", "netns", "exec", self.nodes.network("paris"), "python3", "-u", "-c",
                                               TELL_ROSTER, place], stdout=output, stderr=subprocess.STDOUT)
                # Both other managers, and hosts that have this one; who asks a second time has looked at the first answer.
                try:
                    self.nodes.wait_until(
                        lambda: sum(count > 1 for count in Counter(log.read_text().split()).values()) >= 3, 60 * SLOWNESS,
                        "nobody asks paris")
                finally:
                    teller.kill()
                    teller.wait()
        finally:
            self.nodes.keepers["paris"] = self.nodes.keep("paris")

    def test_a_roster_that_the_authority_did_not_sign_is_not_taken(self):
        """A manager that was taken over tells of rosters of its own: with another issuer, another node, another version, other
        bytes, and of an authority of its own."""
        before = {node: self.nodes.roster(node) for node in ENDPOINTS}
        text = (self.kept("london") / "roster").read_text()
        body = text.split("\n\n", 1)[1].rsplit("\n-----END", 1)[0]
        forged = [text.replace("Issuer: london", "Issuer: paris"),
                  re.sub(r"Version: (\d+)\.(\d+)", lambda found: f"Version: {found[1]}.{int(found[2]) + 1}", text),
                  text.replace(body[:64], base64.b64encode(b"0" * 48).decode(), 1)]
        self.assertEqual(4, len({text, *forged}))
        self.told(forged)
        self.assertEqual(before, {node: self.nodes.roster(node) for node in ENDPOINTS})
        self.whole()

    def test_an_older_roster_is_not_gone_back_to(self):
        old = (self.kept("london") / "roster").read_text()
        version = self.nodes.roster("london")["version"]
        self.nodes.manager("london", "revoke", "shelf")
        others = [node for node in ENDPOINTS if node != "shelf"]
        for node in others:
            self.nodes.wait_until(lambda: self.nodes.roster(node)["version"] != version, 10 * SLOWNESS, f"{node} does not hear")
        self.told([old])
        for node in others:
            self.assertNotEqual(version, self.nodes.roster(node)["version"])
        # A manager goes back to a copy of its disk, and is told better.
        self.stop("paris")
        (self.kept("paris") / "roster").write_text(old)
        self.nodes.keepers["paris"] = self.nodes.keep("paris")
        self.nodes.wait_until(lambda: self.nodes.roster("paris")["version"] == self.nodes.roster("london")["version"],
                              20 * SLOWNESS, "paris does not hear")
        self.again("shelf")

    def test_nobody_has_the_key_of_another_node_changed(self):
        """A host that asks in another one's name, a manager for a host that does not join through it, and a host for itself."""
        key = "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwA="
        before = {node: self.member(node)["publicKey"] for node in ENDPOINTS}
        none = {"term": 0, "revision": 0}
        # An invitation of somebody else is open meanwhile.
        self.stop("bank")
        self.nodes.manager("london", "invite", "bank", "--replace", "--output", self.nodes.directory)
        answers = [self.ask("shelf", "169.254.0.1", {"held": none, "key": key, "behalf": "bank"}),
                   self.ask("rome", "169.254.0.1", {"held": none, "key": key, "behalf": "bank"}),
                   self.ask("shelf", "169.254.0.1", {"held": none, "key": key}),
                   self.ask("shelf", "169.254.0.1", {"held": none, "key": before["bank"]}),
                   self.ask("shelf", "169.254.0.1", {"held": none, "key": "nonsense"})]
        for answer in answers:
            self.assertIn("failure", answer)
            self.assertNotIn("roster", answer)
        for garbage in ("", "{", "[]", "null", '{"held": 7}', "x" * 100_000):
            run("ip", "netns", "exec", self.nodes.network("shelf"), "timeout", "8", "python3", "-c",
                ASK_ROSTER.replace("sys.argv[2].encode()", f"{garbage!r}.encode()"), "169.254.0.1", "", check=False)
        self.come("bank")
        after = {node: self.member(node)["publicKey"] for node in ENDPOINTS}
        self.assertEqual({"bank"}, {node for node in ENDPOINTS if before[node] != after[node]})
        self.assertNotEqual(key, after["bank"])
        self.whole()

    def test_files_by_hand_do_not_take_the_place_of_rosters(self):
        keys = self.nodes.directory / "acme.keys.yaml"
        keys.write_text("".join(f"{node}: {self.member(node)['publicKey']}\n" for node in ENDPOINTS))
        refused = self.nodes.manager("web", "join", self.nodes.directory / "acme.yaml", "--keys", keys, "--node", "web",
                                     check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("vne-manager topology publish", refused.stderr)

    def test_a_second_network_of_the_same_name_is_not_begun_on_a_node(self):
        refused = self.nodes.manager("london", "init", self.nodes.directory / "acme.yaml", "--node", "london",
                                     "--passphrase-file", "-", input=self.nodes.PASSPHRASE, check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("is a node of acme already", refused.stderr)

    def test_what_is_kept_is_for_root_alone(self):
        for node in ENDPOINTS:
            for path in self.kept(node).iterdir():
                self.assertEqual(0, path.stat().st_mode & 0o077, path)
        self.assertEqual(0, self.nodes.invitation("web").stat().st_mode & 0o077)


if __name__ == "__main__":
    unittest.main()
