"""Applications' identities: addresses on an interface's link, hostnames, chosen addresses, and the way to another host."""

import json
import os
import shutil
import sys
import time
import unittest
from pathlib import Path

from daemon import Daemon, addresses, eventually
from world import ASK_TCP, PREFIX, PYTHON, PYTHON_PRELUDE, SLOWNESS, Host, kill_cgroup, lasting, run, sweep_once

POLICY = """
addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
addressSpaceInterfaces: eth0
interface: eth0
environments:
  shop: {addresses: [10.10.2.0/24, "fd00:10:10:2::/64"]}
"""
IPV4, IPV6 = "10.10.2.1", "fd00:10:10:2::1"
BOTH = f"{IPV4},{IPV6}"

# Answers each connection with a word, once it may listen.
TCP_WORD = """
import select
if sys.argv[2:]:
    ready()
listeners = []
for kind, wildcard in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    while True:
        try:
            listener = socket.socket(kind)
            # A wildcard of both families is reachable over IPv6 from kernel 6.6 on.
            if kind == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((wildcard, 80))
            break
        except PermissionError:
            time.sleep(0.005)
    listener.listen()
    listeners.append(listener)
if not sys.argv[2:]:
    ready()
while True:
    client, _ = select.select(listeners, [], [])[0][0].accept()
    client.sendall(sys.argv[1].encode())
    client.close()
"""

# Connects over and over, and tells when it was answered by whom.
CLIENT = """
ready()
while True:
    try:
        with socket.create_connection((sys.argv[1], 80), timeout=0.1) as connection:
            word = connection.recv(10).decode()
    except OSError:
        word = ""
    print(json.dumps([time.monotonic(), word]), flush=True)
    time.sleep(0.005)
"""

# Asks the link for an address over and over, and tells which hardware address says that it has it.
OBSERVER = """
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
link.bind(("eth0", 0x0806))
link.settimeout(0.003)
own = link.getsockname()[4]
address = socket.inet_aton(sys.argv[1])
question = (b"\\xff" * 6 + own + bytes.fromhex("0806") + bytes.fromhex("0001080006040001") + own
            + socket.inet_aton("192.0.2.9") + bytes(6) + address)
ready()
asked = 0
while True:
    if time.monotonic() > asked + 0.003:
        link.send(question)
        asked = time.monotonic()
    try:
        frame = link.recv(200)
    except OSError:
        continue
    if frame[28:32] == address and frame[6:12] != own:
        print(json.dumps([time.monotonic(), frame[6:12].hex(":")]), flush=True)
"""


def setUpModule():
    unittest.enterModuleContext(lasting("old", "new", "named"))


class Link:
    """A bridge, a peer on it, and hosts that join it. Use as a context manager."""

    def __init__(self):
        self.name = f"{PREFIX}{os.getpid()}link"
        self.peer = f"{PREFIX}{os.getpid()}peer"
        self.count = 0

    def __enter__(self):
        sweep_once()
        run("ip", "netns", "add", self.name)
        run("ip", "-n", self.name, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        run("ip", "-n", self.name, "link", "set", "br0", "up")
        run("ip", "netns", "add", self.peer)
        self.join(self.peer, 9)
        for route in ("10.10.0.0/16", "fd00:10:10::/48"):
            run("ip", "-n", self.peer, "route", "add", route, "dev", "eth0")
        return self

    def join(self, namespace, number):
        """Gives a namespace an eth0 on the link."""
        run("ip", "-n", self.name, "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0",
            "netns", namespace)
        run("ip", "-n", self.name, "link", "set", f"port{number}", "master", "br0", "up")
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        run("ip", "-n", namespace, "address", "add", f"192.0.2.{number}/24", "dev", "eth0")
        run("ip", "-n", namespace, "address", "add", f"2001:db8::{number}/64", "dev", "eth0", "nodad")

    def hardware(self, namespace):
        return json.loads(run("ip", "-n", namespace, "-j", "link", "show", "eth0").stdout)[0]["address"]

    def __exit__(self, *_):
        run("ip", "netns", "delete", self.name, check=False)
        run("ip", "netns", "delete", self.peer, check=False)

    def neighbour(self, address):
        """What the peer takes for the hardware address of an address."""
        listed = json.loads(run("ip", "-n", self.peer, "-j", "neighbour", "show", address, "dev", "eth0").stdout or "[]")
        return listed[0].get("lladdr") if listed else None


class OnALink(unittest.TestCase):
    """Two hosts and a peer on one link."""

    policy = POLICY

    def setUp(self):
        self.link = self.entered(Link())
        self.old = self.entered(Host("old", remote=False))
        self.link.join(self.old.name, 1)
        self.old.apply(self.policy)

    def entered(self, context):
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def second_host(self):
        host = self.entered(Host("new", remote=False))
        self.link.join(host.name, 2)
        host.apply(self.policy)
        return host

    def from_peer(self, code, *arguments):
        return self.old.python(None, code, *arguments, namespace=f"/run/netns/{self.link.peer}")

    def interface_of(self, host, address):
        for line in run("ip", "-n", host.name, "-o", "address").stdout.splitlines():
            if line.split()[3].split("/")[0] == address:
                return line.split()[1]
        return None


class NamedInterface(OnALink):
    def test_addresses_are_on_it_for_as_long_as_an_application_has_them(self):
        self.old.attach("web", "shop", BOTH)
        for address in (IPV4, IPV6):
            self.assertEqual(self.interface_of(self.old, address), "eth0")
        self.old.serve("web", TCP_WORD, "old")
        for address in (IPV4, IPV6):
            word = "with socket.create_connection((sys.argv[1], 80), 2) as c: answer(c.recv(10).decode())"
            self.assertEqual(self.from_peer(word, address), "old")
        self.old.agent("detach", "web")
        self.assertFalse({IPV4, IPV6} & addresses(self.old))
        self.assertNotEqual(self.from_peer(ASK_TCP, IPV4, "80"), "connected")

    def test_private_loopbacks_stay_off_the_link(self):
        self.old.attach("web", "shop", BOTH)
        private = next(found for found in addresses(self.old) if found.startswith("fd56:4e45:"))
        self.assertNotEqual(self.interface_of(self.old, private), "eth0")

    def test_an_address_that_another_host_has_is_refused_and_nothing_changes(self):
        for address, length in ((IPV4, 32), (IPV6, 128)):
            run("ip", "-n", self.link.peer, "address", "add", f"{address}/{length}", "dev", "eth0", "nodad")
        for wanted in (IPV4, IPV6, f"10.10.2.9,{IPV6}"):
            self.old.make("web")
            refused = self.old.attach("web", "shop", wanted, check=False)
            self.assertEqual(refused.returncode, 5, refused.stderr)
            self.assertIn(self.link.hardware(self.link.peer), refused.stderr)
            self.assertEqual(self.old.applications(), {})
            self.assertFalse({IPV4, IPV6, "10.10.2.9"} & addresses(self.old))

    def test_who_remembers_another_host_learns_of_the_arrival(self):
        for address in (IPV4, IPV6):
            run("ip", "-n", self.link.peer, "neighbour", "replace", address, "lladdr", "02:00:00:00:00:99", "dev", "eth0",
                "nud", "stale")
        self.old.attach("web", "shop", BOTH)
        for address in (IPV4, IPV6):
            eventually(lambda: self.link.neighbour(address) == self.link.hardware(self.old.name),
                       lambda: f"{address}: {self.link.neighbour(address)}", seconds=1)

    def test_addresses_follow_when_the_policy_names_another_interface(self):
        self.old.attach("web", "shop", BOTH)
        for extra, expected in (("", lambda name: name not in ("eth0", None)), ("interface: eth0", "eth0".__eq__)):
            self.old.apply(POLICY.replace("interface: eth0\n", extra + "\n", 1))
            for address in (IPV4, IPV6):
                self.assertTrue(expected(self.interface_of(self.old, address)), self.interface_of(self.old, address))
            self.assertEqual(self.old.applications()["web"]["state"], "attached")

    def test_an_interface_that_is_not_there_is_named(self):
        self.old.apply(POLICY.replace("interface: eth0\n", "interface: eth7\n", 1))
        refused = self.old.attach("web", "shop", IPV4, check=False)
        self.assertEqual(refused.returncode, 4, refused.stderr)
        self.assertIn("eth7", refused.stderr)
        self.assertIn("eth7", self.old.agent("check", self.old.write_policy(
            POLICY.replace("interface: eth0\n", "interface: eth7\n", 1))).stdout)


class Moving(OnALink):
    def times(self, child, seconds=0):
        """What a child told until now."""
        time.sleep(seconds)
        child.kill()
        return [json.loads(line) for line in child.stdout.read().splitlines() if line.startswith("[")]

    def watch(self, code, *arguments):
        child = self.old.start(None, *PYTHON, "-u", "-c", PYTHON_PRELUDE + code, *arguments,
                               namespace=f"/run/netns/{self.link.peer}")
        self.assertEqual(child.stdout.readline().strip(), "ready")
        return child

    def assert_taken_over(self, clients, observer):
        """Everybody is answered by the new host within a second, and by the old one no more once the new one answers."""
        for address, client in clients.items():
            told = [(when, word) for when, word in self.times(client) if word]
            words = [word for _, word in told]
            self.assertEqual(sorted(words, reverse=True), words, "the old host answered after the new one")
            last = max(when for when, word in told if word == "old")
            first = min(when for when, word in told if word == "new")
            print(f"{self.id().split('.')[-1]}: {address} away for {(first - last) * 1000:.0f} ms", flush=True)
            self.assertLessEqual(first - last, 1 * SLOWNESS)
        holders = [hardware for _, hardware in self.times(observer)]
        old, new = self.link.hardware(self.old.name), self.link.hardware(self.new.name)
        self.assertEqual(set(holders), {old, new})
        self.assertNotIn(old, holders[holders.index(new):], "both hosts had the address")

    def begin(self):
        self.new = self.second_host()
        self.old.attach("web", "shop", BOTH)
        self.old.serve("web", TCP_WORD, "old")
        observer = self.watch(OBSERVER, IPV4)
        clients = {address: self.watch(CLIENT, address) for address in (IPV4, IPV6)}
        time.sleep(0.3)
        return clients, observer

    def test_an_application_moves_by_detaching_and_attaching(self):
        clients, observer = self.begin()
        self.new.make("web")
        refused = self.new.attach("web", "shop", BOTH, check=False)
        self.assertEqual(refused.returncode, 5, refused.stderr)
        self.old.agent("detach", "web")
        self.new.attach("web", "shop", BOTH)
        self.new.serve("web", TCP_WORD, "new")
        time.sleep(1)
        self.assert_taken_over(clients, observer)

    def test_a_daemon_takes_over_what_another_host_lets_go(self):
        clients, observer = self.begin()
        self.new.make("web")
        text = POLICY + ("applications:\n  web: {environment: shop, address: [%s, \"%s\"], cgroup: %s/web}\n"
                         % (IPV4, IPV6, self.new.cgroup.name))
        with Daemon(self.new, text) as daemon:
            # Until then it is denied everything, as no policy would be.
            self.assertEqual(self.new.applications()["web"]["state"], "attaching")
            self.assertIn(self.link.hardware(self.old.name), daemon.log.read_text())
            self.assertEqual(self.new.python("web", ASK_TCP, "192.0.2.9", "80"), "EPERM")
            self.new.serve("web", TCP_WORD, "new", "later")
            self.old.agent("detach", "web")
            daemon.wait_until_attached("web")
            time.sleep(0.5)
            self.assert_taken_over(clients, observer)


FOREIGN = "127.0.0.1 localhost\n192.0.2.7 other.example\n"
# Runs a command where a file is /etc/hosts, as a mount of its own: the machine's own one is not touched.
AS_ETC_HOSTS = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"']


class Named(unittest.TestCase):
    """A host with a hosts file of its own."""

    policy = """
addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
environments:
  shop: {addresses: [10.10.2.0/24, "fd00:10:10:2::/64"]}
"""

    def setUp(self):
        self.host = Host("named", remote=False)
        self.host.hosts = self.host.directory / "hosts"
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        self.host.hosts.write_text(FOREIGN)
        self.host.apply(self.policy)

    def resolve(self, application, name):
        """The addresses that a program gets for a name."""
        found = self.host.run(application, *AS_ETC_HOSTS, self.host.hosts, "getent", "ahosts", name)
        return {line.split()[0] for line in found.stdout.splitlines()}


class Hostnames(Named):
    def test_they_resolve_for_members_and_for_everybody_else_until_the_application_goes(self):
        self.host.attach("web", "shop", BOTH, "--hostname", "web.shop")
        self.host.attach("db", "shop", "10.10.2.2")
        for who in ("web", "db", None):
            self.assertEqual(self.resolve(who, "web.shop"), {IPV4, IPV6})
            self.assertEqual(self.resolve(who, "other.example"), {"192.0.2.7"})
        self.host.agent("detach", "web")
        self.assertEqual(self.resolve("db", "web.shop"), set())
        self.assertEqual(self.host.hosts.read_text(), FOREIGN)

    def test_a_hosts_file_that_is_a_mount_is_written(self):
        self.host.make("web")
        command = self.host.agent_command("attach", f"{self.host.cgroup.name}/web", "shop", "--address", IPV4,
                                          "--hostname", "web.shop", "--hosts", "/etc/hosts")
        self.host.run(None, *AS_ETC_HOSTS, self.host.hosts, *command, check=True)
        self.assertEqual(self.resolve(None, "web.shop"), {IPV4})

    def test_what_exec_starts_has_its_name_for_as_long_as_it_runs(self):
        said = self.host.agent("exec", "--vne", "shop", "--hostname", "job.shop", "--", "sh", "-c",
                               f"hostname; grep job.shop {self.host.hosts}").stdout.split()
        self.assertEqual(said[0], "job.shop")
        self.assertIn("job.shop", said[1:])
        self.assertEqual(self.host.hosts.read_text(), FOREIGN)

    def test_a_policy_may_leave_them_out_and_unloading_takes_them_away(self):
        self.host.attach("web", "shop", IPV4, "--hostname", "web.shop")
        self.host.apply(self.policy + "resolveHostnames: false\n")
        self.assertEqual(self.host.hosts.read_text(), FOREIGN)
        self.host.apply(self.policy)
        self.assertEqual(self.resolve(None, "web.shop"), {IPV4})
        self.host.agent("unload")
        self.assertEqual(self.host.hosts.read_text(), FOREIGN)

    def test_a_hosts_file_that_is_not_there_is_only_warned_of(self):
        self.host.hosts.unlink()
        told = self.host.attach("web", "shop", IPV4, "--hostname", "web.shop").stderr
        self.assertIn("hostnames", told)
        self.assertEqual(self.host.applications()["web"]["state"], "attached")

    def test_the_daemon_keeps_them(self):
        text = self.policy + ("applications: {web: {environment: shop, address: %s, hostname: web.shop, cgroup: %s/web}}\n"
                              % (IPV4, self.host.cgroup.name))
        with Daemon(self.host, text) as daemon:
            self.host.make("web")
            daemon.wait_until_attached("web")
            eventually(lambda: self.resolve(None, "web.shop") == {IPV4}, daemon.log.read_text)
            (self.host.cgroup / "web").rmdir()
            eventually(lambda: self.host.hosts.read_text() == FOREIGN, daemon.log.read_text)


class ChosenAddresses(Named):
    def named(self, *names):
        return self.policy + "applications:\n" + "".join(
            f"  {name}: {{environment: shop, address: auto, cgroup: {self.host.cgroup.name}/{name}}}\n" for name in names)

    def chosen(self):
        return {name: (found["addresses"], found["hostname"]) for name, found in self.host.applications().items()}

    def test_they_stay_over_a_reboot_and_make_hostnames(self):
        for name in ("a", "b", "c"):
            self.host.make(name)
        self.host.apply(self.named("a", "b", "c"))
        before = self.chosen()
        self.assertEqual(before["b"], (["10.10.2.2", "fd00:10:10:2::2"], "10-10-2-2"))
        self.assertEqual(self.resolve(None, "10-10-2-2"), {"10.10.2.2", "fd00:10:10:2::2"})
        # What a reboot takes: cgroups, pins, interfaces.
        kill_cgroup(self.host.cgroup)
        shutil.rmtree(f"/sys/fs/bpf/{self.host.instance}")
        run("ip", "netns", "delete", self.host.name)
        self.host.__enter__()
        for name in ("c", "b", "d"):
            self.host.make(name)
        self.host.apply(self.named("d", "c", "b"))
        after = self.chosen()
        self.assertEqual({name: after[name] for name in "bc"}, {name: before[name] for name in "bc"})
        # The one that was given up is not given out again as long as there are others.
        self.assertEqual(after["d"][0], ["10.10.2.4", "fd00:10:10:2::4"])

    def test_one_that_was_given_up_is_not_given_out_again_soon(self):
        for number in range(1, 4):
            self.host.agent("exec", "--vne", "shop", "--name", f"job{number}", "--", "true")
            self.host.agent("exec", "--vne", "shop", "--name", "again", "--", "true")
        leases = Path(f"/var/lib/vne/{self.host.instance}.leases").read_text()
        self.assertEqual(len(set(line.split()[1] for line in leases.splitlines())), 4, leases)
        self.host.agent("unload")
        self.assertFalse(Path(f"/var/lib/vne/{self.host.instance}.leases").exists())


if __name__ == "__main__":
    unittest.main()
