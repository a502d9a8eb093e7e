"""The adversary suite: one program a trick (`tricks/`), each tried on victims that its environment may not reach.

Every trick runs twice: in a cgroup that is not attached, where it must get through, so that it is known to work on this
kernel, and in an application, where nothing may. What got through is told by the victims, not by the trick: a process
of another environment and a machine behind the wire tell what their sockets take, and sniffers at both tell what
arrives before that. Witnesses may be reached and tell with which source.
"""

import json
import re
import subprocess
import sys
import unittest
from pathlib import Path
from types import SimpleNamespace

from world import AGENT, Host, PROJECT, PYTHON_PRELUDE, SLOWNESS, run

HERE = Path(__file__).resolve().parent
SECURITY = PROJECT / "docs" / "SECURITY.md"

HOST = ("192.0.2.1", "2001:db8::1")
OWN = ("10.10.2.1", "fd00:10:10:2::1")
# In another environment of this host, and on a machine that the policy denies.
NEIGHBOURS = ("10.10.3.1", "fd00:10:10:3::1")
DENIED = ("192.0.2.2", "2001:db8::2")
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
"""

# Nobody in particular, without a capability.
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")


def protections():
    """What holds on this kernel beyond the cgroup's own hooks, by name."""
    said = run(AGENT, "check", "--json", check=False)
    if said.returncode == 0 and "protections" in (checked := json.loads(said.stdout)):
        return {protection["name"]: protection["held"] for protection in checked["protections"]}
    return {"dualStack": True, "closing": True}


HELD = protections()


def held(name):
    """Whether a protection that depends on the kernel holds here."""
    return HELD.get(name, False)


def marked(test, word):
    """Whether SECURITY.md's row of a test has a word in it: what a kernel does not hold is said there."""
    rows = [line for line in SECURITY.read_text().splitlines() if line.startswith("|") and f"`{test}`" in line]
    return len(rows) == 1 and word in rows[0]


class Tricks(unittest.TestCase):
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
                                                    ("pinger", "pinging", ("10.10.5.1", "fd00:10:10:5::1"))):
            cls.host.attach(application, environment, ",".join(addresses))
        cls.host.make("free")
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

    def command(self, trick, words, victims=(*NEIGHBOURS, *DENIED), foreign=NEIGHBOURS):
        given = {"victims": ",".join(victims), "witnesses": ",".join(WITNESSES), "foreign": ",".join(foreign),
                 "neighbours": ",".join(NEIGHBOURS), "patience": 0.2 * SLOWNESS ** 0.5, **words}
        return [sys.executable, HERE / "tricks" / f"{trick}.py", *(f"{name}={value}" for name, value in given.items())]

    def play(self, application, trick, *, user=(), namespace=None, victims=(*NEIGHBOURS, *DENIED), foreign=NEIGHBOURS,
             **words):
        """Runs a trick: what it says of its attempts, and what arrived at victims and witnesses meanwhile."""
        self.seen()
        result = self.host.run(application, *user, *self.command(trick, words, victims, foreign), namespace=namespace)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return self.outcome(json.loads(result.stdout.splitlines()[-1]))

    def outcome(self, said):
        seen = self.seen()
        return SimpleNamespace(said=said, seen=seen, at_victims=[r for r in seen if r["to"] not in WITNESSES],
                               at_witnesses=[r for r in seen if r["to"] in WITNESSES])

    def assert_works(self, played, absent=None, foreign=NEIGHBOURS):
        """Every attempt got through, but those that the kernel does not have: what is said of these is in `absent`."""
        absent = absent or {}
        for name, said in played.said.items():
            for part, errors in absent.items():
                if part in name:
                    self.assertIn(said, errors, f"the control: {name}")
                    break
            else:
                if name.startswith("have "):
                    self.assertEqual(said, "done", f"the control: {name}")
                else:
                    sources = {r["from"] for r in played.seen if r["token"] == name and r["to"] == name.split()[-1]}
                    self.assertTrue(sources, f"the control: {name}: {said}")
                    if name.startswith("mask "):
                        self.assertTrue(sources & set(foreign), f"the control's source: {name}: {sources}")

    def assert_held(self, played, errors=(), own=OWN):
        """Nothing arrived at a victim, not even on the wire, and nothing at a witness with a source of others."""
        self.assertEqual(played.at_victims, [], played)
        self.assertEqual([record for record in played.at_witnesses if record["from"] not in own], [], played)
        for name, said in played.said.items():
            if errors and not name.startswith("mask "):
                self.assertIn(said, errors, name)

    def refuse(self, trick, *errors, absent=None, **options):
        """The usual course: it gets through where nothing is attached, and in the application nothing does."""
        self.assert_works(self.play("free", trick, **options), absent,
                          options.get("foreign", NEIGHBOURS))
        played = self.play("web", trick, **options)
        self.assert_held(played, errors)
        return played

    # ------------------------------------------------------------------ sockets of other kinds

    def test_trick_raw_socket(self):
        played = self.refuse("raw_socket", "EPERM")
        self.assertEqual(set(played.said.values()), {"EPERM"})

    def test_trick_udplite(self):
        played = self.refuse("udplite", "EPERM")
        self.assertEqual(set(played.said.values()), {"EPERM"})

    def test_trick_ping_socket(self):
        self.host.run(None, "sysctl", "-qw", "net.ipv4.ping_group_range=0 65534", check=True)
        played = self.refuse("ping_socket", "EPERM")
        self.assertEqual(set(played.said.values()), {"EPERM"})
        self.assert_held(self.play("pinger", "ping_socket"), ("EPERM", "done"), ("10.10.5.1", "fd00:10:10:5::1"))

    def test_trick_transparent(self):
        self.refuse("transparent", "EADDRNOTAVAIL")

    def test_trick_freebind(self):
        self.refuse("freebind", "EADDRNOTAVAIL")

    def test_trick_bind_to_device(self):
        self.refuse("bind_to_device", "EPERM", foreign=HOST)

    def test_trick_pktinfo(self):
        self.refuse("pktinfo", "EPERM")

    def test_trick_fastopen(self):
        self.refuse("fastopen", "EPERM")

    def test_trick_disconnect(self):
        self.refuse("disconnect", "EPERM")

    def test_trick_autobind(self):
        self.refuse("autobind", "EPERM", foreign=HOST)

    def test_trick_io_uring(self):
        self.refuse("io_uring", "EPERM")

    def test_trick_sendmmsg(self):
        self.refuse("sendmmsg", "EPERM")

    def test_trick_fragments(self):
        self.refuse("fragments", "EPERM")

    def test_trick_segments(self):
        self.refuse("segments", "EPERM")

    def test_trick_tcp_repair(self):
        self.refuse("tcp_repair", "EPERM")

    def test_trick_mapped(self):
        self.refuse("mapped", "EPERM")


if __name__ == "__main__":
    unittest.main()
