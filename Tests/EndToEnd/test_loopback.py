"""The private loopback: every application has a 127.0.0.1 and a ::1 of its own, and can't tell."""

import unittest

import servers
from world import ASK_TCP, ASK_UDP, Host, TCP_WHO, UDP_WHO

POLICY = """
addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
loopback: {shared: ["127.0.0.1:8082"]}
environments:
  shop: {addresses: [10.10.2.0/24, "fd00:10:10:2::/64"]}
  sealed: {addresses: 10.10.4.0/24, host: deny, remote: deny, strict: true}
"""
APPLICATIONS = {
    "one": ("shop", "10.10.2.1,fd00:10:10:2::1"),
    "two": ("shop", "10.10.2.2,fd00:10:10:2::2"),
    "sealed": ("sealed", "10.10.4.1"),
    "six": ("shop", "fd00:10:10:2::6"),
}

# What both ends of a connection over loopback say of it.
TCP_NAMES = """
def body():
    with socket.socket(family(sys.argv[1])) as listener:
        listener.bind((sys.argv[1], 0))
        listener.listen()
        port = listener.getsockname()[1]
        with socket.socket(family(sys.argv[2])) as client:
            client.settimeout(2)
            if len(sys.argv) > 3:
                client.bind((sys.argv[3], 0))
            client.connect((sys.argv[2], port))
            server, peer = listener.accept()
            with server:
                client.sendall(b"hello")
                assert server.recv(10) == b"hello"
                return {"listener": listener.getsockname()[0], "client": client.getsockname()[0],
                        "client's peer": client.getpeername()[0], "accept": peer[0],
                        "server": server.getsockname()[0], "server's peer": server.getpeername()[0],
                        "ports": peer[1] == client.getsockname()[1] and client.getpeername()[1] == port}
answer(attempt(body))
"""

# The same of datagrams: server bound to argv[1], client talks to argv[2] in the way of argv[3].
UDP_NAMES = """
def body():
    with socket.socket(family(sys.argv[1]), socket.SOCK_DGRAM) as server, \
            socket.socket(family(sys.argv[2]), socket.SOCK_DGRAM) as client:
        server.settimeout(1)
        client.settimeout(1)
        server.bind((sys.argv[1], 0))
        to = (sys.argv[2], server.getsockname()[1])
        how = sys.argv[3]
        if how.startswith("bound"):
            client.bind((how.split()[1], 0))
        if "connected" in how:
            client.connect(to)
            client.send(b"one")
        else:
            client.sendto(b"one", to)
        data, seen = server.recvfrom(100)
        server.sendto(b"two", seen)
        data, answered = client.recvfrom(100)
        return {"seen": seen[0], "answered": answered[0], "peer": client.getpeername()[0] if "connected" in how else None}
answer(attempt(body))
"""


class Loopback(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host("loopback", policy=POLICY)
        cls.host.__enter__()
        cls.addClassCleanup(cls.host.__exit__)
        for name, (environment, addresses) in APPLICATIONS.items():
            cls.host.attach(name, environment, addresses)

    def tcp(self, source, destination, port, *more, **options):
        return self.host.python(source, ASK_TCP, destination, str(port), *more, **options)

    def udp(self, source, destination, port, how="plain", *more, **options):
        return self.host.python(source, ASK_UDP, destination, str(port), how, *more, **options)

    def test_both_ends_of_a_connection_say_loopback(self):
        for bound, asked, seen in (("127.0.0.1", "127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1", "127.0.0.1"),
                                   ("0.0.0.0", "0.0.0.0", "127.0.0.1"), ("::1", "::1", "::1")):
            for application in ("one", "sealed", None):
                with self.subTest(bound=bound, asked=asked, application=application):
                    said = self.host.python(application, TCP_NAMES, bound, asked)
                    self.assertEqual(said, {"listener": bound, "client": seen, "client's peer": seen, "accept": seen,
                                            "server": seen, "server's peer": seen, "ports": True})

    def test_a_dual_stack_wildcard_is_there_on_both_loopbacks(self):
        for application in ("one", "sealed", None):
            for asked in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
                with self.subTest(application=application, asked=asked):
                    said = self.host.python(application, TCP_NAMES, "::", asked)
                    self.assertTrue(isinstance(said, dict) and said["ports"], said)

    def test_datagrams_over_loopback_say_loopback(self):
        for bound, asked, how, seen in (
                ("127.0.0.1", "127.0.0.1", "plain", "127.0.0.1"), ("127.0.0.1", "127.0.0.1", "connected", "127.0.0.1"),
                ("0.0.0.0", "127.0.0.1", "plain", "127.0.0.1"), ("0.0.0.0", "127.0.0.1", "connected", "127.0.0.1"),
                ("0.0.0.0", "127.0.0.1", "bound 127.0.0.1", "127.0.0.1"),
                ("0.0.0.0", "127.0.0.1", "bound 0.0.0.0", "127.0.0.1"),
                ("127.0.0.1", "127.0.0.1", "bound 127.0.0.1 connected", "127.0.0.1"),
                ("::1", "::1", "plain", "::1"), ("::1", "::1", "connected", "::1"), ("::1", "::1", "bound ::1", "::1")):
            for application in ("one", "sealed", None):
                with self.subTest(bound=bound, asked=asked, how=how, application=application):
                    said = self.host.python(application, UDP_NAMES, bound, asked, how)
                    self.assertEqual(said, {"seen": seen, "answered": asked,
                                            "peer": asked if "connected" in how else None})

    def test_two_applications_have_the_same_port_and_reach_only_their_own(self):
        for name in ("one", "two"):
            self.host.serve(name, TCP_WHO, "127.0.0.1", "6379")
            self.host.serve(name, UDP_WHO, "127.0.0.1", "6379")
            self.host.serve(name, TCP_WHO, "::1", "6379")
        for name in ("one", "two"):
            self.assertEqual(self.tcp(name, "127.0.0.1", 6379), ["127.0.0.1", "127.0.0.1"])
            self.assertEqual(self.tcp(name, "::1", 6379), ["::1", "::1"])
            self.assertEqual(self.udp(name, "127.0.0.1", 6379)[0], "127.0.0.1")
        self.assertEqual(self.tcp("sealed", "127.0.0.1", 6379), "ECONNREFUSED")
        self.assertEqual(self.tcp("sealed", "::1", 6379), "ECONNREFUSED")
        self.assertEqual(self.tcp(None, "127.0.0.1", 6379), "ECONNREFUSED")

    def test_a_listener_on_loopback_is_not_there_on_the_application_address(self):
        self.host.serve("one", TCP_WHO, "127.0.0.1", "7001")
        for source in ("one", "two", None):
            self.assertEqual(self.tcp(source, "10.10.2.1", 7001), "ECONNREFUSED")

    def test_addresses_of_the_pool_can_not_be_named(self):
        self.host.serve("one", TCP_WHO, "127.0.0.1", "7002")
        own = self.private("one")
        for source in ("one", "two"):
            for offset in (1, 2):
                address = own.rsplit(".", 1)[0] + f".{offset}"
                self.assertEqual(self.tcp(source, address, 7002), "ECONNREFUSED")
                self.assertEqual(self.tcp(source, "127.0.0.1", 7002, address), "EADDRNOTAVAIL")

    def test_a_host_process_does_not_reach_a_private_loopback(self):
        self.host.serve("one", TCP_WHO, "127.0.0.1", "7003")
        self.host.serve("one", UDP_WHO, "127.0.0.1", "7003")
        address = self.private("one").rsplit(".", 1)[0] + ".1"
        for more in ((), (address,), ("127.0.0.1",)):
            self.assertEqual(self.tcp(None, address, 7003, *more), "timeout", more)
        self.assertEqual(self.udp(None, address, 7003), "timeout")

    def private(self, application):
        """The first address of the application's private block."""
        return self.host.applications()[application]["loopback"][0]

    def test_other_addresses_of_loopback_stay_distinct(self):
        self.host.serve("one", TCP_WHO, "127.0.0.2", "7004")
        self.host.serve("one", TCP_WHO, "127.0.1.1", "7005")
        self.assertEqual(self.tcp("one", "127.0.0.2", 7004)[1], "127.0.0.2")
        self.assertEqual(self.tcp("one", "127.0.0.1", 7004), "ECONNREFUSED")
        self.assertEqual(self.tcp("one", "127.0.1.1", 7005)[1], "127.0.1.1")
        self.assertEqual(self.tcp("two", "127.0.0.2", 7004), "ECONNREFUSED")

    def test_a_service_that_the_policy_shares_is_reached(self):
        self.host.serve(None, TCP_WHO, "127.0.0.1", "8082")
        self.host.serve(None, UDP_WHO, "127.0.0.1", "8082")
        for name in ("one", "sealed", "six"):
            self.assertTrue(isinstance(self.tcp(name, "127.0.0.1", 8082), list))
            for how in ("plain", "connected"):
                self.assertTrue(isinstance(self.udp(name, "127.0.0.1", 8082, how), list), (name, how))

    def test_an_application_of_ipv6_only_has_an_ipv4_loopback(self):
        self.host.serve("six", TCP_WHO, "0.0.0.0", "7006")
        self.assertEqual(self.tcp("six", "127.0.0.1", 7006), ["127.0.0.1", "127.0.0.1"])
        self.assertEqual(self.tcp("one", "127.0.0.1", 7006), "ECONNREFUSED")

    def test_nginx_and_redis_are_on_the_loopback_of_their_own_application(self):
        for name in ("one", "two"):
            servers.redis(self.host, name, "--bind", "127.0.0.1", "--port", "6380")
            self.host.wait_for_port(name, "127.0.0.1", 6380)
            self.host.run(name, "redis-cli", "-p", "6380", "set", "owner", name, check=True)
        for name in ("one", "two"):
            self.assertEqual(self.host.run(name, "redis-cli", "-p", "6380", "get", "owner").stdout.strip(), name)


if __name__ == "__main__":
    unittest.main()
