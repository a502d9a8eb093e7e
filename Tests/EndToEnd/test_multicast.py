"""Groups and broadcasts: heard inside a VNE that allows them, on wildcards and on groups, and nowhere else."""

import json
import subprocess
import time
import unittest

from world import Host, PYTHON, PYTHON_PRELUDE, SLOWNESS, lasting, programs_on

POLICY = """
addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
environments:
  shop: {addresses: [10.10.2.0/24, "fd00:10:10:2::/64"], multicast: true, host: deny}
  payments: {addresses: [10.10.3.0/24, "fd00:10:10:3::/64"], multicast: true, host: deny}
  plain: {addresses: [10.10.4.0/24, "fd00:10:10:4::/64"]}
"""
GROUP, GROUP6, OTHER = "239.1.2.3", "ff15::7", "239.9.9.9"
PORT = 5353

# Hears a group: bound to argv[1], joined as argv[2] says (`default` or an interface), by the call argv[4].
HEAR = """
bound, group, where, how = sys.argv[1:5]
server = socket.socket(family(bound), socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((bound, 5353))
index = 0 if where == "default" else socket.if_nametoindex(where)
address = socket.inet_pton(family(group), group)
if how == "number":
    # struct group_req
    name = struct.pack("<H2x4s120x", socket.AF_INET, address)
    server.setsockopt(socket.IPPROTO_IP, 42, struct.pack("I4x", index) + name)
elif how == "source":
    # struct group_source_req: only what one sender sends.
    name = struct.pack("<H2x4s120x", socket.AF_INET, address)
    sender = struct.pack("<H2x4s120x", socket.AF_INET, socket.inet_aton(sys.argv[5]))
    server.setsockopt(socket.IPPROTO_IP, 49, struct.pack("i", 0))
    server.setsockopt(socket.IPPROTO_IP, 46, struct.pack("I4x", index) + name + sender)
elif how == "join" and server.family == socket.AF_INET:
    request = address + bytes(4) + (struct.pack("i", index) if index else b"")
    server.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
elif how == "join":
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, address + struct.pack("I", index))
ready()
for line in sys.stdin:
    heard = []
    server.settimeout(float(line))
    try:
        while True:
            data, peer = server.recvfrom(2048)
            heard.append([data.decode(), peer[0], peer[1]])
    except socket.timeout:
        answer(heard)
        sys.stdout.flush()
"""

# Sends a datagram to a group: from the port argv[3] or any, on the interface argv[4] or the default.
SAY = """
def body():
    with socket.socket(family(sys.argv[1]), socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        where, how = sys.argv[4], sys.argv[5]
        if how == "borrowed":
            client.bind((sys.argv[6], int(sys.argv[3])))
        elif int(sys.argv[3]):
            client.bind(("::" if client.family == socket.AF_INET6 else "0.0.0.0", int(sys.argv[3])))
        if where != "default" and client.family == socket.AF_INET6:
            client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex(where))
        elif where != "default":
            client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("8xi", socket.if_nametoindex(where)))
        to = (sys.argv[1], 5353)
        if how == "connected":
            client.connect(to)
            client.send(sys.argv[2].encode())
        else:
            client.sendto(sys.argv[2].encode(), to)
    return "sent"
answer(attempt(body))
"""

# How long a datagram may take that comes at all.
PATIENCE = 0.4 * min(SLOWNESS, 5)


class Multicast(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(lasting("groups"))

    def setUp(self):
        self.host = Host("groups", policy=POLICY)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        for name, environment, number in (("a", "shop", "2"), ("b", "shop", "2"), ("c", "payments", "3"),
                                          ("d", "plain", "4")):
            last = "2" if name == "b" else "1"
            self.host.attach(name, environment, f"10.10.{number}.{last},fd00:10:10:{number}::{last}")

    def hear(self, application, bound="0.0.0.0", group=GROUP, where="default", how="join", *more, namespace=None):
        child = self.host.start(application, *PYTHON, "-u", "-c", PYTHON_PRELUDE + HEAR, bound, group, where, how,
                                *more, stdin=subprocess.PIPE, namespace=namespace)
        self.assertEqual(child.stdout.readline().strip(), "ready")
        return child

    def heard(self, *listeners):
        """What came to each since it was asked last: text and sender's address."""
        time.sleep(PATIENCE)
        answers = []
        for listener in listeners:
            listener.stdin.write("0.05\n")
            listener.stdin.flush()
            answers.append([(text, sender) for text, sender, _ in json.loads(listener.stdout.readline())])
        return answers

    def say(self, application, text, group=GROUP, port=0, where="default", how="plain", *more, namespace=None):
        return self.host.python(application, SAY, group, text, str(port), where, how, *more, namespace=namespace)

    def carrier(self):
        """The interface that has the application addresses."""
        links = json.loads(self.host.run(None, "ip", "-json", "-4", "address", check=True).stdout)
        return next(link["ifname"] for link in links for address in link["addr_info"]
                    if address["local"] == "10.10.2.1")

    def test_a_group_is_heard_inside_its_environment_and_in_no_other(self):
        for bound in ("0.0.0.0", GROUP):
            with self.subTest(bound=bound):
                a, b, c = (self.hear(name, bound) for name in "abc")
                self.assertEqual(self.say("a", "hello"), "sent")
                self.assertEqual(self.heard(a, b, c), [[("hello", "10.10.2.1")], [("hello", "10.10.2.1")], []])
                self.assertEqual(self.say("c", "money", how="connected"), "sent")
                self.assertEqual(self.heard(a, b, c), [[], [], [("money", "10.10.3.1")]])
                # As a program of its kind does it: all of them have the port, so nobody can look up whose it is.
                self.assertEqual(self.say("b", "from the port", port=PORT), "sent")
                wanted = [("from the port", "10.10.2.2")]
                self.assertEqual(self.heard(a, b, c), [wanted, wanted, []])
                self.assertGreaterEqual(self.host.counts("a", "ingress").get("other-environment", 0), 1)
                for child in (a, b, c):
                    child.kill()
                    child.wait()

    def test_the_same_without_the_isolator_is_heard_by_everybody(self):
        for name in "xyz":
            self.host.make(name)
        listeners = [self.hear(name, where="eth0") for name in "xyz"]
        self.assertEqual(self.say("x", "hello", where="eth0"), "sent")
        self.assertEqual(self.heard(*listeners), [[("hello", "192.0.2.1")]] * 3)

    def test_a_group_of_ipv6_is_heard_the_same_way(self):
        for bound in ("::", GROUP6):
            with self.subTest(bound=bound):
                a, b, c = (self.hear(name, bound, GROUP6, "eth0") for name in "abc")
                self.assertEqual(self.say("a", "hello", GROUP6, where="eth0"), "sent")
                wanted = [("hello", "fd00:10:10:2::1")]
                self.assertEqual(self.heard(a, b, c), [wanted, wanted, []])
                self.assertEqual(self.say("b", "from the port", GROUP6, PORT, "eth0"), "sent")
                wanted = [("from the port", "fd00:10:10:2::2")]
                self.assertEqual(self.heard(a, b, c), [wanted, wanted, []])
                for child in (a, b, c):
                    child.kill()
                    child.wait()

    def test_however_it_is_joined(self):
        by_number, by_source, none = (self.hear("b", how="number"), self.hear("b", "0.0.0.0", GROUP, "default", "source",
                                                                             "10.10.2.1"),
                                      self.hear("b", OTHER, OTHER))
        self.assertEqual(self.say("a", "hello"), "sent")
        self.assertEqual(self.heard(by_number, by_source, none),
                         [[("hello", "10.10.2.1")], [("hello", "10.10.2.1")], []])
        self.assertEqual(self.say("b", "mine"), "sent")
        self.assertEqual(self.heard(by_number, by_source, none), [[("mine", "10.10.2.2")], [], []])

    def test_a_broadcast_is_heard_inside_its_environment_and_in_no_other(self):
        a, b, c = (self.hear(name, how="none") for name in "abc")
        self.assertEqual(self.say("a", "hello", "255.255.255.255"), "sent")
        self.assertEqual(self.heard(a, b, c), [[("hello", "10.10.2.1")], [("hello", "10.10.2.1")], []])

    def test_a_wildcard_that_hears_groups_is_reached_on_the_application_address_only(self):
        b = self.hear("b")
        for address, text in (("10.10.2.2", "to the address"), ("192.0.2.1", "to the host's")):
            self.say("a", text, address)
        self.assertEqual(self.say("b", "over loopback", "127.0.0.1"), "sent")
        self.assertEqual(self.heard(b), [[("to the address", "10.10.2.1"), ("over loopback", "127.0.0.1")]])
        # A source can't be given to it any more, so it is not connected.
        code = """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.bind(("0.0.0.0", 0))
    answer([client.getsockname()[0], attempt(lambda: client.connect(("10.10.2.2", 5353)))])
"""
        self.assertEqual(self.host.python("a", code), ["0.0.0.0", "EADDRNOTAVAIL"])

    def test_who_is_not_let_hear_groups_neither_sends_nor_hears(self):
        self.assertEqual(self.say("d", "hello"), "EPERM")
        self.assertEqual(self.say("d", "hello", GROUP6, where="eth0"), "EPERM")
        self.assertEqual(self.say("d", "hello", "255.255.255.255"), "EPERM")
        bind = "answer(attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind((sys.argv[1], 5353))))"
        self.assertEqual(self.host.python("d", bind, GROUP), "EADDRNOTAVAIL")
        self.assertIsNone(self.host.python("a", bind, GROUP))
        # Where the others join; nothing leads a program there that may not hear groups.
        d = self.hear("d", where=self.carrier())
        self.assertEqual(self.say("a", "hello"), "sent")
        self.assertEqual(self.heard(d), [[]])

    def test_the_wire_is_judged_by_its_source(self):
        b = self.hear("b", where="eth0")
        remote = self.host.remote_namespace
        self.assertEqual(self.say(None, "remote", where="eth0", namespace=remote), "sent")
        self.assertEqual(self.heard(b), [[("remote", "192.0.2.2")]])
        # A neighbour that has taken a member's address.
        subprocess.run(["ip", "-n", self.host.remote, "address", "add", "10.10.2.77/32", "dev", "lo"], check=True)
        self.assertEqual(self.say(None, "forged", GROUP, 0, "eth0", "borrowed", "10.10.2.77", namespace=remote), "sent")
        self.assertEqual(self.heard(b), [[]])
        self.assertGreaterEqual(self.host.counts("b", "ingress").get("forged", 0), 1)

    def test_a_host_process_is_no_member_whatever_its_source_says(self):
        a, b = self.hear("a"), self.hear("b")
        self.assertEqual(self.say(None, "borrowed", GROUP, 0, "default", "borrowed", "10.10.2.1"), "sent")
        self.assertEqual(self.heard(a, b), [[], []])
        self.host.apply(POLICY.replace("multicast: true, host: deny", "multicast: true"))
        self.assertEqual(self.say(None, "borrowed", GROUP, 0, "default", "borrowed", "10.10.2.1"), "sent")
        self.assertEqual(self.heard(a, b), [[("borrowed", "10.10.2.1")]] * 2)
        # Nor one of the host that has taken another environment's address, where the host may be heard.
        self.assertEqual(self.say(None, "theirs", GROUP, 0, "default", "borrowed", "10.10.3.1"), "sent")
        self.assertEqual(self.heard(a, b), [[], []])

    def test_a_policy_that_takes_groups_away_is_heard_at_once(self):
        a, b = self.hear("a"), self.hear("b")
        self.host.apply(POLICY.replace("shop: {addresses: [10.10.2.0/24, \"fd00:10:10:2::/64\"], multicast: true",
                                       "shop: {addresses: [10.10.2.0/24, \"fd00:10:10:2::/64\"]"))
        self.assertEqual(self.say("a", "hello"), "EPERM")
        self.assertEqual(self.say("c", "hello"), "sent")
        self.assertEqual(self.heard(a, b), [[], []])


class Options(unittest.TestCase):
    # Sets options, refused and usual ones, and says what came of each.
    OPTIONS = r"""
def option(made, level, name, value):
    with socket.socket(*made) as fresh:
        return attempt(lambda: fresh.setsockopt(level, name, value))
udp, udp6 = (socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_INET6, socket.SOCK_DGRAM)
loose = bytes([131, 7, 4]) + socket.inet_aton("10.10.3.1") + bytes([0])
# A routing header with one stop.
routing = bytes([0, 2, 2, 1, 0, 0, 0, 0]) + socket.inet_pton(socket.AF_INET6, "fd00:10:10:3::1")
answer({
    "source route": option(udp, socket.IPPROTO_IP, socket.IP_OPTIONS, loose),
    "of TCP": option((socket.AF_INET, socket.SOCK_STREAM), socket.IPPROTO_IP, socket.IP_OPTIONS, loose),
    "no options": option(udp, socket.IPPROTO_IP, socket.IP_OPTIONS, b""),
    "routing header": option(udp6, socket.IPPROTO_IPV6, 57, routing),
    "its older form": option(udp6, socket.IPPROTO_IPV6, 5, routing),
    "encapsulation": option(udp, socket.IPPROTO_UDP, 100, 2),
    "longer than a page": option(udp, socket.SOL_SOCKET, socket.SO_RCVBUF, struct.pack("i", 65536) + bytes(8192)),
    "a usual one": option(udp, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
})
"""
    REFUSED = ("source route", "of TCP", "routing header", "its older form", "encapsulation")

    def test_options_that_go_round_the_hooks_are_refused_and_others_are_not(self):
        with Host("options", policy=POLICY) as host:
            host.attach("a", "shop", "10.10.2.1,fd00:10:10:2::1")
            inside, outside = host.python("a", self.OPTIONS), host.python(None, self.OPTIONS)
            self.assertEqual(inside, outside | {name: "EPERM" for name in self.REFUSED})
            self.assertEqual([name for name in self.REFUSED if outside[name] == "EPERM"], [])
            self.assertIsNone(outside["source route"])

    def test_options_are_judged_where_the_environment_asks_for_it(self):
        with Host("asked", policy=POLICY) as host:
            host.attach("a", "plain", "10.10.4.1,fd00:10:10:4::1")
            hooks = lambda: [name for _, name in programs_on(host.cgroup / "a") if name == "vne_option"]
            outside = host.python(None, self.OPTIONS)
            self.assertEqual((hooks(), host.python("a", self.OPTIONS)), ([], outside))
            for words in ("remote: {out: {deny: [198.51.100.0/24]}}", "remote: {out: deny}", "host: deny",
                          "strict: true", "protocols: [udp, ping, tcp]", "multicast: true"):
                with self.subTest(words=words):
                    host.apply(POLICY.replace('"fd00:10:10:4::/64"]', f'"fd00:10:10:4::/64"], {words}'))
                    self.assertEqual(hooks(), ["vne_option"])
                    self.assertEqual(host.python("a", self.OPTIONS),
                                     outside | {name: "EPERM" for name in self.REFUSED})
                    host.apply(POLICY)
                    self.assertEqual((hooks(), host.python("a", self.OPTIONS)), ([], outside))

    def test_a_source_route_from_before_the_environment_asks_stays(self):
        code = """
loose = bytes([131, 7, 4]) + socket.inet_aton("10.10.3.1") + bytes([0])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as old, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as new:
    old.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, loose)
    ready()
    sys.stdin.readline()
    said = attempt(lambda: new.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, loose))
    answer([said, old.getsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, 40)[:7] == loose[:7]])
"""
        with Host("before", policy=POLICY) as host:
            host.attach("a", "plain", "10.10.4.1")
            child = host.start("a", *PYTHON, "-u", "-c", PYTHON_PRELUDE + code, stdin=subprocess.PIPE)
            self.assertEqual(child.stdout.readline().strip(), "ready")
            host.apply(POLICY.replace('"fd00:10:10:4::/64"]', '"fd00:10:10:4::/64"], remote: deny'))
            self.assertEqual(json.loads(child.communicate("\n", timeout=60)[0]), ["EPERM", True])



if __name__ == "__main__":
    unittest.main()
