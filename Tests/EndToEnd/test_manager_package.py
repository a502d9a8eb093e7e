"""The package vne-manager under the real dpkg and systemd, on a machine of its own that is a node."""

import gzip
import json
import tempfile
import time
import unittest
from pathlib import Path

from builds import package
from machine import Machine
from world import SLOWNESS, run

TOPOLOGY = """
network: acme
addressSpace: 10.10.0.0/16
subnets: {nodes: 10.10.255.0/24}
underlays: {internet: }
environments: {shop: 10.10.2.0/24}
managers:
  london: {address: 10.10.255.1, endpoints: {internet: 192.0.2.1}}
hosts:
  web: {address: 10.10.255.11, applications: 10.10.2.0/28}
"""


class Files(unittest.TestCase):
    def test_lintian_finds_no_error_and_no_warning(self):
        found = run("lintian", "--allow-root", "--fail-on", "error,warning", package("vne-manager"), check=False)
        self.assertEqual(found.returncode, 0, found.stdout)

    def test_mandoc_has_nothing_to_say_of_the_pages(self):
        with tempfile.TemporaryDirectory() as directory:
            run("dpkg-deb", "--extract", package("vne-manager"), directory)
            pages = sorted(Path(directory).glob("usr/share/man/man*/*.gz"))
            self.assertGreater(len(pages), 10)
            for page in pages:
                with self.subTest(page.name):
                    linted = run("mandoc", "-Tlint", "-Wwarning", input=gzip.decompress(page.read_bytes()).decode(),
                                 check=False)
                    self.assertEqual(linted.stdout, "")


class Life(unittest.TestCase):
    def setUp(self):
        self.machine = Machine("node")
        self.machine.__enter__()
        self.addCleanup(self.machine.__exit__)
        # Its dependencies are this machine's, which a test has installed from a list of its own.
        self.machine.run("dpkg", "--force-depends", "--install", self.machine.carry(package("vne-manager")))
        own = self.machine.run("vne-manager", "key", "acme").stdout
        other = run("wg", "pubkey", input=run("wg", "genkey").stdout).stdout
        self.machine.write("/root/network.yaml", TOPOLOGY)
        self.machine.write("/root/keys.yaml", f"london: {own}web: {other}")
        self.machine.run("vne-manager", "join", "/root/network.yaml", "--keys", "/root/keys.yaml", "--node", "london")
        self.machine.run("systemctl", "enable", "--now", "vne-network@acme")

    def status(self):
        return json.loads(self.machine.run("vne-manager", "status", "--json").stdout)

    def engines(self):
        return sorted(self.machine.run("pgrep", "-x", "bird|wireguard-go", check=False).stdout.split())

    def wait_until(self, condition, message):
        deadline = time.monotonic() + 20 * SLOWNESS
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{message}\n{self.machine.run('journalctl', '-u', 'vne-network@acme').stdout}")
            time.sleep(0.1)

    def test_the_service_keeps_the_engines_and_they_go_on_without_it(self):
        begun = self.engines()
        self.assertGreaterEqual(len(begun), 1)
        self.assertTrue(self.status()["routingRuns"])
        for command in (("restart",), ("kill", "--signal=KILL"), ("stop",), ("start",)):
            self.machine.run("systemctl", *command, "vne-network@acme")
            self.assertEqual(self.engines(), begun, command)
        self.wait_until(lambda: self.machine.run("systemctl", "is-active", "vne-network@acme").stdout == "active\n",
                        "the service does not come up")
        self.machine.run("sh", "-c", "kill -KILL $(cat /run/vne-manager/vne@acme/bird.pid)")
        self.wait_until(lambda: self.status()["routingRuns"], "BIRD stays dead")
        self.assertEqual(len(self.engines()), len(begun))

    def test_an_upgrade_touches_no_engine_and_a_removal_ends_them(self):
        begun = self.engines()
        self.machine.run("dpkg", "--force-depends", "--install", f"/tmp/{package('vne-manager').name}")
        self.assertEqual(self.engines(), begun)
        self.machine.run("dpkg", "--remove", "vne-manager")
        self.assertEqual(self.engines(), [])
        self.assertNotIn("vne@acme", self.machine.run("ip", "netns", "list").stdout)
        self.assertIn("private.key", self.machine.run("ls", "/var/lib/vne-manager/vne@acme").stdout)
        self.machine.run("dpkg", "--purge", "vne-manager")
        for place in ("/var/lib/vne-manager", "/run/vne-manager"):
            self.assertNotEqual(self.machine.run("ls", place, check=False).returncode, 0, place)


if __name__ == "__main__":
    unittest.main()
