"""Packets that reach the host by themselves, with true and forged sources, from a machine behind a veth pair."""

import json
import subprocess
import unittest

from world import Host, PYTHON, PYTHON_PRELUDE, lasting, run

POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop:
    addresses: 10.10.2.0/24
    permits:
      - {to: payments}
  payments:
    addresses: 10.10.3.0/24
"""

# Sends a datagram and a SYN with a source of its choice, and says whether it could.
FORGE = """
source, destination, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def packet(protocol, body):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(destination))
    return head + body
def pseudo(protocol, body):
    return socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!BBH", 0, protocol, len(body))
udp = struct.pack("!HHHH", 4000, port, 13, 0) + b"forge"
tcp = struct.pack("!HHIIBBHHH", 4000, port, 1, 0, 5 << 4, 2, 1024, 0, 0)
tcp = tcp[:16] + struct.pack("!H", checksum(pseudo(6, tcp) + tcp)) + tcp[18:]
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
    answer([raw.sendto(packet(17, udp), (destination, 0)), raw.sendto(packet(6, tcp), (destination, 0))])
"""

# Counts datagrams and connections that arrive, until it is told to stop and nothing more comes.
COUNT = """
import select
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", 9000))
tcp = socket.socket()
tcp.bind(("0.0.0.0", 9000))
tcp.listen()
ready()
seen = []
readers = [udp, tcp, sys.stdin]
while arrived := select.select(readers, [], [], None if sys.stdin in readers else 0.2)[0]:
    for reader in arrived:
        if reader is sys.stdin:
            readers.remove(reader)
        elif reader is udp:
            seen.append(udp.recvfrom(100)[1][0])
        else:
            seen.append("tcp " + tcp.accept()[1][0])
answer(seen)
"""


class Packets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(lasting("packets"))

    def setUp(self):
        self.host = Host("packets", policy=POLICY)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.attach("db", "payments", "10.10.3.1")
        # The forger owns the addresses that it uses, so that its answers would be believed.
        for address in ("10.10.2.77", "10.10.3.77", "10.10.3.78", "10.10.99.1"):
            run("ip", "-n", self.host.remote, "address", "add", f"{address}/32", "dev", "lo")
            run("ip", "-n", self.host.name, "route", "add", f"{address}/32", "via", "192.0.2.2")

    def forge(self, source, destination):
        self.host.python(None, FORGE, source, destination, "9000", namespace=self.host.remote_namespace)

    def count(self, application, code=COUNT):
        child = self.host.start(application, *PYTHON, "-u", "-c", PYTHON_PRELUDE + code, stdin=subprocess.PIPE)
        self.assertEqual(child.stdout.readline().strip(), "ready")
        return child

    def seen(self, counter):
        return json.loads(counter.communicate("stop\n", timeout=30)[0])

    def test_a_source_in_the_address_space_from_the_wire_is_dropped_before_the_socket(self):
        counter = self.count("web")
        for source in ("10.10.2.77", "10.10.3.77", "10.10.99.1", "10.10.2.1"):
            self.forge(source, "10.10.2.1")
        # The same packets with a source that is allowed do arrive: the forger works.
        self.forge("192.0.2.2", "10.10.2.1")
        self.assertEqual(self.seen(counter), ["192.0.2.2"])
        self.assertGreaterEqual(self.host.counts("web", "ingress").get("forged", 0), 4)

    def test_an_interface_that_carries_the_address_space_is_believed_and_judged(self):
        self.host.apply(POLICY + "addressSpaceInterfaces: [eth0]\n")
        counter = self.count("db")
        self.forge("10.10.2.77", "10.10.3.1")
        self.forge("10.10.3.77", "10.10.3.1")
        self.forge("10.10.99.1", "10.10.3.1")
        seen = self.seen(counter)
        self.assertIn("10.10.2.77", seen, "a permit covers it")
        self.assertIn("10.10.3.77", seen, "a member")
        self.assertNotIn("10.10.99.1", seen, "unassigned")
        counter = self.count("web")
        self.forge("10.10.3.77", "10.10.2.1")
        self.assertEqual(self.seen(counter), [], "permits go one way")

    def test_the_wire_cannot_reach_another_address_of_the_host_through_an_application(self):
        counter = self.count("web", COUNT.replace('"0.0.0.0"', '"10.10.2.1"'))
        self.forge("192.0.2.2", "10.10.3.1")
        self.forge("192.0.2.2", "192.0.2.1")
        self.assertEqual(self.seen(counter), [])


if __name__ == "__main__":
    unittest.main()
