"""Who may talk to whom, with real sockets in real cgroups."""

import socket
import unittest

from world import ASK_TCP, ASK_UDP, Host, TCP_WHO, TRY_CONNECT, UDP_WHO

POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop:
    addresses: 10.10.2.0/24
    permits:
      - {to: payments/db, ports: [tcp/5432, udp/5353]}
  payments:
    addresses: 10.10.3.0/24
  sealed:
    addresses: 10.10.4.0/24
    host: deny
    remote: deny
  outbound:
    addresses: 10.10.5.0/24
    remote: {in: deny, out: {allow: ["192.0.2.0/24 tcp/7000-7001 udp/7000"]}}
  watched:
    addresses: 10.10.6.0/24
    mode: audit
applications:
  db: {environment: payments, address: 10.10.3.1}
"""

APPLICATIONS = {
    "web": ("shop", "10.10.2.1"),
    "api": ("shop", "10.10.2.2"),
    "db": ("payments", "10.10.3.1"),
    "ledger": ("payments", "10.10.3.2"),
    "vault": ("sealed", "10.10.4.1"),
    "vault2": ("sealed", "10.10.4.2"),
    "crawler": ("outbound", "10.10.5.1"),
    "pilot": ("watched", "10.10.6.1"),
}


class Isolation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host("isolation", policy=POLICY)
        cls.host.__enter__()
        cls.addClassCleanup(cls.host.__exit__)
        for name, (environment, address) in APPLICATIONS.items():
            cls.host.attach(name, environment, address)
            cls.host.serve(name, TCP_WHO, "0.0.0.0", "80")
            cls.host.serve(name, UDP_WHO, "0.0.0.0", "53")
        cls.host.serve("db", TCP_WHO, "0.0.0.0", "5432")
        cls.host.serve("db", UDP_WHO, "0.0.0.0", "5353")
        cls.host.serve("ledger", TCP_WHO, "0.0.0.0", "5432")
        for port in ("7000", "7001", "7002"):
            cls.host.serve(None, TCP_WHO, "0.0.0.0", port, namespace=cls.host.remote_namespace)
            cls.host.serve(None, UDP_WHO, "0.0.0.0", port, namespace=cls.host.remote_namespace)

    def tcp(self, source, destination, port=80, **options):
        return self.host.python(source, ASK_TCP, destination, str(port), **options)

    def udp(self, source, destination, port=53, how="plain", *more, **options):
        return self.host.python(source, ASK_UDP, destination, str(port), how, *more, **options)

    def test_every_application_has_its_own_wildcard_port(self):
        for name, (_, address) in APPLICATIONS.items():
            if name not in ("vault", "vault2", "crawler"):
                self.assertEqual(self.tcp(None, address)[1], address)

    def test_an_application_reaches_its_environment_with_its_own_address(self):
        self.assertEqual(self.tcp("web", "10.10.2.2"), ["10.10.2.1", "10.10.2.2"])
        self.assertEqual(self.udp("web", "10.10.2.2")[0], "10.10.2.1")

    def test_an_application_reaches_itself(self):
        self.assertEqual(self.tcp("web", "10.10.2.1")[0], "10.10.2.1")
        self.assertEqual(self.udp("web", "10.10.2.1")[0], "10.10.2.1")
        self.assertEqual(self.tcp("vault", "10.10.4.1")[0], "10.10.4.1")
        self.assertEqual(self.udp("vault", "10.10.4.1")[0], "10.10.4.1")

    def test_members_that_deny_the_host_still_reach_each_other(self):
        self.assertEqual(self.tcp("vault", "10.10.4.2")[0], "10.10.4.1")
        self.assertEqual(self.udp("vault", "10.10.4.2")[0], "10.10.4.1")

    def test_another_environment_is_refused_with_eperm(self):
        self.assertEqual(self.tcp("web", "10.10.3.2"), "EPERM")
        self.assertEqual(self.udp("web", "10.10.3.2"), "EPERM")
        self.assertEqual(self.udp("web", "10.10.3.2", how="connected"), "EPERM")
        self.assertEqual(self.tcp("db", "10.10.2.1"), "EPERM")
        self.assertEqual(self.tcp("web", "10.10.99.1"), "EPERM")

    def test_a_permit_lets_new_flows_one_way_and_their_answers_back(self):
        self.assertEqual(self.tcp("web", "10.10.3.1", 5432), ["10.10.2.1", "10.10.3.1"])
        self.assertEqual(self.udp("web", "10.10.3.1", 5353)[0], "10.10.2.1")
        self.assertEqual(self.udp("web", "10.10.3.1", 5353, "connected")[0], "10.10.2.1")
        self.assertEqual(self.tcp("web", "10.10.3.1", 80), "EPERM")
        self.assertEqual(self.tcp("web", "10.10.3.2", 5432), "EPERM")
        self.assertEqual(self.tcp("db", "10.10.2.1", 5432), "EPERM")
        self.assertEqual(self.udp("db", "10.10.2.1", 5353), "EPERM")

    def test_a_mapped_address_is_its_ipv4_address(self):
        self.assertEqual(self.tcp("web", "::ffff:10.10.2.2")[0], "10.10.2.1")
        self.assertEqual(self.tcp("web", "::ffff:10.10.3.2"), "EPERM")
        self.assertEqual(self.udp("web", "::ffff:10.10.2.2")[0], "10.10.2.1")
        self.assertEqual(self.udp("web", "::ffff:10.10.3.2"), "EPERM")

    def test_without_an_ipv6_address_it_is_as_on_a_host_without_ipv6(self):
        self.assertEqual(self.tcp("web", "2001:db8::2", 7000), "ENETUNREACH")
        for how in ("plain", "connected", "pktinfo"):
            self.assertEqual(self.udp("web", "2001:db8::2", 7000, how), "ENETUNREACH")
        self.assertEqual(self.tcp("web", "::1"), "ECONNREFUSED")

    def test_a_daemon_on_the_hosts_loopback_is_not_there(self):
        self.host.serve(None, TCP_WHO, "127.0.0.1", "8081")
        self.host.serve(None, TCP_WHO, "0.0.0.0", "8085")
        self.assertEqual(self.tcp(None, "127.0.0.1", 8081)[0], "127.0.0.1")
        for address in ("127.0.0.1", "127.0.0.2", "0.0.0.0", "127.9.9.9"):
            for port in (8081, 8085):
                self.assertEqual(self.tcp("web", address, port), "ECONNREFUSED")

    def test_binding_to_a_foreign_address_fails_as_on_a_host_without_it(self):
        for address in ("10.10.2.2", "10.10.3.1", "192.0.2.1", "127.9.9.9", "224.0.0.1"):
            self.assertEqual(self.host.python("web", ASK_TCP, "10.10.2.2", "80", address), "EADDRNOTAVAIL", address)
        self.assertEqual(self.host.python("web", ASK_TCP, "10.10.2.2", "80", "0.0.0.0")[0], "10.10.2.1")
        self.assertEqual(self.host.python("web", ASK_TCP, "10.10.2.2", "80", "10.10.2.1")[0], "10.10.2.1")

    def test_getsockname_says_the_wildcard_that_was_asked_for(self):
        code = """
names = []
for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as bound:
            bound.bind((host, 0))
            names.append(bound.getsockname()[0])
with socket.socket() as own:
    own.bind((sys.argv[1], 0))
    names.append(own.getsockname()[0])
answer(names)
"""
        self.assertEqual(self.host.python("web", code, "10.10.2.1"), ["0.0.0.0", "0.0.0.0", "::", "::", "10.10.2.1"])

    def test_the_rest_of_the_world_sees_the_application_address(self):
        peer = "192.0.2.2"
        self.assertEqual(self.tcp("web", peer, 7000)[0], "10.10.2.1")
        for how in ("plain", "connected"):
            self.assertEqual(self.udp("web", peer, 7000, how)[0], "10.10.2.1", how)
        for how in ("pktinfo", "connected-pktinfo"):
            for asked in ("192.0.2.1", "10.10.3.1"):
                self.assertEqual(self.udp("web", peer, 7000, how, asked)[0], "10.10.2.1", (how, asked))

    def test_the_rest_of_the_world_reaches_an_application_unless_the_policy_says_no(self):
        outside = {"namespace": self.host.remote_namespace}
        self.assertEqual(self.tcp(None, "10.10.2.1", **outside), ["192.0.2.2", "10.10.2.1"])
        self.assertEqual(self.udp(None, "10.10.2.1", **outside)[0], "192.0.2.2")
        for address in ("10.10.4.1", "10.10.5.1"):
            self.assertEqual(self.tcp(None, address, **outside), "timeout")
            self.assertEqual(self.udp(None, address, **outside), "timeout")

    def test_a_remote_policy_lets_out_what_it_lists_and_its_answers_in(self):
        self.assertEqual(self.tcp("crawler", "192.0.2.2", 7000)[0], "10.10.5.1")
        self.assertEqual(self.tcp("crawler", "192.0.2.2", 7001)[0], "10.10.5.1")
        self.assertEqual(self.udp("crawler", "192.0.2.2", 7000)[0], "10.10.5.1")
        self.assertEqual(self.udp("crawler", "192.0.2.2", 7000, "connected")[0], "10.10.5.1")
        self.assertEqual(self.tcp("crawler", "192.0.2.2", 7002), "EPERM")
        self.assertEqual(self.udp("crawler", "192.0.2.2", 7001), "EPERM")
        self.assertEqual(self.tcp("vault", "192.0.2.2", 7000), "EPERM")

    def test_the_host_is_judged_as_the_host_whatever_its_source_says(self):
        for source in ((), ("192.0.2.1",), ("10.10.2.2",), ("10.10.3.1",)):
            self.assertEqual(self.host.python(None, ASK_TCP, "10.10.2.1", "80", *source)[1], "10.10.2.1", source)
        for source in ((), ("192.0.2.1",), ("10.10.4.1",), ("10.10.4.2",)):
            self.assertEqual(self.host.python(None, ASK_TCP, "10.10.4.1", "80", *source), "timeout", source)
        self.assertEqual(self.udp(None, "10.10.4.1"), "timeout")
        self.assertEqual(self.udp(None, "10.10.2.1")[0], "10.10.2.1")

    def test_an_application_reaches_the_host_unless_the_policy_says_no(self):
        self.host.serve(None, TCP_WHO, "192.0.2.1", "8082")
        self.assertEqual(self.tcp("web", "192.0.2.1", 8082)[0], "10.10.2.1")
        self.assertEqual(self.tcp("vault", "192.0.2.1", 8082), "EPERM")

    def test_a_daemon_of_the_host_never_answers_on_an_application_address(self):
        self.host.serve(None, TCP_WHO, "0.0.0.0", "8083")
        self.host.serve(None, UDP_WHO, "0.0.0.0", "8083")
        for application, address in (("web", "10.10.2.2"), ("web", "10.10.2.1"), ("vault", "10.10.4.2")):
            self.assertEqual(self.tcp(application, address, 8083), "timeout")
        self.assertEqual(self.udp("vault", "10.10.4.2", 8083), "timeout")

    def test_other_protocols_are_refused_where_the_socket_is_made(self):
        code = """
results = []
for family, kind, protocol in ((socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_INET, socket.SOCK_RAW, 255),
                               (socket.AF_INET, socket.SOCK_DGRAM, 1), (socket.AF_INET, socket.SOCK_DGRAM, 136),
                               (socket.AF_INET6, socket.SOCK_RAW, 58), (socket.AF_INET6, socket.SOCK_DGRAM, 136)):
    results.append(attempt(lambda: socket.socket(family, kind, protocol).close()))
answer(results)
"""
        for result in self.host.python("web", code):
            self.assertIn(result, ("EPERM", "EACCES", "EPROTONOSUPPORT"))
        outside = self.host.python(None, code)
        self.assertIn(None, outside, "the host itself makes such sockets, so the refusal is ours")

    def test_a_tun_device_is_refused(self):
        code = """
answer(attempt(lambda: os.close(os.open("/dev/net/tun", os.O_RDWR))))
"""
        if self.host.python(None, code) is not None:
            self.host.run(None, "mkdir", "-p", "/dev/net", check=True)
            self.host.run(None, "mknod", "/dev/net/tun", "c", "10", "200")
        # Without the module it is not there for the host either; what the hook says comes first.
        self.assertIn(self.host.python(None, code), (None, "ENODEV", "ENXIO"))
        self.assertEqual(self.host.python("web", code), "EPERM")
        self.assertEqual(self.host.python("web", "answer(attempt(lambda: os.close(os.open('/dev/null', os.O_RDWR))))"), None)

    def test_mptcp_is_judged_like_tcp(self):
        ask = ASK_TCP.replace("socket.socket(family(sys.argv[1]))", "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)")
        self.assertIn("262", ask)
        self.assertEqual(self.host.python("web", ask, "10.10.2.2", "80")[0], "10.10.2.1")
        self.assertEqual(self.host.python("web", ask, "10.10.3.2", "80"), "EPERM")

    def test_multicast_and_broadcast_are_refused(self):
        code = ASK_UDP.replace("to = ", "client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)\n        to = ")
        for address in ("224.0.0.251", "255.255.255.255", "192.0.2.255"):
            self.assertEqual(self.host.python("web", code, address, "5353", "plain"), "EPERM", address)

    def test_audit_records_and_lets_through(self):
        # The other side still enforces: the call goes through here, and the packet is dropped there.
        self.assertEqual(self.tcp("pilot", "10.10.3.2"), "timeout")
        self.assertGreaterEqual(self.host.counts("pilot", "connect")["other-environment"], 1)
        self.assertEqual(self.tcp("pilot", "127.0.0.1", 8085), "ECONNREFUSED")
        self.assertEqual(self.host.python("pilot", ASK_TCP, "10.10.6.1", "80", "192.0.2.1"), "EADDRNOTAVAIL")

    def test_children_and_moved_processes_stay_covered(self):
        child = self.host.cgroup / "web" / "child"
        child.mkdir(exist_ok=True)
        self.assertEqual(self.tcp("web/child", "10.10.2.2")[0], "10.10.2.1")
        self.assertEqual(self.tcp("web/child", "10.10.3.2"), "EPERM")
        self.assertEqual(self.tcp("vault", "10.10.4.2")[0], "10.10.4.1")
        code = """
open(sys.argv[3], "w").write("0")
def body():
    with socket.socket() as client:
        client.settimeout(1)
        client.connect((sys.argv[1], int(sys.argv[2])))
        return json.loads(client.recv(1000))
answer(attempt(body))
"""
        procs = str(child / "cgroup.procs")
        self.assertEqual(self.host.python("web", code, "10.10.3.2", "80", procs), "EPERM")
        self.assertEqual(self.host.python("web", code, "10.10.2.2", "80", procs)[0], "10.10.2.1")

    def test_a_child_of_a_member_that_denies_the_host_is_still_the_member(self):
        (self.host.cgroup / "vault" / "child").mkdir(exist_ok=True)
        self.assertEqual(self.tcp("vault/child", "10.10.4.2")[0], "10.10.4.1")
        self.assertEqual(self.tcp("vault/child", "10.10.4.1")[0], "10.10.4.1")

    def test_listening_without_bind_is_reachable_on_the_application_address_only(self):
        code = """
listener = socket.socket()
listener.listen()
print("ready", flush=True)
print(listener.getsockname()[1], flush=True)
while True:
    client, peer = listener.accept()
    client.sendall(json.dumps([peer[0], client.getsockname()[0]]).encode())
    client.close()
"""
        server = self.host.serve("api", code)
        port = int(server.stdout.readline())
        self.assertEqual(self.tcp("web", "10.10.2.2", port), ["10.10.2.1", "10.10.2.2"])
        self.assertEqual(self.tcp(None, "192.0.2.1", port), "timeout")
        self.assertEqual(self.tcp(None, "10.10.3.1", port), "timeout")

    def test_a_foreign_network_namespace_is_refused(self):
        code = """
import ctypes
libc = ctypes.CDLL(None)
assert libc.unshare(0x40000000) == 0
answer(attempt(lambda: socket.socket().close()))
"""
        self.assertEqual(self.host.python("web", code), "EPERM")


if __name__ == "__main__":
    unittest.main()
