"""Unmodified programs see no difference: the same calls, test suites and servers inside an application and outside.

Outside is a plain cgroup on a host that owns the application's addresses. A difference fails the test unless it is
explained, by name and with its reason, in the lists below and in docs/SECURITY.md.
"""

import collections
import json
import os
import shutil
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import programs
import suites
from transparency import ADDRESS4, ADDRESS6, Place

# Differences that are known: what the name begins with, what it is inside (None: whatever), and why. docs/SECURITY.md
# tells them to users.
UDP_LITE = "UDP-Lite is no protocol that an environment can allow"
SUITES = tuple((f"test.test_socket.{name}", "error", UDP_LITE) for name in (
    "BasicUDPLITETest", "UDPLITETimeoutTest", "SendmsgUDPLITE", "RecvmsgUDPLITE", "RecvmsgIntoUDPLITE",
    "RecvmsgRFC3542AncillaryUDPLITE6Test", "RecvmsgIntoRFC3542AncillaryUDPLITE6Test"))

MAPPED_CLIENT = "a wildcard of both families is bound to IPv4, and connects to no IPv6 peer"
SHOWN = "no hook can rewrite control messages"
CALLS = (
    ("a stream to the own address from a client bound to the loopback", None,
     "a connection between the two is loopback at both ends"),
    ("a datagram socket connects again, and to nothing", None, "between loopback and own address it is loopback"),
    ("a socket that has sent connects afterwards", "EADDRNOTAVAIL", "it has a port, and can no longer be bound"),
    ("a stream to ::1 from a client bound to the wildcard", "EAFNOSUPPORT", MAPPED_CLIENT),
    ("a stream to fd00:10:10:2::1 from a client bound to the wildcard", "EAFNOSUPPORT", MAPPED_CLIENT),
    ("a wildcard listener and the loopback's port collide", None, "they are bound to two addresses"),
    ("listen without bind is reached over the loopback", "ECONNREFUSED", "it passes no bind hook"),
    ("packet information for a wildcard server, asked on ", None, SHOWN),
    ("the error queue names who refused", None, SHOWN),
    ("the original destination of a datagram", None, SHOWN),
)
PINGED = "ping's socket is neither bound nor connected, so its source is not the application's"
PINGS = tuple((where, None, PINGED) for where in ("127.0.0.1", "192.0.2.2", "::1", "to a remote"))
DIGS = (("+tcp @[", None, MAPPED_CLIENT),)

# CPython's tests that neither place runs, and why.
LEFT_OUT = {
    # Waits for ever where vsock has no loopback transport, as here; its port is one of the machine's, not of a
    # namespace's, so two places would meet on it. vsock passes no hook.
    "test.test_socket.ThreadedVSOCKSocketStreamTest.testStream",
}

# How often a test of CPython's that differs is run again, alone, before it counts as the same after all.
AGAIN = 3


def differences(outside, inside, explained=()):
    """What differs, by name: (outside, inside). An explanation that explains nothing is a difference as well."""
    found = {name: (outside.get(name, "missing"), inside.get(name, "missing"))
             for name in sorted(outside.keys() | inside.keys())
             if outside.get(name, "missing") != inside.get(name, "missing")}
    for prefix, expected, why in explained:
        covered = [name for name, (_, is_inside) in found.items()
                   if name.startswith(prefix) and expected in (None, is_inside)]
        for name in covered:
            del found[name]
        if not covered:
            found[prefix] = ("explained, and not different", why)
    return found


def table(found):
    return "\n".join(f"{name}\n    outside: {json.dumps(outside)}\n    inside:  {json.dumps(inside)}"
                     for name, (outside, inside) in found.items())


class Transparency(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.outside, self.inside = (self.enterContext(Place(f"{name}{self.label}", inside))
                                     for name, inside in (("out", False), ("in", True)))
        self.places = (self.outside, self.inside)

    @property
    def label(self):
        return self.id().rsplit(".", 1)[1].removeprefix("test_")[:6]

    def in_both(self, body):
        """Does the same in both places at once."""
        with ThreadPoolExecutor(2) as workers:
            return list(workers.map(body, self.places))

    def assert_same(self, outside, inside, explained=()):
        found = differences(outside, inside, explained)
        if found:
            self.fail(f"{len(found)} of {len(outside)} differ:\n{table(found)}")


class SocketCalls(Transparency):
    def test_socket_calls_answer_as_they_do_outside(self):
        def answers(place):
            status, said = place.say(suites.PYTHON, "-W", "ignore", Path(__file__).with_name("socket_calls.py"),
                                     ADDRESS4, ADDRESS6, timeout=300)
            self.assertEqual(status, 0, said)
            return json.loads(said)
        outside, inside = self.in_both(answers)
        # Outside everything answers: a call that no host allows would hide a difference.
        self.assertNotIn("timeout", outside.values())
        self.assert_same(outside, inside, CALLS)


class CPythonSuites(Transparency):
    def run_both(self, label, names, limit):
        """The outcomes of both places, by test, with what a failure said."""
        runs = [suites.SuiteRun(place.host, "app", label, names, LEFT_OUT) for place in self.places]
        for run in runs:
            run.start()
        suites.finish(runs, limit)
        return [run.outcomes() for run in runs]

    def different(self, outside, inside, explained=()):
        return differences(*({name: outcome for name, (outcome, _) in outcomes.items()}
                             for outcomes in (outside, inside)), explained)

    def test_cpythons_network_tests_pass_and_fail_as_they_do_outside(self):
        outside, inside = self.run_both("suites", suites.MODULES, 900)
        tally = collections.Counter(outcome for outcome, _ in outside.values())
        self.assertGreater(tally["pass"], 2500, f"too little was run: {tally}")
        different = self.different(outside, inside, SUITES)
        again = [name for name in different if name in suites.importable(outside.keys() & inside.keys())]
        if again and len(again) <= 40:
            # A test that is uneven by itself is the same in a repeated run of its own; a difference that is ours is not.
            steady = set(again)
            for turn in range(AGAIN):
                alone = self.run_both(f"again{turn}", sorted(steady), 300)
                steady -= self.different(*alone).keys()
                different.update({name: both for name, both in self.different(*alone).items()})
            for name in steady:
                print(f"uneven, the same when run alone: {name}: {different.pop(name)}")
        groups = collections.defaultdict(list)
        for name, (was, now) in different.items():
            groups[was, now, inside.get(name, ("", ""))[1]].append(name)
        if groups:
            self.fail(f"{len(different)} of {len(outside)} differ; outside {dict(tally)}:\n" + "\n".join(
                f"{len(names)} {was} outside, {now} inside: {said}\n    " + "\n    ".join(names)
                for (was, now, said), names in sorted(groups.items(), key=lambda group: -len(group[1]))))


class Programs(Transparency):
    def same(self, program, explained=(), **works):
        """Compares, and holds that outside the program does its work: two that fail alike would be the same as well."""
        outside, inside = self.in_both(program)
        for asked, said in works.items():
            self.assertEqual(outside[asked.replace("_", " ")], said)
        self.assert_same(outside, inside, explained)

    def test_redis(self):
        self.same(programs.redis, set=[0, "OK"], value_of_the_replica=[0, "hello"])

    def test_nginx_and_curl(self):
        self.same(programs.nginx, runs=True, proxy_to_name=[0, "127.0.0.1 127.0.0.1 8003"],
                  curl_to_a_remote=[0, "the site"])

    def test_ping(self):
        self.same(programs.ping, PINGS, to_a_remote=0)

    def test_dnsmasq_and_dig(self):
        self.same(programs.dns, DIGS, server_that_dig_names=["127.0.0.1#53(127.0.0.1)"])

    def test_sshd_and_ssh(self):
        self.same(programs.ssh, forwarded=[0, "404 127.0.0.1"], forwarding_runs=True)

    def test_caddy_which_is_a_go_program(self):
        self.same(programs.caddy, administers_itself=0, proxy=[0, "loopback 127.0.0.1"])

    @unittest.skipUnless(shutil.which("javac"), "no JDK on this machine")
    def test_java(self):
        self.same(programs.java, status=0)
