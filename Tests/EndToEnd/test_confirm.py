"""`apply --confirm`: a policy on trial, and what becomes of it when its author is gone."""

import os
import pty
import signal
import subprocess
import time
import unittest
from pathlib import Path

from daemon import Daemon, eventually
from world import Host, SLOWNESS, lasting, setns

BEFORE = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
"""
AFTER = BEFORE + "  payments: {addresses: 10.10.3.0/24}\n"


class Confirm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(lasting("confirm"))

    def setUp(self):
        self.host = Host("confirm", policy=BEFORE, remote=False)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        self.addCleanup(lambda: Path(f"/run/vne/{self.host.instance}.trial").unlink(missing_ok=True))
        self.file = self.host.directory / "after.yaml"
        self.file.write_text(AFTER)
        self.log = self.host.directory / "log"

    def start(self, limit="60s", terminal=None, *more):
        """Starts the command as the first of a session, as a shell of a terminal would have it."""
        def enter():
            setns(self.host.namespace)
            os.setsid()
        with open(self.log, "w") as log:
            self.command = subprocess.Popen(
                self.host.agent_command("apply", "--confirm", limit, self.file, *more), preexec_fn=enter,
                stdin=terminal if terminal is not None else subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(self.end)
        return self.command

    def end(self):
        if self.command.poll() is None:
            self.command.kill()
        self.command.wait()

    def environments(self):
        return self.host.json("status")["policy"]["environments"]

    def wait_until(self, environments):
        eventually(lambda: self.environments() == environments, lambda: f"{self.environments()}: {self.log.read_text()}",
                   seconds=10)

    def wait_for_trial(self):
        eventually(lambda: "press Enter" in self.log.read_text(), self.log.read_text, seconds=10)
        self.assertEqual(self.environments(), 2)

    def test_the_policy_from_before_comes_back_when_nobody_confirms(self):
        command = self.start("1s")
        self.wait_for_trial()
        self.assertEqual(command.wait(10 * SLOWNESS), 9, self.log.read_text())
        self.assertEqual(self.environments(), 1)
        self.assertIn("nobody confirmed it in time", self.log.read_text())

    def test_enter_keeps_it(self):
        outer, inner = pty.openpty()
        self.addCleanup(os.close, outer)
        command = self.start("60s", inner)
        os.close(inner)
        self.wait_for_trial()
        os.write(outer, b"\n")
        self.assertEqual(command.wait(10 * SLOWNESS), 0, self.log.read_text())
        self.assertEqual(self.environments(), 2)

    def test_confirm_from_another_shell_keeps_it(self):
        command = self.start()
        self.wait_for_trial()
        self.assertEqual(self.host.agent("confirm").stdout, "confirmed\n")
        self.assertEqual(command.wait(10 * SLOWNESS), 0, self.log.read_text())
        self.assertEqual(self.environments(), 2)

    def test_a_terminal_that_closes_leads_back(self):
        outer, inner = pty.openpty()
        command = self.start("60s", inner)
        os.close(inner)
        self.wait_for_trial()
        os.close(outer)
        self.wait_until(1)
        command.wait(10 * SLOWNESS)

    def test_each_way_to_end_the_command_leads_back(self):
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with self.subTest(signal=number.name):
                command = self.start()
                self.wait_for_trial()
                command.send_signal(number)
                self.wait_until(1)
                command.wait(10 * SLOWNESS)

    def test_a_policy_that_was_published_meanwhile_stays(self):
        command = self.start("2s")
        self.wait_for_trial()
        self.host.apply(AFTER + "  third: {addresses: 10.10.4.0/24}\n")
        self.assertEqual(command.wait(10 * SLOWNESS), 5, self.log.read_text())
        self.assertEqual(self.environments(), 3)

    def test_beside_a_daemon(self):
        with Daemon(self.host, BEFORE):
            command = self.start("2s")
            self.wait_for_trial()
            self.assertEqual(command.wait(10 * SLOWNESS), 9, self.log.read_text())
            self.assertEqual(self.environments(), 1)

    def test_two_trials_at_once_are_refused(self):
        self.start()
        self.wait_for_trial()
        second = self.host.agent("apply", "--confirm", "60s", self.file, check=False)
        self.assertEqual(second.returncode, 8, second.stderr)

    def test_what_has_errors_is_no_trial(self):
        self.file.write_text("nonsense: 1\n")
        self.assertEqual(self.start().wait(10 * SLOWNESS), 3, self.log.read_text())
        refused = self.host.agent("confirm", check=False)
        self.assertEqual((refused.returncode, "on trial" in refused.stderr), (4, True))

    def test_limits_that_make_no_sense_are_refused(self):
        for limit in ("0s", "-1s", "soon", "5h", "99999m"):
            refused = self.host.agent("apply", f"--confirm={limit}", self.file, check=False)
            self.assertEqual(refused.returncode, 2, limit)


class First(unittest.TestCase):
    def test_a_first_policy_has_nothing_to_go_back_to(self):
        with Host("first", remote=False) as host:
            refused = host.agent("apply", "--confirm", "5s", host.write_policy(BEFORE), check=False)
            self.assertEqual(refused.returncode, 4, refused.stderr)
            self.assertIn("without --confirm", refused.stderr)
            Path(f"/run/vne/{host.instance}.trial").unlink(missing_ok=True)


if __name__ == "__main__":
    unittest.main()
