"""The adversary suite: one program a trick (`tricks/`), each tried on victims that its environment may not reach.

Every trick runs twice: in a cgroup that is not attached, where it must get through, so that it is known to work on this
kernel, and in an application, where nothing may. What got through is told by the victims, not by the trick: a process
of another environment and a machine behind the wire tell what their sockets take, and sniffers at both tell what
arrives before that. Witnesses may be reached and tell with which source.
"""

import json
import subprocess
import sys
import unittest
from pathlib import Path
from types import SimpleNamespace

from world import AGENT, Host, PROJECT, PYTHON_PRELUDE, SLOWNESS, TCP_WHO, TRY_CONNECT, UDP_WHO, run

HERE = Path(__file__).resolve().parent
SECURITY = PROJECT / "docs" / "SECURITY.md"

HOST = ("192.0.2.1", "2001:db8::1")
OWN = ("10.10.2.1", "fd00:10:10:2::1")
# In another environment of this host, and on a machine that the policy denies.
NEIGHBOURS = ("10.10.3.1", "fd00:10:10:3::1")
DENIED = ("192.0.2.2", "2001:db8::2")
# Addresses of that environment on the machine behind the wire, where nothing of ours is.
ELSEWHERE = ("10.10.3.77", "fd00:10:10:3::77")
# Of an environment that may send to every remote.
ROAMING = ("10.10.8.1", "fd00:10:10:8::1")
# The same machine by addresses that the policy lets out.
WITNESSES = ("192.0.2.3", "2001:db8::3")
# An address that the host's NAT rules lead elsewhere.
PUBLISHED = "192.0.2.99"

REMOTE = f'{{in: deny, out: {{allow: ["{WITNESSES[0]}/32", "{WITNESSES[1]}/128", "{PUBLISHED}/32"]}}}}'
POLICY = f"""
addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
environments:
  shop:
    addresses: [10.10.2.0/24, "fd00:10:10:2::/64"]
    remote: {REMOTE}
  payments:
    addresses: [10.10.3.0/24, "fd00:10:10:3::/64"]
  guarded:
    addresses: [10.10.4.0/24, "fd00:10:10:4::/64"]
    remote: {REMOTE}
    strict: true
  pinging:
    addresses: [10.10.5.0/24, "fd00:10:10:5::/64"]
    remote: {REMOTE}
    protocols: [tcp, udp, ping]
  watched:
    addresses: [10.10.6.0/24, "fd00:10:10:6::/64"]
    mode: audit
  roaming:
    addresses: [10.10.8.0/24, "fd00:10:10:8::/64"]
  sealed:
    addresses: [10.10.7.0/24, "fd00:10:10:7::/64"]
    host: deny
"""

# Nobody in particular, without a capability.
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")


def protections():
    """What holds on this kernel beyond the cgroup's own hooks, by name."""
    checked = json.loads(run(AGENT, "check", "--json").stdout)
    return {protection["protection"]: protection["held"] for protection in checked["protections"]}


HELD = protections()


def held(name):
    """Whether a protection that depends on the kernel holds here."""
    return HELD[name]


def is_absent(name, said, absent):
    """Whether an attempt failed since the kernel does not have what it takes."""
    return any(part in name and said in errors for part, errors in (absent or {}).items())


def at_sockets(played, addresses):
    """What the victims' sockets took at these addresses."""
    return [record for record in played.seen if "wire" not in record["by"] and record["to"] in addresses]


class Tricks(unittest.TestCase):
    # How many runs of tricks there were.
    number = 0

    @classmethod
    def setUpClass(cls):
        cls.host = Host("tricks", policy=POLICY)
        cls.host.__enter__()
        cls.addClassCleanup(cls.host.__exit__)
        for address, length in ((WITNESSES[0], 24), (WITNESSES[1], 64)):
            run("ip", "-n", cls.host.remote, "address", "add", f"{address}/{length}", "dev", "eth0",
                *(["nodad"] if ":" in address else []))
        for application, environment, addresses in (("web", "shop", OWN), ("db", "payments", NEIGHBOURS),
                                                    ("strict", "guarded", ("10.10.4.1", "fd00:10:10:4::1")),
                                                    ("sealed", "sealed", ("10.10.7.1", "fd00:10:10:7::1")),
                                                    ("pilot", "watched", ("10.10.6.1", "fd00:10:10:6::1")),
                                                    ("roamer", "roaming", ROAMING),
                                                    ("pinger", "pinging", ("10.10.5.1", "fd00:10:10:5::1"))):
            cls.host.attach(application, environment, ",".join(addresses))
        cls.host.make("free")
        # Data goes with the SYN, without a cookie of an earlier connection.
        cls.host.run(None, "sysctl", "-qw", "net.ipv4.tcp_fastopen=5", check=True)
        outside = {"namespace": cls.host.remote_namespace}
        cls.victims = [cls.victim("db", "sockets", *NEIGHBOURS), cls.victim(None, "sniff", "lo", *NEIGHBOURS),
                       cls.victim(None, "sockets", *DENIED, *WITNESSES, **outside),
                       cls.victim(None, "sniff", "eth0", *DENIED, *WITNESSES, **outside)]

    @classmethod
    def victim(cls, application, role, *rest, **options):
        child = cls.host.start(application, sys.executable, HERE / "victim.py", role, 0.05 * SLOWNESS ** 0.5, *rest,
                               stdin=subprocess.PIPE, **options)
        if (line := child.stdout.readline()) != "ready\n":
            raise AssertionError(line + child.stdout.read())
        return child

    def seen(self):
        """All that has arrived since the last time."""
        for victim in self.victims:
            victim.stdin.write("\n")
            victim.stdin.flush()
        told = [record for victim in self.victims for record in json.loads(victim.stdout.readline())]
        # A failure shows each kind once.
        return [dict(record) for record in sorted({tuple(record.items()) for record in told}, key=repr)]

    def since(self):
        """What has arrived of the present run: its attempts have its number, which is not told on."""
        mine = f"{self.number} "
        return [{**record, "token": record["token"] and record["token"].removeprefix(mine)} for record in self.seen()
                if record["token"] is None or record["token"].startswith(mine)]

    def command(self, trick, words, victims=(*NEIGHBOURS, *DENIED), foreign=NEIGHBOURS):
        Tricks.number += 1
        given = {"number": self.number, "victims": ",".join(victims), "witnesses": ",".join(WITNESSES),
                 "foreign": ",".join(foreign), "neighbours": ",".join(NEIGHBOURS),
                 "patience": 0.2 * SLOWNESS ** 0.5, **words}
        return [sys.executable, HERE / "tricks" / f"{trick}.py", *(f"{name}={value}" for name, value in given.items())]

    def play(self, application, trick, *, user=(), namespace=None, victims=(*NEIGHBOURS, *DENIED), foreign=NEIGHBOURS,
             **words):
        """Runs a trick: what it says of its attempts, and what arrived at victims and witnesses meanwhile."""
        self.seen()
        result = self.host.run(application, *user, *self.command(trick, words, victims, foreign), namespace=namespace)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return self.outcome(json.loads(result.stdout.splitlines()[-1]))

    def outcome(self, said):
        seen = self.since()
        return SimpleNamespace(said=said, seen=seen, at_victims=[r for r in seen if r["to"] not in WITNESSES],
                               at_witnesses=[r for r in seen if r["to"] in WITNESSES])

    def assert_works(self, played, absent=None, foreign=NEIGHBOURS):
        """Every attempt got through. What not every kernel has is in `absent`, with the errors that say so."""
        for name, said in played.said.items():
            if is_absent(name, said, absent):
                continue
            if name.startswith("have "):
                self.assertEqual(said, "done", f"the control: {name}")
                continue
            sources = {r["from"] for r in played.seen if r["token"] == name and r["to"] == name.split()[-1]}
            self.assertTrue(sources, f"the control: {name}: {said}")
            if name.startswith("mask "):
                self.assertTrue(sources & set(foreign), f"the control's source: {name}: {sources}")

    def assert_held(self, played, errors=(), own=OWN, absent=None):
        """Nothing arrived at a victim, not even on the wire, and nothing at a witness with a source of others."""
        self.assertEqual(played.at_victims, [], played)
        self.assertEqual([record for record in played.at_witnesses if record["from"] not in own], [], played)
        for name, said in played.said.items():
            if errors and not name.startswith("mask ") and not is_absent(name, said, absent):
                self.assertIn(said, errors, name)

    def refuse(self, trick, *errors, absent=None, foreign=NEIGHBOURS, **options):
        """The usual course: it gets through where nothing is attached, and in the application nothing does."""
        self.assert_works(self.play("free", trick, foreign=foreign, **options), absent, foreign)
        played = self.play("web", trick, foreign=foreign, **options)
        self.assert_held(played, errors, absent=absent)
        return played

    def depend(self, trick, protection, *errors, absent=None, **options):
        """The usual course where the kernel lets a hook refuse it. Elsewhere root gets through, which the row of
        SECURITY.md says, and who has no rights is refused by the kernel itself."""
        self.assert_works(self.play("free", trick, **options), absent)
        played = self.play("web", trick, **options)
        if held(protection):
            self.assert_held(played, errors)
        else:
            self.assert_works(played, absent)
            self.assertTrue(self.marked(protection), f"SECURITY.md does not say that {trick} needs {protection}")
        self.assert_held(self.play("web", trick, user=NOBODY, **options))

    def marked(self, word):
        """Whether a row of this test in SECURITY.md has the word in it."""
        return any(line.startswith("|") and f"`{self._testMethodName}`" in line and word in line
                   for line in SECURITY.read_text().splitlines())

    def start(self, application, trick, **words):
        """Starts a trick that goes on until its input ends."""
        child = self.host.start(application, *self.command(trick, words), stdin=subprocess.PIPE)
        return child, child.stdout.readline()

    # ------------------------------------------------------------------ sockets of other kinds

    def test_trick_raw_socket(self):
        played = self.refuse("raw_socket", "EPERM")
        self.assertEqual(set(played.said.values()), {"EPERM"})

    def test_trick_udplite(self):
        played = self.refuse("udplite", "EPERM")
        self.assertEqual(set(played.said.values()), {"EPERM"})

    def test_trick_sctp(self):
        self.refuse_if_there("sctp", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT")

    def test_trick_dccp(self):
        self.refuse_if_there("dccp", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT")

    def refuse_if_there(self, trick, *missing):
        """A protocol that is in some kernels only. One without it says so, to everybody."""
        control = self.play("free", trick)
        if set(control.said.values()) <= set(missing):
            self.assertTrue(self.marked("not in every kernel"))
            self.assertLessEqual(set(self.play("web", trick).said.values()), set(missing))
        else:
            self.assertEqual([r["to"] for r in control.seen if r["to"] in NEIGHBOURS + DENIED][:1], [NEIGHBOURS[0]])
            self.assert_held(self.play("web", trick), ("EPERM",))

    def test_trick_ping_socket(self):
        self.host.run(None, "sysctl", "-qw", "net.ipv4.ping_group_range=0 65534", check=True)
        played = self.refuse("ping_socket", "EPERM")
        self.assertEqual(set(played.said.values()), {"EPERM"})
        # Where the policy has ping, egress sees what no other hook does. IPv6 does not tell the program of a drop.
        self.assert_held(self.play("pinger", "ping_socket"), ("EPERM", "done"), ("10.10.5.1", "fd00:10:10:5::1"))

    def test_trick_packet_socket(self):
        self.depend("packet_socket", "families", "EPERM")

    def test_trick_families(self):
        control = self.play("free", "families").said
        self.assertIn("done", control.values())
        inside = self.play("web", "families").said
        if held("families"):
            self.assertEqual({inside[name] for name, said in control.items() if said == "done"}, {"EPERM"})
        else:
            self.assertEqual(inside, control)
            self.assertTrue(self.marked("families"))

    def test_trick_vsock(self):
        self.depend("vsock", "families", "EPERM")

    def test_trick_mptcp(self):
        self.refuse("mptcp", "EPERM")
        # The witness's kernel announces a victim's address as its own, and this host's kernel is told to make
        # subflows from a foreign one.
        remote, host = (["ip", "-n", name, "mptcp"] for name in (self.host.remote, self.host.name))
        for command in (remote, host):
            run(*command, "limits", "set", "subflow", "4", "add_addr_accepted", "4")
        run(*remote, "endpoint", "add", DENIED[0], "signal")
        run(*host, "endpoint", "add", NEIGHBOURS[0], "subflow")
        self.addCleanup(lambda: [run(*command, "endpoint", "flush") for command in (remote, host)])
        control = self.play("free", "mptcp", wait=1)
        self.assertIn((HOST[0], DENIED[0]), {(r["from"], r["to"]) for r in control.seen}, "an announced subflow")
        self.assertIn((NEIGHBOURS[0], WITNESSES[0]), {(r["from"], r["to"]) for r in control.seen}, "a foreign source")
        played = self.play("web", "mptcp", wait=1)
        self.assert_held(played)
        self.assertEqual(set(played.said.values()), {"done"})
        self.assertEqual({r["from"] for r in played.at_witnesses}, set(OWN))

    # ------------------------------------------------------------------ the source

    def test_trick_transparent(self):
        self.refuse("transparent", "EADDRNOTAVAIL")

    def test_trick_freebind(self):
        self.refuse("freebind", "EADDRNOTAVAIL")

    def test_trick_bind_to_device(self):
        links = json.loads(self.host.run(None, "ip", "-json", "-6", "address", check=True).stdout)
        carrier = next(link["ifname"] for link in links for address in link["addr_info"]
                       if address["local"] == NEIGHBOURS[1])
        self.refuse("bind_to_device", "EPERM", foreign=HOST, carrier=carrier)

    def test_trick_pktinfo(self):
        self.refuse("pktinfo", "EPERM")

    def test_trick_tcp_repair(self):
        self.refuse("tcp_repair", "EPERM")

    def test_trick_autobind(self):
        self.refuse("autobind", "EPERM", foreign=HOST)

    def test_trick_reuseport(self):
        serve = """
servers = []
for address in sys.argv[1:]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        server = socket.socket(family(address), kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((address, 8090))
        if kind == socket.SOCK_STREAM:
            server.listen(100)
        servers.append(server)
ready()
time.sleep(600)
"""
        ask = """
for address in sys.argv[1:]:
    for _ in range(30):
        with socket.create_connection((address, 8090), 5), socket.socket(family(address), socket.SOCK_DGRAM) as client:
            client.sendto(b"x", (address, 8090))
answer("asked")
"""
        server = self.host.serve("db", serve, *NEIGHBOURS)
        self.addCleanup(server.kill)
        stolen = {}
        for application in ("free", "web"):
            thief, said = self.start(application, "reuseport", steal=",".join(NEIGHBOURS), port=8090)
            for name, result in json.loads(said).items():
                beside = "beside" in name or application == "free"
                self.assertEqual(result, "done" if beside else "EADDRNOTAVAIL", (application, name))
            self.host.python(None, ask, *NEIGHBOURS)
            stolen[application] = int(thief.communicate(timeout=60)[0])
        self.assertGreater(stolen["free"], 0)
        self.assertEqual(stolen["web"], 0)

    # ------------------------------------------------------------------ calls

    def test_trick_fastopen(self):
        self.refuse("fastopen", "EPERM")

    def test_trick_disconnect(self):
        self.refuse("disconnect", "EPERM")

    def test_trick_mapped(self):
        self.refuse("mapped", "EPERM")

    def test_trick_sendmmsg(self):
        self.refuse("sendmmsg", "EPERM")

    def test_trick_io_uring(self):
        self.refuse("io_uring", "EPERM")
        for application, address, said in (("free", HOST[0], "done"), ("web", OWN[0], "timeout")):
            child, ready = self.start(application, "io_uring", accept=1, patience=2 + SLOWNESS / 2)
            self.assertEqual(ready, "ready\n")
            self.host.python(None, TRY_CONNECT, address, "8080", namespace=self.host.remote_namespace)
            self.assertEqual(json.loads(child.communicate(timeout=60)[0]), {"have a connection": said})

    def test_trick_zero_address(self):
        for address in ("127.0.0.1", "::1"):
            for server in (TCP_WHO, UDP_WHO):
                self.addCleanup(self.host.serve(None, server, address, "8095").kill)
        self.assert_works(self.play("free", "zero_address", port=8095))
        # A datagram to nobody on the private loopback goes unanswered, as to a port where an error is not asked for.
        played = self.play("web", "zero_address", port=8095)
        self.assertLessEqual(set(played.said.values()), {"ECONNREFUSED", "timeout"})

    def test_trick_abstract_unix(self):
        name = f"{self.host.name}-abstract"
        code = """
listener, server = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind("\\0" + sys.argv[1])
listener.listen()
server.bind("\\0" + sys.argv[1] + ".datagrams")
ready()
time.sleep(600)
"""
        self.addCleanup(self.host.serve(None, code, name).kill)
        self.assert_works(self.play("free", "abstract_unix", name=name))
        self.assert_works(self.play("web", "abstract_unix", name=name))
        self.assertTrue(self.marked("unix"))
        if held("unix"):
            # The last environment of the policy, sealed, is private then.
            self.host.apply(POLICY + "    unix: private\n")
            self.addCleanup(self.host.apply, POLICY)
            self.assertEqual(set(self.play("sealed", "abstract_unix", name=name).said.values()), {"EPERM"})

    # ------------------------------------------------------------------ packets

    def test_trick_fragments(self):
        self.refuse("fragments", "EPERM")
        outside = {"namespace": self.host.remote_namespace, "victims": NEIGHBOURS[:1], "forge": 1}
        self.assert_works(self.play(None, "fragments", source=DENIED[0], **outside))
        self.assert_held(self.play(None, "fragments", source="10.10.2.77", **outside))

    def test_trick_segments(self):
        self.refuse("segments", "EPERM")

    def test_trick_source_route(self):
        # Mobile IPv6's header is not in every kernel.
        self.refuse("source_route", "EPERM", absent={"IPV6_2292PKTOPTIONS": ("EINVAL",)})
        # The send hook is not told of a control message; only egress sees the first hop.
        absent = {":": ("EINVAL",)}
        self.assert_works(self.play("free", "source_route", message=1), absent)
        self.assert_works(self.play("web", "source_route", message=1), absent)
        self.assertTrue(self.marked("strict"))
        own = ("10.10.4.1", "fd00:10:10:4::1")
        self.assert_held(self.play("strict", "source_route", message=1), ("EPERM",), own, absent)

    def watch(self, *addresses, namespace=None, interface):
        """Victims for this test only."""
        more = [self.victim(None, "sockets", *addresses, namespace=namespace),
                self.victim(None, "sniff", interface, *addresses, namespace=namespace)]
        self.victims.extend(more)
        self.addCleanup(lambda: [(self.victims.remove(victim), victim.kill()) for victim in more])

    def settle_elsewhere(self):
        """Has addresses of another environment on the machine behind the wire, and victims there."""
        for address, length, gateway in zip(ELSEWHERE, (32, 128), DENIED):
            run("ip", "-n", self.host.remote, "address", "replace", f"{address}/{length}", "dev", "lo",
                *(["nodad"] if ":" in address else []))
            run("ip", "-n", self.host.name, "route", "replace", f"{address}/{length}", "via", gateway)
            self.addCleanup(run, "ip", "-n", self.host.name, "route", "delete", f"{address}/{length}")
        self.watch(*ELSEWHERE, namespace=self.host.remote_namespace, interface="eth0")

    def test_trick_source_route_where_every_remote_is_allowed(self):
        self.settle_elsewhere()
        victims, absent = (*NEIGHBOURS, *ELSEWHERE), {"IPV6_2292PKTOPTIONS": ("EINVAL",)}
        self.assert_works(self.play("free", "source_route", victims=victims), absent)
        # The option is accepted, and the packet goes by way of the victim's machine, where no socket takes anything.
        played = self.play("roamer", "source_route", victims=victims)
        self.assert_works(played, absent)
        self.assertEqual(at_sockets(played, victims), [])
        self.assertEqual({record["from"] for record in played.at_victims}, set(ROAMING))
        self.assertTrue(self.marked("no socket"))

    def test_trick_ended_route(self):
        self.settle_elsewhere()
        self.watch(HOST[1], interface="lo")
        victims = (NEIGHBOURS[1], ELSEWHERE[1], HOST[1])
        # By default nobody takes such a packet.
        self.assertEqual(at_sockets(self.play("free", "source_route", victims=victims, ended=1), victims), [])
        for namespace in (self.host.namespace, self.host.remote_namespace):
            switch = lambda value, namespace=namespace: self.host.run(
                None, "sysctl", "-qw", *(f"net.ipv6.conf.{where}.seg6_enabled={value}" for where in ("all", "lo", "eth0")),
                namespace=namespace, check=True)
            switch(1)
            self.addCleanup(switch, 0)
        # An application judges by the source, whatever the way was; a machine without VNE does not.
        for application in ("free", "roamer"):
            played = self.play(application, "source_route", victims=victims, ended=1)
            self.assert_works(played)
            self.assertEqual({record["to"] for record in at_sockets(played, victims)}, {ELSEWHERE[1], HOST[1]})
        self.assertTrue(self.marked("seg6_enabled"))
        # Where the host or a remote is out of reach, the option is refused.
        for application in ("sealed", "web", "strict"):
            played = self.play(application, "source_route", victims=victims, ended=1)
            self.assert_held(played, ("EPERM",))

    def test_trick_icmp_error(self):
        hold = """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.bind(("0.0.0.0", 5555))
    client.connect((sys.argv[1], 53))
    client.settimeout(float(sys.argv[2]))
    ready()
    answer(attempt(lambda: client.recv(100)))
"""
        for application, own in (("free", HOST[0]), ("web", OWN[0])):
            holder = self.host.serve(application, hold, WITNESSES[0], str(3 * SLOWNESS))
            forged = self.play(None, "icmp_error", namespace=self.host.remote_namespace, own=own, port=5555,
                               foreign=("198.51.100.9",))
            self.assertEqual(set(forged.said.values()), {"done"})
            # The kernel takes an error to a connection by the packet that is quoted in it. No hook is asked.
            self.assertEqual(json.loads(holder.stdout.readline()), "ECONNREFUSED")
        self.assertEqual(set(self.play("web", "icmp_error", own=NEIGHBOURS[0], port=53).said.values()), {"EPERM"})

    def test_trick_nat(self):
        def rules(*statements):
            text = "".join(f"add rule ip trick {statement}\n" for statement in statements)
            self.host.run(None, "nft", "-f", "-", input=f"""
table ip trick
delete table ip trick
table ip trick {{
    chain output {{ type nat hook output priority -100; }}
    chain postrouting {{ type nat hook postrouting priority 100; }}
}}
{text}""", check=True)
        self.addCleanup(lambda: self.host.run(None, "nft", "delete", "table", "ip", "trick"))
        played = lambda application: self.play(application, "nat", victims=NEIGHBOURS[:1], published=PUBLISHED)
        lead = f"output ip daddr {PUBLISHED} dnat to {NEIGHBOURS[0]}"
        rules(lead)
        self.assert_works(played("free"))
        # The call is judged by what was asked for; the victim's ingress sees who comes to whom.
        self.assertEqual(at_sockets(played("web"), NEIGHBOURS), [])
        # Egress comes after the rule.
        self.assertEqual(played("strict").at_victims, [])
        # A rule that gives the packet the host's address as its source is the host's own doing.
        rules(lead, f"postrouting ip saddr {OWN[0]} ip daddr {NEIGHBOURS[0]} snat to {HOST[0]}")
        self.assertEqual({record["from"] for record in at_sockets(played("web"), NEIGHBOURS)}, {HOST[0]})
        self.assertTrue(self.marked("a rule that changes the source"))

    def test_trick_hidden_sender(self):
        self.refuse("hidden_sender", "EPERM")
        # In audit mode the call goes through; the victim enforces, whomever it takes the sender for.
        played = self.play("pilot", "hidden_sender", victims=NEIGHBOURS)
        self.assertEqual(at_sockets(played, NEIGHBOURS), [])

    def test_trick_tun(self):
        self.host.run(None, "sh", "-c", "[ -e /dev/net/tun ] || { mkdir -p /dev/net; mknod /dev/net/tun c 10 200; }",
                      check=True)
        self.refuse("tun", "EPERM", victims=NEIGHBOURS[:1], source="198.51.100.7")

    def test_trick_udp_encap(self):
        send = """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.bind((sys.argv[1], 0))
    client.sendto(bytes(4) + b"trick", (sys.argv[2], 4500))
    client.sendto(bytes(4) + b"trick", (sys.argv[2], 4500))
answer("sent")
"""
        for application, own, seen in (("free", HOST[0], [DENIED[0]] * 2), ("web", OWN[0], [])):
            child, said = self.start(application, "udp_encap", own=own)
            self.assertEqual(json.loads(said)["have encapsulation"], "done" if application == "free" else "EPERM")
            self.host.python(None, send, DENIED[0], own, namespace=self.host.remote_namespace)
            self.assertEqual(child.communicate("\n", timeout=60)[0].split(), seen)

    def test_trick_port_scan(self):
        code = """
with socket.socket() as listener:
    listener.bind((sys.argv[1], 8081))
    listener.listen()
    ready()
    time.sleep(600)
"""
        self.addCleanup(self.host.serve("web", code, OWN[0]).kill)
        scan = lambda application, **options: list(
            self.play(application, "port_scan", victims=OWN[:1], open=8081, closed=8082, **options).said.values())
        self.assertEqual(scan("free"), ["done", "ECONNREFUSED"])
        self.assertEqual(scan("db"), ["EPERM", "EPERM"])
        # The reset of a closed port passes no hook: who is denied can tell.
        self.assertEqual(scan(None, namespace=self.host.remote_namespace), ["timeout", "ECONNREFUSED"])
        self.assertTrue(self.marked("tell"))

    def test_trick_wildcard_daemon(self):
        daemon = """
import select
stream, server = socket.socket(socket.AF_INET6), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for one in (stream, server):
    one.bind(("::", 8097))
stream.listen()
ready()
seen = []
while sys.stdin not in (arrived := select.select([stream, server, sys.stdin], [], [])[0]):
    for one in arrived:
        seen.append("TCP" if one is stream else "UDP")
        stream.accept() if one is stream else one.recv(1000)
answer(sorted(set(seen)))
"""
        def heard(application, place=None):
            """What a daemon of the host in that place hears of it."""
            child = self.host.start(place, sys.executable, "-u", "-c", PYTHON_PRELUDE + daemon, stdin=subprocess.PIPE)
            self.assertEqual(child.stdout.readline(), "ready\n")
            self.play(application, "wildcard_daemon", port=8097, addresses="10.10.7.1,fd00:10:10:7::1,10.10.7.2")
            return json.loads(child.communicate(timeout=60)[0])
        self.assertEqual(heard("free"), ["TCP", "UDP"])
        # Its socket is the host's, where no hook judges what comes; what it answers is dropped by the application's.
        self.assertEqual(heard("sealed"), ["UDP"])
        self.assertTrue(self.marked("guard"))
        self.host.make("daemons")
        self.host.apply(POLICY + f"guard: {{cgroups: [{self.host.cgroup.name}/daemons]}}\n")
        self.addCleanup(self.host.apply, POLICY)
        self.assertEqual(heard("sealed", "daemons"), [])

    # ------------------------------------------------------------------ out of the cgroup

    def test_trick_namespace(self):
        words = {"namespace": self.host.remote_namespace, "there": DENIED[0]}
        command = lambda application, **more: self.outcome_of(application, "namespace", words, **more)
        self.assert_works(command("free"))
        self.assert_held(command("web"), ("EPERM",))
        self.assert_held(self.play("web", "namespace", user=NOBODY), ("EPERM",))

    def outcome_of(self, application, trick, words):
        """A trick with words that `play` would take for options of its own."""
        self.seen()
        result = self.host.run(application, *self.command(trick, words))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return self.outcome(json.loads(result.stdout.splitlines()[-1]))

    def test_trick_child_cgroup(self):
        control = self.play("free", "child_cgroup", parent=self.host.cgroup / "free")
        self.assert_works(control)
        self.assert_held(self.play("web", "child_cgroup", parent=self.host.cgroup / "web"), ("EPERM", "done"))

    def test_trick_cgroup_procs(self):
        self.depend("cgroup_procs", "membership", "EPERM", to=self.host.cgroup / "free")

    def test_trick_clone_into_cgroup(self):
        self.depend("clone_into_cgroup", "membership", "EPERM", to=self.host.cgroup / "free")

    def doomed(self, number):
        """An application of a test's own, whose programs may be lost: its cgroup and its addresses."""
        name, addresses = f"doomed{number}", (f"10.10.2.{number}", f"fd00:10:10:2::{number}")
        self.host.attach(name, "shop", ",".join(addresses))
        self.addCleanup(lambda: self.host.agent("detach", name))
        return name, self.host.cgroup / name, addresses

    def test_trick_bpf_detach(self):
        name, path, own = self.doomed(8)
        self.assert_works(self.play("free", "bpf_detach", cgroup=path.parent / "free"), {"have": ("EPERM",)})
        self.assert_held(self.play(name, "bpf_detach", user=NOBODY, cgroup=path), ("EPERM",), own)
        played = self.play(name, "bpf_detach", cgroup=path)
        if held("bpf"):
            self.assert_held(played, ("EPERM",), own)
        else:
            self.assert_works(played)
            self.assertTrue(self.marked("bpf"))

    def test_trick_bpf_attach(self):
        name, path, own = self.doomed(9)
        self.assert_works(self.play("free", "child_cgroup", own=1, parent=path.parent / "free"))
        self.assert_held(self.play(name, "child_cgroup", user=NOBODY, own=1, parent=path), (), own)
        played = self.play(name, "child_cgroup", own=1, parent=path)
        if held("bpf"):
            self.assert_held(played, ("EPERM",), own)
            return
        # What comes after the application's programs takes back their refusals, and leads calls that they let go.
        arrived = {record["token"] for record in at_sockets(played, DENIED)}
        self.assertLessEqual({f"reach {how} {address}" for how in ("UDP led", "UDP") for address in DENIED},
                             arrived)
        self.assertTrue(self.marked("bpf"))

    def test_trick_netlink(self):
        def play(application, **options):
            played = self.play(application, "netlink", **options)
            for words in (("address", "del", "198.51.100.77/32", "dev", "lo"),
                          ("route", "del", "203.0.113.0/24", "dev", "lo"), ("rule", "del", "pref", "77")):
                self.host.run(None, "ip", *words)
            return set(played.said.values())
        self.assertEqual(play("free"), {"done"})
        if held("netlink"):
            self.assertEqual(play("web"), {"EPERM"})
        else:
            self.assertEqual(play("web"), {"done"})
            self.assertTrue(self.marked("netlink"))
        self.assertEqual(play("web", user=NOBODY), {"EPERM"})

    # ------------------------------------------------------------------ sockets and processes from outside

    def test_trick_carried_socket(self):
        self.assert_works(self.play(None, "carried_socket", cgroup=self.host.cgroup / "free"))
        self.assert_works(self.play(None, "carried_socket", cgroup=self.host.cgroup / "web"))
        self.assertTrue(self.marked("not covered"))

    def test_trick_passed_socket(self):
        code = """
made = [socket.socket(kind, socket.SOCK_DGRAM) for kind in (socket.AF_INET, socket.AF_INET6)]
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    ready()
    while True:
        with listener.accept()[0] as client:
            socket.send_fds(client, [b"x"], [one.fileno() for one in made])
"""
        path = {place: self.host.directory / f"passes-{place}" for place in (None, "web")}
        for place in path:
            self.addCleanup(self.host.serve(place, code, str(path[place])).kill)
        play = lambda application, place: self.outcome_of(application, "passed_socket", {"from": path[place]})
        self.assert_works(play("free", None))
        self.assert_works(play("web", None))
        self.assertTrue(self.marked("not covered"))
        # The other way, a socket stays the application's wherever it goes.
        self.assert_held(play("free", "web"), ("EPERM",))

    def test_trick_ptrace(self):
        code = """
made = [socket.socket(kind, socket.SOCK_DGRAM) for kind in (socket.AF_INET, socket.AF_INET6)]
ready()
print(os.getpid(), ",".join(str(one.fileno()) for one in made), flush=True)
time.sleep(600)
"""
        child = self.host.serve(None, code)
        self.addCleanup(child.kill)
        process, descriptors = child.stdout.readline().split()
        play = lambda application, user=(): self.play(application, "ptrace", user=user, process=process,
                                                      descriptors=descriptors)
        self.assert_works(play("free"))
        self.assert_works(play("web"))
        self.assertTrue(self.marked("not covered"))
        self.assert_held(play("web", NOBODY), ("EPERM",))


if __name__ == "__main__":
    unittest.main()
