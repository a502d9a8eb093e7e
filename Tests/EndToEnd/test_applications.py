"""Unmodified applications from Debian's packages."""

import unittest

from servers import nginx, redis
from world import Host, SLOWNESS, UDP_WHO, lasting

POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
  payments: {addresses: 10.10.3.0/24}
"""


class Applications(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(lasting("apps"))

    def setUp(self):
        self.host = Host("apps", policy=POLICY)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)

    def curl(self, application, url, *options, **more):
        return self.host.run(application, "curl", "-sS", "--max-time", "5", *options, url, **more)

    def test_two_nginx_with_debians_site_file_run_at_once(self):
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.attach("client", "shop", "10.10.2.2")
        self.host.attach("bank", "payments", "10.10.3.1")
        servers = [nginx(self.host, "web", "the shop"), nginx(self.host, "bank", "the bank")]
        self.host.wait_for_port(None, "10.10.2.1", 80)
        self.host.wait_for_port(None, "10.10.3.1", 80)
        for server in servers:
            self.assertIsNone(server.poll(), "both listen on 0.0.0.0:80 and [::]:80")
        self.assertEqual(self.curl("client", "http://10.10.2.1/").stdout, "the shop")
        self.assertEqual(self.curl(None, "http://10.10.2.1/").stdout, "the shop")
        self.assertEqual(self.curl(None, "http://10.10.3.1/").stdout, "the bank")
        self.assertEqual(self.curl(None, "http://10.10.2.1/", namespace=self.host.remote_namespace).stdout, "the shop")
        # Neither answers on another address of the host.
        for address in ("192.0.2.1", "10.10.2.2"):
            self.assertNotEqual(self.curl(None, f"http://{address}/", "--max-time", "1").returncode, 0)
        # From one environment to the other: an error of connect, at once.
        refused = self.curl("bank", "http://10.10.2.1/", "--write-out", "%{time_total}", "-v")
        self.assertEqual(refused.returncode, 7, refused.stderr)
        self.assertIn("Operation not permitted", refused.stderr)
        self.assertLess(float(refused.stdout or 0), 0.010 * SLOWNESS)

    def test_redis_serves_its_environment_and_no_other(self):
        self.host.attach("cache", "shop", "10.10.2.1")
        self.host.attach("web", "shop", "10.10.2.2")
        self.host.attach("cache2", "payments", "10.10.3.1")
        redis(self.host, "cache")
        redis(self.host, "cache2")
        self.host.wait_for_port("web", "10.10.2.1", 6379)
        self.host.wait_for_port("cache2", "10.10.3.1", 6379)
        cli = ("redis-cli", "-h", "10.10.2.1")
        self.assertEqual(self.host.run("web", *cli, "set", "greeting", "hello").stdout.strip(), "OK")
        self.assertEqual(self.host.run("web", *cli, "get", "greeting").stdout.strip(), "hello")
        refused = self.host.run("cache2", *cli, "get", "greeting")
        self.assertIn("Operation not permitted", refused.stdout + refused.stderr)
        clients = self.host.run("cache", *cli, "client", "list").stdout
        self.assertIn("addr=10.10.2.1:", clients, "an application that talks to itself uses its own address")

    def test_netcat_listens_on_a_wildcard_and_hears_its_environment_only(self):
        self.host.attach("listener", "shop", "10.10.2.1")
        self.host.attach("web", "shop", "10.10.2.2")
        self.host.attach("bank", "payments", "10.10.3.1")
        listener = self.host.start("listener", "nc", "-l", "-p", "9000", "-N")
        for _ in range(100):
            refused = self.host.run("bank", "nc", "-N", "-w", "1", "10.10.2.1", "9000", input="no")
            self.assertNotEqual(refused.returncode, 0)
            if self.host.run("web", "nc", "-N", "-w", "1", "10.10.2.1", "9000", input="hello").returncode == 0:
                break
        self.assertEqual(listener.communicate(timeout=10)[0], "hello")

    def test_names_resolve_through_the_loopback_resolver_of_resolv_conf(self):
        resolver = self.host.directory / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.53\n")
        self.host.resolv_conf = resolver
        self.host.apply(POLICY)
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.serve(None, UDP_WHO, "127.0.0.53", "53")
        self.host.serve(None, UDP_WHO, "127.0.0.54", "53")
        ask = """
def body(to):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.sendto(b"x", (to, 53))
        return json.loads(client.recv(1000))[0]
answer([attempt(lambda: body("127.0.0.53")), attempt(lambda: body("127.0.0.54"))])
"""
        # Nobody of its own is there, and a datagram to nobody is no error.
        self.assertEqual(self.host.python("web", ask), ["10.10.2.1", "timeout"])

    def test_ping_is_let_out_where_the_policy_names_it_and_only_then(self):
        self.host.apply("""
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24, protocols: [tcp, udp, ping]}
  payments: {addresses: 10.10.3.0/24}
""")
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.attach("bank", "payments", "10.10.3.1")
        ping = """
def body(to):
    open("/proc/sys/net/ipv4/ping_group_range", "w").write("0 2147483647")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as client:
        client.settimeout(1)
        if len(to) > 1:
            client.bind((to[1], 0))
        client.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, 1) + b"ping", (to[0], 0))
        return client.recv(100)[0]
answer([attempt(lambda: body(to.split(","))) for to in sys.argv[1:]])
"""
        self.host.python(None, ping, "192.0.2.2")
        self.assertEqual(self.host.python("web", ping, "192.0.2.2,10.10.2.1", "10.10.3.1,10.10.2.1", "10.10.2.1"),
                         [0, "EPERM", 0])
        # No hook can give a ping socket its source: one that leaves with another address is dropped.
        self.assertEqual(self.host.python("web", ping, "192.0.2.2", "192.0.2.2,192.0.2.1"), ["EPERM", "EPERM"])
        self.assertEqual(self.host.python("bank", ping, "192.0.2.2"), ["EPERM"])

    def test_strict_judges_every_packet_on_its_way_out(self):
        self.host.apply(POLICY.replace("10.10.2.0/24}", "10.10.2.0/24, strict: true}"))
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.attach("api", "shop", "10.10.2.2")
        nginx(self.host, "api", "strictly")
        self.host.wait_for_port("web", "10.10.2.2", 80)
        self.assertEqual(self.curl("web", "http://10.10.2.2/").stdout, "strictly")
        self.assertGreater(self.host.counts("web", "egress")["own-environment"], 3)


if __name__ == "__main__":
    unittest.main()
