"""IPv6 as IPv4: the same decisions, the same forced source, natively."""

import os
import unittest
from pathlib import Path

from world import ASK_TCP, ASK_UDP, Host, TCP_WHO, UDP_WHO, run

POLICY = """
addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
environments:
  shop:
    addresses: [10.10.2.0/24, "fd00:10:10:2::/64"]
    permits:
      - {to: payments/db, ports: [tcp/5432, udp/5353]}
  payments:
    addresses: ["fd00:10:10:3::/64"]
  scattered:
    addresses: ["fd00:10:10:4::/64", "fd00:10:10:5:6::/80"]
    remote: {in: deny, out: {allow: ["2001:db8::/64 tcp/7000-7001 udp/7000"]}}
applications:
  db: {environment: payments, address: "fd00:10:10:3::1"}
"""

APPLICATIONS = {
    "web": ("shop", "10.10.2.1,fd00:10:10:2::1"),
    "api": ("shop", "fd00:10:10:2::2"),
    "db": ("payments", "fd00:10:10:3::1"),
    "ledger": ("payments", "fd00:10:10:3::2"),
    "crawler": ("scattered", "fd00:10:10:4::1"),
    "crawler2": ("scattered", "fd00:10:10:5:6::1"),
}


class IPv6(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host("ipv6", policy=POLICY)
        cls.host.__enter__()
        cls.addClassCleanup(cls.host.__exit__)
        for name, (environment, addresses) in APPLICATIONS.items():
            cls.host.attach(name, environment, addresses)
            # V6ONLY, as nginx listens.
            cls.host.serve(name, TCP_WHO, "::", "80", "1")
            cls.host.serve(name, UDP_WHO, "::", "53", "1")
        cls.host.serve("db", TCP_WHO, "::", "5432", "1")
        cls.host.serve("db", UDP_WHO, "::", "5353", "1")
        for port in ("7000", "7001", "7002"):
            cls.host.serve(None, TCP_WHO, "::", port, namespace=cls.host.remote_namespace)
            cls.host.serve(None, UDP_WHO, "::", port, namespace=cls.host.remote_namespace)

    def tcp(self, source, destination, port=80, *more, **options):
        return self.host.python(source, ASK_TCP, destination, str(port), *more, **options)

    def udp(self, source, destination, port=53, how="plain", *more, **options):
        return self.host.python(source, ASK_UDP, destination, str(port), how, *more, **options)

    def test_every_application_has_its_own_wildcard_port(self):
        for name, (environment, addresses) in APPLICATIONS.items():
            if environment != "scattered":
                address = addresses.split(",")[-1]
                self.assertEqual(self.tcp(None, address)[1], address)

    def test_an_application_reaches_its_environment_with_its_own_address(self):
        self.assertEqual(self.tcp("web", "fd00:10:10:2::2"), ["fd00:10:10:2::1", "fd00:10:10:2::2"])
        for how in ("plain", "connected", "connected-pktinfo", "pktinfo"):
            self.assertEqual(self.udp("web", "fd00:10:10:2::2", 53, how)[0], "fd00:10:10:2::1", how)

    def test_an_environment_of_several_prefixes_is_one(self):
        self.assertEqual(self.tcp("crawler", "fd00:10:10:5:6::1")[0], "fd00:10:10:4::1")
        self.assertEqual(self.udp("crawler2", "fd00:10:10:4::1")[0], "fd00:10:10:5:6::1")

    def test_another_environment_is_refused_with_eperm(self):
        for destination in ("fd00:10:10:3::2", "fd00:10:10:4::1", "fd00:10:10:99::1"):
            self.assertEqual(self.tcp("web", destination), "EPERM")
            for how in ("plain", "connected", "pktinfo"):
                self.assertEqual(self.udp("web", destination, 53, how), "EPERM", how)

    def test_a_permit_lets_new_flows_one_way_and_their_answers_back(self):
        self.assertEqual(self.tcp("web", "fd00:10:10:3::1", 5432)[0], "fd00:10:10:2::1")
        for how in ("plain", "connected", "pktinfo"):
            self.assertEqual(self.udp("web", "fd00:10:10:3::1", 5353, how)[0], "fd00:10:10:2::1")
        self.assertEqual(self.tcp("web", "fd00:10:10:3::1", 80), "EPERM")
        self.assertEqual(self.tcp("web", "fd00:10:10:3::2", 5432), "EPERM")
        self.assertEqual(self.tcp("db", "fd00:10:10:2::1"), "EPERM")
        self.assertEqual(self.udp("db", "fd00:10:10:2::1"), "EPERM")

    def test_the_rest_of_the_world_sees_the_application_address(self):
        self.assertEqual(self.tcp("web", "2001:db8::2", 7000)[0], "fd00:10:10:2::1")
        for how in ("plain", "connected"):
            self.assertEqual(self.udp("web", "2001:db8::2", 7000, how)[0], "fd00:10:10:2::1")
        for how in ("pktinfo", "connected-pktinfo"):
            self.assertEqual(self.udp("web", "2001:db8::2", 7000, how, "2001:db8::1")[0], "fd00:10:10:2::1", how)

    def test_a_remote_policy_holds_by_prefix_and_port(self):
        self.assertEqual(self.tcp("crawler", "2001:db8::2", 7000)[0], "fd00:10:10:4::1")
        self.assertEqual(self.tcp("crawler", "2001:db8::2", 7002), "EPERM")
        self.assertEqual(self.udp("crawler", "2001:db8::2", 7000)[0], "fd00:10:10:4::1")
        self.assertEqual(self.udp("crawler", "2001:db8::2", 7001), "EPERM")
        remote = self.host.remote_namespace
        self.assertEqual(self.tcp(None, "fd00:10:10:4::1", namespace=remote), "timeout")
        self.assertEqual(self.tcp(None, "fd00:10:10:2::1", namespace=remote)[0], "2001:db8::2")

    def test_a_source_of_the_address_space_from_the_link_is_forged(self):
        remote = self.host.remote_namespace
        name = remote.rsplit("/", 1)[1]
        for address in ("fd00:10:10:2::77", "fd00:10:10:3::77"):
            run("ip", "-n", name, "address", "add", f"{address}/128", "dev", "lo", "nodad")
            self.assertEqual(self.tcp(None, "fd00:10:10:2::1", 80, address, namespace=remote), "timeout")

    def test_an_application_of_one_family_has_no_other(self):
        self.assertEqual(self.tcp("api", "192.0.2.2", 7000), "ENETUNREACH")
        self.assertEqual(self.udp("api", "192.0.2.2", 7000), "ENETUNREACH")
        self.assertEqual(self.tcp("api", "::ffff:192.0.2.2", 7000), "ENETUNREACH")

    def test_binding_to_a_foreign_address_fails_as_on_a_host_without_it(self):
        for address in ("fd00:10:10:2::2", "fd00:10:10:3::1", "2001:db8::1", "::ffff:192.0.2.1", "ff02::1"):
            self.assertEqual(self.tcp("web", "fd00:10:10:2::2", 80, address), "EADDRNOTAVAIL", address)
        for address in ("::", "fd00:10:10:2::1"):
            self.assertEqual(self.tcp("api", "fd00:10:10:2::1", 80, "::")[0], "fd00:10:10:2::2")

    def test_link_local_peers_are_refused(self):
        code = """
def body():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", ("fe80::1", 9, 0, socket.if_nametoindex("eth0")))
    return "sent"
answer(attempt(body))
"""
        self.assertEqual(self.host.python("web", code), "EPERM")

    def test_multicast_is_refused(self):
        code = """
def body():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", ("ff02::fb", 5353, 0, socket.if_nametoindex("eth0")))
    return "sent"
answer(attempt(body))
"""
        self.assertEqual(self.host.python("web", code), "EPERM")


# BPF_TCX_INGRESS came with 6.6. On an older kernel a wildcard of both families has IPv4 and loopback only.
STEERS = tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 6)


class DualStack(unittest.TestCase):
    """Wildcards of both families, in applications that have both."""

    @classmethod
    def setUpClass(cls):
        cls.host = Host("dual", policy=POLICY)
        cls.host.__enter__()
        cls.addClassCleanup(cls.host.__exit__)
        for number in ("1", "2"):
            name = f"dual{number}"
            cls.host.attach(name, "shop", f"10.10.2.{number},fd00:10:10:2::{number}")
            cls.host.serve(name, TCP_WHO, "::", "80", "0")
            cls.host.serve(name, UDP_WHO, "::", "53", "0")
        cls.host.attach("ledger", "payments", "fd00:10:10:3::2")

    def tcp(self, source, destination, port=80, *more, **options):
        return self.host.python(source, ASK_TCP, destination, str(port), *more, **options)

    def udp(self, source, destination, port=53, how="plain", *more, **options):
        return self.host.python(source, ASK_UDP, destination, str(port), how, *more, **options)

    def test_two_applications_on_the_wildcard_of_both_families_are_reached_on_both_addresses(self):
        for number, other in (("1", "2"), ("2", "1")):
            self.assertEqual(self.tcp(f"dual{other}", f"10.10.2.{number}"),
                             [f"::ffff:10.10.2.{other}", f"::ffff:10.10.2.{number}"])
            if not STEERS:
                self.assertEqual(self.tcp(f"dual{other}", f"fd00:10:10:2::{number}"), "ECONNREFUSED")
                continue
            self.assertEqual(self.tcp(f"dual{other}", f"fd00:10:10:2::{number}"),
                             [f"fd00:10:10:2::{other}", f"fd00:10:10:2::{number}"])
            self.assertEqual(self.udp(f"dual{other}", f"10.10.2.{number}")[0], f"::ffff:10.10.2.{other}")
            for how in ("plain", "connected"):
                self.assertEqual(self.udp(f"dual{other}", f"fd00:10:10:2::{number}", 53, how)[0],
                                 f"fd00:10:10:2::{other}")

    def test_the_rest_of_the_world_reaches_them_on_both_addresses(self):
        remote = self.host.remote_namespace
        self.assertEqual(self.tcp(None, "10.10.2.1", namespace=remote)[0], "::ffff:192.0.2.2")
        if not STEERS:
            self.assertEqual(self.tcp(None, "fd00:10:10:2::1", namespace=remote), "ECONNREFUSED")
            return
        self.assertEqual(self.tcp(None, "fd00:10:10:2::1", namespace=remote), ["2001:db8::2", "fd00:10:10:2::1"])
        self.assertEqual(self.udp(None, "fd00:10:10:2::1", namespace=remote)[0], "2001:db8::2")

    def test_steering_lets_nobody_in(self):
        self.assertEqual(self.tcp("ledger", "fd00:10:10:2::1"), "EPERM")
        remote = self.host.remote_namespace
        for address in ("fd00:10:10:2::77", "fd00:10:10:3::77"):
            run("ip", "-n", remote.rsplit("/", 1)[1], "address", "add", f"{address}/128", "dev", "lo", "nodad")
            self.assertEqual(self.tcp(None, "fd00:10:10:2::1", 80, address, namespace=remote), "timeout")

    def test_loopback_is_loopback_in_both_families(self):
        localhost = "::1" if STEERS else "::ffff:127.0.0.1"
        self.assertEqual(self.tcp("dual1", "::1"), [localhost, localhost])
        self.assertEqual(self.tcp("dual1", "127.0.0.1"), ["::ffff:127.0.0.1", "::ffff:127.0.0.1"])
        if not STEERS:
            return
        for how in ("plain", "connected"):
            self.assertEqual(self.udp("dual1", "::1", 53, how)[0], "::1")

    def test_an_ipv6_listener_beside_it_comes_first(self):
        self.host.serve("dual1", TCP_WHO, "::", "8080", "0")
        self.host.serve("dual1", ONLY, "fd00:10:10:2::1", "8080")
        self.assertEqual(self.tcp("dual2", "fd00:10:10:2::1", 8080), "the only one")
        self.assertEqual(self.tcp("dual2", "10.10.2.1", 8080)[1], "::ffff:10.10.2.1")

    def test_nothing_is_left_on_the_interfaces(self):
        with Host("steered", policy=POLICY) as host:
            host.attach("both", "shop", "10.10.2.1,fd00:10:10:2::1")
            links = Path(f"/sys/fs/bpf/{host.instance}/interfaces")
            self.assertEqual(len(list(links.iterdir())) if links.exists() else 0, 2 if STEERS else 0)
            host.agent("detach", "both")
            self.assertFalse(Path(f"/sys/fs/bpf/{host.instance}/interfaces").exists())

    def test_steering_goes_with_the_second_family_and_fails_no_publication(self):
        with Host("families") as host:
            both = POLICY + f"""  both:
    environment: shop
    address: [10.10.2.1, "fd00:10:10:2::1"]
    cgroup: {host.cgroup.name}/both
"""
            permits = "    permits:\n      - {to: payments/db, ports: [tcp/5432, udp/5353]}\n"
            host.make("both")
            links = Path(f"/sys/fs/bpf/{host.instance}/interfaces")
            host.apply(both)
            self.assertEqual(links.exists(), STEERS)
            host.apply(both.replace('[10.10.2.1, "fd00:10:10:2::1"]', "10.10.2.1"))
            self.assertFalse(links.exists())
            host.apply(both)
            self.assertNotEqual(self.ask_db(host), "EPERM")
            # What cannot steer any more still publishes: the policy is in force before that is tried.
            Path(f"/sys/fs/bpf/{host.instance}/programs/vne_steer").unlink()
            host.apply(both.replace(permits, ""))
            self.assertEqual(self.ask_db(host), "EPERM")

    def ask_db(self, host):
        return host.python("both", ASK_TCP, "fd00:10:10:3::1", "5432")


# Answers in another way than TCP_WHO.
ONLY = """
with socket.socket(socket.AF_INET6) as listener:
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind((sys.argv[1], int(sys.argv[2])))
    listener.listen()
    ready()
    while True:
        with listener.accept()[0] as client:
            client.sendall(b'"the only one"')
"""


if __name__ == "__main__":
    unittest.main()
