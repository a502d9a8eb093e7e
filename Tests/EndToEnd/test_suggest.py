"""`suggest`: what audit mode let through becomes permits, and with them enforcement lets it through and nothing else."""

import json
import re
import signal
import subprocess
import unittest

from daemon import eventually
from world import ASK_TCP, ASK_UDP, Host, TCP_WHO, UDP_WHO, lasting, setns

POLICY = """\
addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
environments:
  shop:
    addresses: [10.10.2.0/24, "fd00:10:10:2::/64"]
    remote: deny
    mode: audit
  payments:
    addresses: [10.10.3.0/24, "fd00:10:10:3::/64"]
    mode: audit
    permits:
      - {to: shop/web, ports: [tcp/9]}
  vault:
    addresses: 10.10.4.0/24
applications:
  web: {environment: shop, address: [10.10.2.1, "fd00:10:10:2::1"]}
  db: {environment: payments, address: [10.10.3.1, "fd00:10:10:3::1"]}
  safe: {environment: vault, address: 10.10.4.1}
"""


def paste(suggested, policy):
    """Puts suggestions into a policy as their first line says: permits are added, other keys take their place."""
    lines, environment, key = policy.splitlines(), None, None

    def block():
        begin = lines.index(environment)
        return begin, next((number for number in range(begin + 1, len(lines)) if not lines[number].startswith("    ")),
                           len(lines))

    for line in suggested.splitlines():
        if line.startswith("    ") and line[4] != " ":
            key = line.partition(":")[0] + ":"
            begin, end = block()
            present = [number for number in range(begin, end) if lines[number].startswith(key)]
            if present and key.strip() != "permits:":
                lines[present[0]] = line
            elif not present:
                lines.insert(end, line)
        elif line.startswith("     "):
            begin, end = block()
            place = next(number for number in range(begin, end) if lines[number].startswith(key)) + 1
            while place < end and lines[place].startswith("     "):
                place += 1
            lines.insert(place, line)
        elif line.startswith("  "):
            environment = line
    return "\n".join(lines) + "\n"


class Suggest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(lasting("suggest"))

    def setUp(self):
        self.host = Host("suggest", policy=POLICY)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        self.host.attach("web", "shop", "10.10.2.1,fd00:10:10:2::1")
        self.host.attach("db", "payments", "10.10.3.1,fd00:10:10:3::1")
        self.host.attach("safe", "vault", "10.10.4.1")
        for port in ("5432", "5433", "7000"):
            self.host.serve("db", TCP_WHO, "0.0.0.0", port)
        self.host.serve("db", TCP_WHO, "::", "5432", "1")
        self.host.serve("db", UDP_WHO, "0.0.0.0", "53")
        self.host.serve("web", TCP_WHO, "0.0.0.0", "80")
        self.host.serve("safe", TCP_WHO, "0.0.0.0", "80")
        self.host.serve(None, TCP_WHO, "192.0.2.2", "8080", namespace=self.host.remote_namespace)

    def tcp(self, application, address, port, **options):
        return self.host.python(application, ASK_TCP, address, str(port), **options)

    def traffic(self):
        """What the applications do all day."""
        return [
            self.tcp("web", "10.10.3.1", 5432), self.tcp("web", "10.10.3.1", 5433),
            self.tcp("web", "fd00:10:10:3::1", 5432),
            self.host.python("web", ASK_UDP, "10.10.3.1", "53", "plain"),
            self.tcp("web", "192.0.2.2", 8080),
            self.tcp(None, "10.10.2.1", 80, namespace=self.host.remote_namespace),
        ]

    USUAL = [["10.10.2.1", "10.10.3.1"], ["10.10.2.1", "10.10.3.1"], ["fd00:10:10:2::1", "fd00:10:10:3::1"],
             ["10.10.2.1", "x"], ["10.10.2.1", "192.0.2.2"], ["192.0.2.2", "10.10.2.1"]]

    def start(self, command, *arguments):
        """Starts a command that reads denials; it ends by SIGINT."""
        def enter():
            setns(self.host.namespace)
        child = subprocess.Popen(self.host.agent_command(command, *arguments), text=True, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, preexec_fn=enter)
        self.host.children.append(child)
        return child

    def interrupted(self, child):
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
        self.assertEqual(child.returncode, 0, err)
        return out

    def learnt(self, *arguments):
        """What is learnt from the traffic: what waits in the buffer is enough of it."""
        self.assertEqual(self.traffic(), self.USUAL)
        return self.host.agent("suggest", "--for", "1s", *arguments).stdout

    def test_what_was_let_through_is_suggested_and_then_enforced(self):
        suggested = self.learnt()
        self.assertRegex(suggested, r"- \{to: payments/db, ports: \[tcp/5432-5433, udp/53\]\}  # \d+ denials of db, web")
        self.assertIn("- 192.0.2.2 tcp/80  #", suggested)
        self.assertIn("- 192.0.2.2 tcp/8080  #", suggested)
        self.assertNotRegex(suggested, r"(tcp|udp)/[3-6]\d{4}")
        self.host.apply(paste(suggested, POLICY).replace("mode: audit", "mode: enforce"))
        self.assertEqual(self.traffic(), self.USUAL)
        self.assertEqual(self.tcp("web", "10.10.3.1", 7000), "EPERM")
        self.assertEqual(self.tcp("web", "10.10.4.1", 80), "EPERM")
        self.assertEqual(self.tcp("web", "192.0.2.2", 81), "EPERM")
        self.assertEqual(self.tcp("db", "10.10.2.1", 80), "EPERM")
        # The permit from before is still there: nobody listens.
        self.assertEqual(self.tcp("db", "10.10.2.1", 9), "ECONNREFUSED")

    def test_nothing_is_suggested_twice(self):
        pasted = paste(self.learnt(), POLICY)
        self.host.apply(pasted)
        self.assertEqual(self.learnt().splitlines()[0], "# Nothing to add to the policy.")

    def test_it_learns_until_it_is_interrupted(self):
        child = self.start("suggest", "--json")
        self.assertIn("until Ctrl-C", child.stderr.readline())
        self.assertEqual(self.traffic(), self.USUAL)
        report = json.loads(self.interrupted(child))
        self.assertEqual([(permit["from"], permit["to"], permit["ports"]) for permit in report["permits"]],
                         [("shop", "payments/db", ["tcp/5432-5433", "udp/53"])])
        self.assertEqual({(entry["environment"], entry["direction"], entry["address"], *entry["ports"])
                          for entry in report["remotes"]},
                         {("shop", "in", "192.0.2.2", "tcp/80"), ("shop", "out", "192.0.2.2", "tcp/8080")})
        self.assertEqual(report["keys"], [])
        self.assertIn("permits:", report["yaml"])

    def test_it_learns_from_records_of_before(self):
        path = self.host.directory / "denials.json"
        child = self.start("flows", "--follow", "--json")
        self.assertEqual(self.traffic(), self.USUAL)
        lines = [child.stdout.readline()]
        while '"remotePort":8080' not in lines[-1]:
            lines.append(child.stdout.readline())
        child.kill()
        path.write_text("".join(lines))
        suggested = self.host.agent("suggest", "--from", path).stdout
        self.assertIn("{to: payments/db, ports: [tcp/5432-5433, udp/53]}", suggested)
        again = self.host.agent("suggest", "--from", "-", input=path.read_text()).stdout
        self.assertEqual(again, suggested)
        broken = self.host.agent("suggest", "--from", "-", input="{}\n", check=False)
        self.assertEqual(broken.returncode, 1)
        self.assertIn("<stdin>:1: this is no record of a denial", broken.stderr)

    def test_it_says_where_more_was_denied_than_recorded(self):
        flood = """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for port in range(1, 2000):
        sender.sendto(b"x", ("10.10.3.1", port))
answer(True)
"""
        child = self.start("suggest")
        child.stderr.readline()
        # Has begun to count once it has read what waits.
        eventually(lambda: self.host.agent("flows", "--denied", check=False).returncode != 0, lambda: "nobody reads")
        self.assertTrue(self.host.python("web", flood))
        said = self.interrupted(child)
        [counted, recorded] = re.search(r"# web: (\d+) denials were counted since .*, and (\d+) recorded\.", said).groups()
        self.assertGreater(int(counted), 1900)
        self.assertLess(int(recorded), 1900)
        self.assertIn("this is a part of what was denied", said)

    def test_what_was_enforced_is_left_out_unless_it_is_asked_for(self):
        self.assertEqual(self.tcp("safe", "10.10.3.1", 5432), "EPERM")
        self.assertIn("left out, as they were enforced", self.host.agent("suggest", "--for", "1s").stdout)
        self.assertEqual(self.tcp("safe", "10.10.3.1", 5432), "EPERM")
        said = self.host.agent("suggest", "--for", "1s", "--enforced").stdout
        self.assertIn("  vault:\n    permits:\n      - {to: payments/db, ports: [tcp/5432]}", said)


if __name__ == "__main__":
    unittest.main()
