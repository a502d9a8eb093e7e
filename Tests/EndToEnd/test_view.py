"""What an administrator watches: `top`, `metrics`, and the metrics that the daemon serves."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import stat
import struct
import termios
import threading
import time
import unittest
from pathlib import Path

from daemon import Daemon, eventually
from world import ASK_TCP, Host, PROJECT, SLOWNESS, lasting, run, setns

POLICY = """
addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
environments:
  shop: {addresses: [10.10.2.0/24, "fd00:10:10:2::/64"]}
  payments: {addresses: 10.10.3.0/24}
  trial: {addresses: 10.10.4.0/24, mode: audit}
"""
DASHBOARD = PROJECT / "packaging" / "grafana" / "vne.json"
# A program that tries what is denied twenty times a second.
KNOCK = """
ready()
while True:
    attempt(lambda: socket.create_connection(("10.10.3.1", 80), 1))
    time.sleep(.05)
"""


def samples(text):
    """{(name, labels): value} of Prometheus's text format, which is read strictly: as promtool does, and more so."""
    label = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
    kinds, found, current = {}, {}, None
    if not text.endswith("\n") or "\n\n" in text:
        raise AssertionError("the text has empty lines, or none at its end")
    lines = text[:-1].split("\n")
    for number, line in enumerate(lines):
        if told := re.fullmatch(r"# HELP (\w+) (\S.*\.)", line):
            current = told[1]
            if current in kinds:
                raise AssertionError(f"{current} is there twice")
            if not (kind := re.fullmatch(rf"# TYPE {current} (counter|gauge)", lines[number + 1])):
                raise AssertionError(f"{line} has no type behind it")
            kinds[current] = kind[1]
            if (kind[1] == "counter") != current.endswith("_total"):
                raise AssertionError(f"{current} is a {kind[1]}")
            continue
        if line == f"# TYPE {current} {kinds.get(current)}":
            continue
        sample = re.fullmatch(rf"(\w+)(?:\{{({label}(?:,{label})*)\}})? (\d+)", line)
        if not sample or sample[1] != current:
            raise AssertionError(f"no sample of {current}: {line}")
        labels = tuple(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', sample[2] or ""))
        if len({name for name, _ in labels}) != len(labels) or (current, labels) in found:
            raise AssertionError(f"twice the same: {line}")
        found[current, labels] = int(sample[3])
    return found


def value(found, name, **labels):
    """The sum of the samples that have these labels."""
    return sum(count for (each, having), count in found.items()
               if each == name and set(labels.items()) <= set(having))


def setUpModule():
    unittest.enterModuleContext(lasting("view", "serve"))


class Numbers(unittest.TestCase):
    def setUp(self):
        self.host = Host("view", policy=POLICY, remote=False)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.attach("probe", "trial", "10.10.4.1")

    def metrics(self):
        text = self.host.agent("metrics").stdout
        if promtool := shutil.which("promtool"):
            run(promtool, "check", "metrics", input=text)
        return samples(text)

    def test_metrics_say_what_the_hooks_counted_and_never_go_back(self):
        generation, before = self.host.json("status")["policy"]["generation"], self.metrics()
        self.assertEqual(value(before, "vne_attached", application="web", environment="shop"), 1)
        self.assertEqual(value(before, "vne_policy_generation"), generation)
        self.assertEqual(value(before, "vne_verdicts_total"), 0)
        for application in ("web", "probe"):
            for _ in range(3):
                self.host.python(application, ASK_TCP, "10.10.3.1", "80")
        after = self.metrics()
        for application in ("web", "probe"):
            self.assertEqual(value(after, "vne_verdicts_total", application=application, hook="connect", verdict="deny",
                                   reason="other-environment"), 3)
        # Audit mode let these through: they are counted as what they are, and apart from it.
        self.assertEqual({labels[0][1]: count for (name, labels), count in after.items() if name == "vne_audited_total"},
                         {"probe": 3})
        self.assertEqual(value(after, "vne_verdicts_total", application="web", hook="connect"),
                         sum(self.host.counts("web", "connect").values()))
        # A policy that is replaced, and a program that is replaced, take nothing away.
        self.host.apply(POLICY + "  more: {addresses: 10.10.9.0/24}\n")
        again = self.metrics()
        self.assertEqual(value(again, "vne_policy_generation"), generation + 1)
        for key, count in after.items():
            if key[0].endswith("_total"):
                self.assertGreaterEqual(again[key], count, key)

    def test_an_instance_that_is_not_loaded_has_metrics_too(self):
        self.host.agent("unload")
        self.assertEqual({name for name, _ in self.metrics()}, {"vne_info"})

    def test_a_textfile_is_replaced_at_once_and_is_everybodys_to_read(self):
        path = self.host.directory / "vne.prom"
        self.host.agent("metrics", "--textfile", path)
        first = path.stat()
        self.assertEqual(stat.S_IMODE(first.st_mode), 0o644)
        self.assertEqual(value(samples(path.read_text()), "vne_attached"), 2)
        with open(path) as reader:
            self.host.agent("metrics", "--textfile", path)
            # Who has the old one open reads all of it.
            self.assertEqual(value(samples(reader.read()), "vne_attached"), 2)
        self.assertNotEqual(path.stat().st_ino, first.st_ino)
        self.assertEqual([each.name for each in self.host.directory.glob("vne.prom*")], ["vne.prom"])
        refused = self.host.agent("metrics", "--textfile", self.host.directory / "no" / "vne.prom", check=False)
        self.assertEqual(refused.returncode, 4, refused.stderr)

    def test_the_dashboard_asks_for_metrics_that_there_are(self):
        for application in ("web", "probe"):
            self.host.python(application, ASK_TCP, "10.10.3.1", "80")
        emitted = {name for name, _ in self.metrics()} | {"vne_guarded", "vne_guard_refusals_total"}
        dashboard = json.loads(DASHBOARD.read_text())
        asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
        asked += [variable["definition"] for variable in dashboard["templating"]["list"] if "definition" in variable]
        self.assertGreater(len(asked), 5)
        for expression in asked:
            named = set(re.findall(r"\bvne_\w+", expression))
            self.assertTrue(named and named <= emitted, expression)
            for labels in re.findall(r"\bvne_verdicts_total\{([^}]*)\}", expression):
                used = set(re.findall(r"(\w+)\s*[=!]~?", labels))
                self.assertLessEqual(used, {"application", "environment", "hook", "reason", "verdict", "job", "instance"})
        ids = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))

    def test_top_counts_what_happens_in_a_second(self):
        self.host.serve("web", KNOCK)
        lines = self.host.agent("top", "--batch", "2", "--interval", "1s", "--json").stdout.splitlines()
        self.assertEqual(len(lines), 2)
        rates = json.loads(lines[1])
        web = next(row for row in rates["applications"] if row["application"] == "web")
        self.assertEqual(rates["applications"][0], web, "what is denied most comes first")
        self.assertEqual((web["topDenial"]["hook"], web["topDenial"]["reason"]), ("connect", "other-environment"))
        self.assertTrue(5 / SLOWNESS < web["calls"]["denied"] < 21, web)
        text = self.host.agent("top", "--once", "--interval", "1s").stdout
        self.assertRegex(text, r"(?m)^APPLICATION .*\nweb +shop .* connect other-environment [\d.]+$")
        self.assertNotIn("\x1b", text)

    def terminal(self, rows=24, columns=80):
        """`top` on a terminal: its process, and the terminal's other end."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        before = termios.tcgetattr(theirs)
        top = self.host.start(None, *self.host.agent_command("top", "--interval", "1s"), stdin=theirs, stdout=theirs,
                              stderr=theirs)
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        return top, ours, theirs, before

    def shown(self, ours, text, seconds=10):
        """What the terminal was told, until this is in it."""
        told, end = "", time.monotonic() + seconds * SLOWNESS
        while text not in told:
            if not select.select([ours], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"{text!r} is not shown: {told!r}")
            told += os.read(ours, 65536).decode()
        return told

    def test_top_leaves_the_terminal_as_it_was(self):
        for ending in ("q", "interrupt"):
            top, ours, theirs, before = self.terminal(columns=70)
            told = self.shown(ours, "web")
            self.assertTrue(told.startswith("\x1b[?1049h"), told)
            self.assertFalse(termios.tcgetattr(theirs)[3] & termios.ICANON)
            for frame in told.split("\x1b[H")[1:]:
                for line in re.sub(r"\x1b\[[?0-9]*[a-zA-Z]", "", frame).split("\r\n"):
                    self.assertLessEqual(len(line), 70)
            # A size that changes is drawn at once.
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 2, 20, 0, 0))
            top.send_signal(signal.SIGWINCH)
            self.shown(ours, "\x1b[H" + "vne-agent top: insta" + "\x1b[K\r\n\x1b[K\x1b[J")
            if ending == "q":
                os.write(ours, b"q")
            else:
                top.send_signal(signal.SIGINT)
            self.shown(ours, "\x1b[?25h\x1b[?1049l")
            self.assertEqual(top.wait(10), 0)
            self.assertEqual(termios.tcgetattr(theirs), before)


class Served(unittest.TestCase):
    """The metrics of a daemon."""

    def start(self, place):
        self.host = Host("serve", remote=False)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        self.host.make("web")
        policy = POLICY + f"applications:\n  web: {{environment: shop, address: 10.10.2.1, cgroup: {self.host.cgroup.name}/web}}\n"
        self.daemon = Daemon(self.host, policy)
        plain = self.host.agent_command
        self.host.agent_command = lambda command, *more: (
            plain(command, *more, "--metrics", place) if command == "run" else plain(command, *more))
        self.daemon.__enter__()
        self.addCleanup(self.daemon.__exit__)

    def connect(self, address=("127.0.0.1", 9417)):
        """A connection to the daemon, from a process of the host."""
        made = []

        def enter():
            setns(self.host.namespace)
            client = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
            client.settimeout(10 * SLOWNESS)
            client.connect(address)
            made.append(client)
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        self.addCleanup(made[0].close)
        return made[0]

    def ask(self, request="GET /metrics HTTP/1.1\r\nHost: me\r\n\r\n", client=None):
        """(status, headers, body) of an answer that ends with its connection."""
        client = client or self.connect()
        client.sendall(request.encode())
        answer = b""
        while part := client.recv(65536):
            answer += part
        head, _, body = answer.decode().partition("\r\n\r\n")
        status, *headers = head.split("\r\n")
        headers = dict(header.split(": ", 1) for header in headers)
        self.assertEqual(int(headers["Content-Length"]), len(body))
        self.assertEqual(headers["Connection"], "close")
        return status, headers, body

    def test_the_daemon_serves_what_metrics_prints(self):
        self.start("127.0.0.1:9417")
        status, headers, body = self.ask()
        self.assertEqual((status, headers["Content-Type"]), ("HTTP/1.1 200 OK", "text/plain; version=0.0.4; charset=utf-8"))
        self.assertEqual(body, self.host.agent("metrics").stdout)
        self.assertEqual(value(samples(body), "vne_attached", application="web"), 1)
        # An application's loopback is its own: it gets to nobody there.
        self.assertEqual(self.host.python("web", ASK_TCP, "127.0.0.1", "9417"), "ECONNREFUSED")

    def test_other_requests_are_refused_by_name(self):
        self.start("127.0.0.1:9417")
        for request, expected in (
                ("GET / HTTP/1.1\r\n\r\n", "404"), ("GET /metrics/x HTTP/1.1\r\n\r\n", "404"),
                ("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "405"), ("HEAD /metrics HTTP/1.1\r\n\r\n", "405"),
                ("GET /metrics\r\n\r\n", "400"), ("nonsense\n\n", "400"),
                ("GET /metrics?a=b HTTP/1.0\r\n\r\n", "200"), ("GET /metrics HTTP/1.1\r\nX: " + "x" * 8192, "431")):
            status, headers, _ = self.ask(request)
            self.assertEqual(status.split()[1], expected, request[:40])
            self.assertEqual(headers.get("Allow"), "GET" if expected == "405" else None)

    def test_a_client_that_is_slow_or_silent_keeps_nobody_waiting(self):
        self.start("127.0.0.1:9417")
        silent = [self.connect() for _ in range(40)]
        slow = self.connect()
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        begun = time.monotonic()
        self.assertIn("200", self.ask()[0])
        self.assertLess(time.monotonic() - begun, 2 * SLOWNESS)
        # The daemon does its work meanwhile, and the last one is still answered.
        self.host.make("web").rmdir()
        self.host.make("web")
        self.daemon.wait_until_attached("web")
        self.assertIn("200", self.ask("\r\n", slow)[0])
        # There is a bound, and an end.
        def left():
            return [client for client in silent if not select.select([client], [], [], 0)[0]]
        self.assertLessEqual(len(left()), 16)
        eventually(lambda: not left(), lambda: f"{len(left())} live on", seconds=15)
        before = self.daemon.processor_seconds()
        time.sleep(1)
        self.assertLessEqual(self.daemon.processor_seconds() - before, 0.05 * SLOWNESS)

    def test_a_unix_socket_is_roots_alone_and_goes_with_the_daemon(self):
        path = f"/tmp/vnetest{os.getpid()}metrics.sock"
        self.addCleanup(lambda: Path(path).unlink(missing_ok=True))
        self.start(f"unix:{path}")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        status, _, body = self.ask(client=self.connect(path))
        self.assertIn("200", status)
        self.assertEqual(value(samples(body), "vne_attached"), 1)
        # What a killed daemon left is taken over.
        self.daemon.process.kill()
        self.daemon.process.wait()
        self.daemon.start()
        self.daemon.wait_for("READY=1")
        self.assertIn("200", self.ask(client=self.connect(path))[0])
        self.assertEqual(self.daemon.stop(), 0)
        self.assertFalse(os.path.exists(path))

    def test_metrics_are_for_this_host_only(self):
        self.start("127.0.0.1:9417")
        for place in ("0.0.0.0:9417", "192.0.2.1:9417", "9417", "[::]:9417", "unix:relative", "127.0.0.1:0", "127.0.0.1:x"):
            refused = self.host.agent("run", "--metrics", place, check=False)
            self.assertEqual(refused.returncode, 2, place + refused.stderr)


if __name__ == "__main__":
    unittest.main()
