"""What a network's topology says of environments and applications holds on every host of it, without a word to any of them."""

import os
import subprocess
import sys
import unittest
from contextlib import ExitStack

from daemon import Daemon
from nodes import InvitedNodes
from world import ASK_TCP, PREFIX, PYTHON_PRELUDE, SLOWNESS, TCP_WHO, run

TOPOLOGY = """
network: acme
addressSpace: 10.10.0.0/16
subnets: {{nodes: 10.10.255.0/24}}
underlays: {{internet: }}
environments:
  shop: {{addresses: 10.10.2.0/24{permits}}}
  payments: 10.10.3.0/24
applications:
  till: {{environment: shop, address: 10.10.2.1, hostname: till.acme, cgroup: {cgroups}web/till}}
  books: {{environment: payments, address: 10.10.3.17, hostname: Books.acme, cgroup: {cgroups}bank/books}}
  safe: {{environment: payments, address: 10.10.3.18}}
managers:
  london: {{address: 10.10.255.1, endpoints: {{internet: 192.0.2.1}}}}
  paris: {{address: 10.10.255.2, endpoints: {{internet: 192.0.2.2}}}}
hosts:
  web: {{address: 10.10.255.11, applications: 10.10.2.0/28}}
  bank: {{address: 10.10.255.12, applications: 10.10.3.16/28}}
"""
ENDPOINTS = {"london": "192.0.2.1", "paris": "192.0.2.2", "web": "192.0.2.11", "bank": "192.0.2.12"}
PERMIT = ", permits: [{to: payments/books, ports: [tcp/7000]}]"
FOREIGN = "127.0.0.1 localhost\n"
# What becomes of a connection: a line once it is there, and one once it is not.
HOLD = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as held:
    held.settimeout(None)
    print("held", flush=True)
    try:
        print(held.recv(1) or "closed", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
"""
# Takes connections, and keeps them.
KEEP = """
import socket
listener = socket.create_server(("0.0.0.0", 7000))
kept = []
print("ready", flush=True)
while True:
    kept.append(listener.accept())
"""


class Policies(unittest.TestCase):
    """Hosts on which the daemon reads what vne-manager leaves."""

    # What the newest topology permits.
    published = ""

    @classmethod
    def setUpClass(cls):
        cls.nodes = InvitedNodes(cls.topology(), ENDPOINTS)
        cls.nodes.__enter__()
        cls.addClassCleanup(cls.nodes.__exit__)
        daemons = ExitStack()
        cls.addClassCleanup(daemons.close)
        cls.daemons = {}
        for node in ("web", "bank"):
            host = cls.nodes.hosts[node]
            host.hosts = host.directory / "hosts"
            host.hosts.write_text(FOREIGN)
            (host.directory / "policy.yaml").symlink_to(f"/var/lib/vne-manager/{cls.nodes.network(node)}/policy.yaml")
            cls.daemons[node] = daemons.enter_context(Daemon(host))
        cls.web, cls.bank = cls.nodes.hosts["web"], cls.nodes.hosts["bank"]
        cls.web.make("till")
        cls.bank.make("books")
        for host, application in ((cls.web, "till"), (cls.bank, "books")):
            cls.nodes.wait_until(lambda: host.applications().get(application, {}).get("state") == "attached", 20 * SLOWNESS,
                                 f"{application} is not attached")
        for node, address in (("web", "10.10.3.17"), ("bank", "10.10.2.1")):
            cls.nodes.wait_until(lambda: cls.nodes.leads_to(node, address), 20 * SLOWNESS, f"no way to {address}")

    @classmethod
    def topology(cls, permits=""):
        return TOPOLOGY.format(permits=permits, cgroups=f"{PREFIX}{os.getpid()}")

    def publish(self, permits=""):
        if permits == type(self).published:
            return
        place = self.nodes.directory / "newer.yaml"
        place.write_text(self.topology(permits))
        self.nodes.manager("london", "topology publish", place)
        type(self).published = permits

    def permits(self):
        """Has till call books from now on, on both hosts."""
        self.publish(PERMIT)
        self.addCleanup(self.withdraw)
        return self.nodes.wait_until(lambda: self.asks() == ["10.10.2.1", "10.10.3.17"], 20 * SLOWNESS, "the permit is nowhere")

    def withdraw(self):
        self.publish()
        return self.nodes.wait_until(lambda: self.asks() == "EPERM", 20 * SLOWNESS, "the permit still holds")

    def serve(self):
        self.until_the_end(self.bank.serve("books", TCP_WHO, "0.0.0.0", "7000"))

    def until_the_end(self, server):
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)

    def asks(self):
        return self.web.python("till", ASK_TCP, "10.10.3.17", "7000")

    def test_a_permit_holds_on_every_host_within_seconds_and_so_does_its_end(self):
        self.serve()
        self.assertEqual("EPERM", self.asks())
        seconds = self.permits()
        print(f"a permit of the topology held at both hosts after {seconds:.2f} s")
        self.assertLess(seconds, 5 * SLOWNESS)
        # One way only, to this application and this port only.
        self.assertEqual("EPERM", self.bank.python("books", ASK_TCP, "10.10.2.1", "7000"))
        self.assertEqual("EPERM", self.web.python("till", ASK_TCP, "10.10.3.18", "7000"))
        self.assertEqual("EPERM", self.web.python("till", ASK_TCP, "10.10.3.17", "7001"))
        seconds = self.withdraw()
        print(f"its end held after {seconds:.2f} s")
        self.assertLess(seconds, 5 * SLOWNESS)

    def test_a_connection_ends_with_its_permit(self):
        server = self.bank.start("books", sys.executable, "-u", "-c", KEEP)
        self.until_the_end(server)
        self.assertEqual("ready\n", server.stdout.readline())
        self.publish(PERMIT)
        self.addCleanup(self.withdraw)
        held = []

        def holds():
            client = self.web.start("till", sys.executable, "-u", "-c", HOLD, "10.10.3.17", "7000", stderr=subprocess.DEVNULL)
            if client.stdout.readline() != "held\n":
                return False
            held.append(client)
            return True
        self.nodes.wait_until(holds, 20 * SLOWNESS, "the permit is nowhere")
        self.publish()
        held[0].wait(20 * SLOWNESS)
        self.assertIn(held[0].stdout.readline().strip(), ("Software caused connection abort", "closed",
                                                          "Connection reset by peer"))

    def test_what_a_network_says_holds_while_nobody_is_there_who_says_it(self):
        """The kernel has it: whoever kills all that could change it on a host gets nothing by that."""
        self.serve()
        self.permits()
        for node, daemon in self.daemons.items():
            for process in (self.nodes.keepers[node], daemon.process):
                process.kill()
                process.wait()
            self.addCleanup(daemon.start)
            self.addCleanup(lambda node=node: self.nodes.keepers.update({node: self.nodes.keep(node)}))
        self.assertEqual(["10.10.2.1", "10.10.3.17"], self.asks())
        self.assertEqual("EPERM", self.bank.python("books", ASK_TCP, "10.10.2.1", "7000"))
        self.assertEqual("10.10.2.1", self.resolves(self.bank, "till.acme"))

    def test_a_host_that_is_invited_anew_goes_on_as_before_until_it_takes_part(self):
        """What an invitation has of the topology is the way to managers, and no word about applications."""
        policy = self.nodes.store("web").with_name("policy.yaml")
        before = policy.read_text()
        self.assertIn("till", before)
        self.nodes.manager("london", "invite", "web", "--replace", "--output", self.nodes.directory)
        run("ip", "-n", self.nodes.name, "link", "set", self.nodes.leg("web"), "down")
        try:
            tried = self.nodes.manager("web", "join", "--invitation", self.nodes.invitation("web"), "--patience", "5",
                                       check=False)
            self.assertEqual(1, tried.returncode, tried.stderr)
            self.nodes.manager("web", "up", check=False)
            self.assertEqual(before, policy.read_text())
            self.assertEqual("attached", self.web.applications()["till"]["state"])
        finally:
            run("ip", "-n", self.nodes.name, "link", "set", self.nodes.leg("web"), "up")
        self.nodes.await_all([self.nodes.join("web")])
        self.nodes.wait_until(lambda: self.nodes.leads_to("web", "10.10.3.17"), 30 * SLOWNESS, "web does not come back")
        self.assertEqual(before, policy.read_text())

    def test_every_host_knows_every_name(self):
        for host in (self.web, self.bank):
            for name, address in (("till.acme", "10.10.2.1"), ("books.acme", "10.10.3.17")):
                self.nodes.wait_until(lambda: self.resolves(host, name) == address, 10 * SLOWNESS, f"{name} is unknown")

    def resolves(self, host, name):
        """What the C library makes of a name with the host's hosts file."""
        found = run("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && getent ahostsv4 "$1"', host.hosts, name,
                    check=False).stdout
        return found.split()[0] if found else None

    def test_an_application_is_attached_only_where_it_may_be(self):
        self.assertEqual({"till"}, set(self.web.applications()))
        self.assertEqual({"books"}, set(self.bank.applications()))

    def test_an_application_without_a_cgroup_gets_its_address_by_its_name(self):
        self.bank.make("safe")
        self.bank.agent("attach", f"{self.bank.cgroup.name}/safe", "payments", "--name", "safe")
        self.addCleanup(self.bank.agent, "detach", "safe")
        self.assertEqual(["10.10.3.18"], self.bank.applications()["safe"]["addresses"])

    def test_its_address_is_nobody_else_s(self):
        """Whatever runs in its environment, and on whichever host: who names himself otherwise does not get it."""
        self.bank.make("thief")
        for address in ("10.10.3.17", "10.10.3.18"):
            refused = self.bank.agent("attach", f"{self.bank.cgroup.name}/thief", "payments", "--address", address, "--name",
                                      "thief", check=False)
            self.assertIn(address, refused.stderr)
        refused = self.web.agent("attach", f"{self.bank.cgroup.name}/thief", "payments", "--address", "10.10.3.18", "--name",
                                 "thief", check=False)
        self.assertIn("10.10.3.18", refused.stderr)
        refused = self.bank.agent("attach", f"{self.bank.cgroup.name}/thief", "payments", "--name", "thief", "--hostname",
                                  "till.acme", check=False)
        self.assertIn("the policy gives the hostname “till.acme” to the application “till”", refused.stderr)

    def test_a_topology_that_contradicts_itself_reaches_nobody(self):
        version = self.nodes.roster("web")["version"]
        place = self.nodes.directory / "wrong.yaml"
        place.write_text(self.topology(", permits: [{to: paymets}]"))
        refused = self.nodes.manager("london", "topology publish", place, check=False)
        self.assertEqual(3, refused.returncode)
        self.assertIn("did you mean “payments”?", refused.stderr)
        self.assertEqual(version, self.nodes.roster("web")["version"])


if __name__ == "__main__":
    unittest.main()
