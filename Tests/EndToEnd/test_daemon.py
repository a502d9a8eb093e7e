"""`vne-agent run`: what it answers, what it leaves alone, and what it tells the service manager."""

import fcntl
import os
import re
import shutil
import signal
import time
import unittest
from pathlib import Path

from daemon import Daemon, addresses, eventually
from world import ASK_TCP, HOOKS, Host, SLOWNESS, TCP_WHO, kill_cgroup, lasting, programs_on, run


def policy(host, extra=""):
    return f"""
addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
environments:
  shop: {{addresses: [10.10.2.0/24, "fd00:10:10:2::/64"]}}
  payments: {{addresses: 10.10.3.0/24}}
applications:
  web: {{environment: shop, address: [10.10.2.1, "fd00:10:10:2::1"], cgroup: {host.cgroup.name}/web}}
  deep: {{environment: shop, address: 10.10.2.2, cgroup: {host.cgroup.name}/not/yet/deep}}
  bank: {{environment: payments, address: 10.10.3.1, cgroup: {host.cgroup.name}/bank}}
{extra}"""


class Running(unittest.TestCase):
    """A daemon on a host that has the cgroups of `web` and `bank`."""

    watchdog = None

    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(lasting("daemon"))

    def setUp(self):
        self.host = Host("daemon", remote=False)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        self.host.make("web")
        self.host.make("bank")
        self.daemon = Daemon(self.host, policy(self.host), watchdog=self.watchdog)
        self.daemon.__enter__()
        self.addCleanup(self.daemon.__exit__)

    def hooks(self, application):
        path = self.host.cgroup / application
        return len(programs_on(path)) if path.exists() else 0

    def log(self):
        return self.daemon.log.read_text()

    def assert_kept_apart(self, application="web"):
        self.assertEqual(self.host.python(application, ASK_TCP, "10.10.3.1", "80"), "EPERM")


class Reconciling(Running):
    def test_the_policy_holds_once_the_daemon_is_ready(self):
        self.assertEqual({name: found["state"] for name, found in self.host.applications().items()},
                         {"web": "attached", "bank": "attached"})
        self.assert_kept_apart()
        self.assertIn("deep waits", self.log())

    def test_a_cgroup_that_comes_is_attached_within_a_second(self):
        longest = 0
        for turn in range(20):
            path = self.host.make("not/yet/deep")
            begun = time.monotonic()
            eventually(lambda: self.hooks("not/yet/deep") == HOOKS, self.log, seconds=1)
            longest = max(longest, time.monotonic() - begun)
            self.daemon.wait_until_attached("deep")
            # The whole way to it goes and comes back.
            path.rmdir()
            path.parent.rmdir()
            path.parent.parent.rmdir()
            eventually(lambda: "deep" not in self.host.applications(), self.log, seconds=1)
        print(f"{self.id().split('.')[-1]}: {longest * 1000:.0f} ms at most", flush=True)

    def test_a_cgroup_that_is_made_anew_at_once_is_attached_anew(self):
        for _ in range(20):
            path = self.host.cgroup / "web"
            path.rmdir()
            path.mkdir()
        self.daemon.wait_until_attached("web")
        eventually(lambda: self.hooks("web") == HOOKS, self.log)
        self.assert_kept_apart()

    def test_cgroups_of_others_are_none_of_its_business(self):
        time.sleep(1)
        before = self.daemon.processor_seconds()
        for number in range(500):
            path = self.host.make(f"other{number}")
            path.rmdir()
        self.assertLessEqual(self.daemon.processor_seconds() - before, 0.1 * SLOWNESS)

    def test_addresses_that_somebody_removes_are_put_back(self):
        interface = f"{self.host.instance}0"
        interface = next(line.split()[1] for line in run("ip", "-n", self.host.name, "-o", "address").stdout.splitlines()
                         if "10.10.2.1/" in line)
        for address in ("10.10.2.1/32", "fd00:10:10:2::1/128"):
            run("ip", "-n", self.host.name, "address", "delete", address, "dev", interface)
            eventually(lambda: address.split("/")[0] in addresses(self.host), self.log, seconds=1)
        # Its private ::1, too.
        private = next(found for found in addresses(self.host) if found.startswith("fd56:4e45:"))
        run("ip", "-n", self.host.name, "address", "delete", f"{private}/128", "dev", interface)
        eventually(lambda: private in addresses(self.host), self.log, seconds=1)

    def test_a_new_address_of_the_host_is_published(self):
        before = self.host.json("status")["policy"]["generation"]
        run("ip", "-n", self.host.name, "address", "add", "192.0.2.77/24", "dev", "lo")
        eventually(lambda: self.host.json("status")["policy"]["generation"] > before, self.log)
        self.assertIn("host", self.host.agent("explain", "web", "192.0.2.77:80", check=False).stdout)

    def test_what_a_command_attached_stays(self):
        self.host.attach("guest", "shop", "10.10.2.9")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.daemon.wait_for("RELOADING=1")
        self.daemon.wait_for("READY=1")
        self.assertEqual(self.host.applications()["guest"]["state"], "attached")
        kill_cgroup(self.host.cgroup / "guest")
        eventually(lambda: "guest" not in self.host.applications(), self.log)

    def test_what_a_command_detached_comes_back_as_the_policy_names_it(self):
        self.host.agent("detach", "web")
        self.daemon.wait_until_attached("web")

    def test_two_daemons_do_not_share_an_instance(self):
        refused = self.host.agent("run", self.daemon.file, check=False)
        self.assertEqual(refused.returncode, 8, refused.stderr)
        self.assertIn(f"process {self.daemon.process.pid}", refused.stderr)

    def test_unload_asks_for_the_daemon_to_be_stopped(self):
        refused = self.host.agent("unload", check=False)
        self.assertEqual(refused.returncode, 5, refused.stderr)
        self.assertIn("stop it first", refused.stderr)


class Pins(Running):
    def pins(self):
        return sorted(str(path) for path in Path(f"/sys/fs/bpf/{self.host.instance}").rglob("*"))

    def test_pins_that_somebody_removes_are_put_back(self):
        before = self.pins()
        for pin in ("maps/policy", "maps/instance", "programs/vne_connect4"):
            os.unlink(f"/sys/fs/bpf/{self.host.instance}/{pin}")
        eventually(lambda: self.pins() == before, self.log, seconds=2)
        self.assertEqual(self.host.applications()["web"]["state"], "attached")

    def test_an_instance_whose_directory_is_removed_is_the_same_one_afterwards(self):
        before, counts = self.pins(), programs_on(self.host.cgroup / "web")
        self.assert_kept_apart()
        # All at once, as it looks to the daemon, which would put back what goes first.
        self.daemon.process.send_signal(signal.SIGSTOP)
        shutil.rmtree(f"/sys/fs/bpf/{self.host.instance}")
        self.daemon.process.send_signal(signal.SIGCONT)
        eventually(lambda: self.pins() == before, self.log, seconds=2)
        self.assertEqual(programs_on(self.host.cgroup / "web"), counts)
        self.assertEqual(self.host.applications()["web"]["state"], "attached")
        self.assert_kept_apart()


class PolicyFile(Running):
    def generation(self):
        return self.host.json("status")["policy"]["generation"]

    def wait_for_environment(self, name):
        eventually(lambda: name in self.host.agent("explain", "web", "10.10.9.1:80", check=False).stdout, self.log)

    changed = "  {name}: {{environment: shop, address: 10.10.2.{number}, cgroup: {cgroup}/{name}}}\n"

    def with_application(self, name, number):
        self.host.make(name)
        return policy(self.host) + self.changed.format(name=name, number=number, cgroup=self.host.cgroup.name)

    def test_a_file_that_is_written_in_place_is_applied(self):
        self.daemon.file.write_text(self.with_application("new", 20))
        self.daemon.wait_until_attached("new")

    def test_a_file_that_is_renamed_over_it_is_applied(self):
        other = self.daemon.file.with_suffix(".tmp")
        other.write_text(self.with_application("new", 20))
        other.rename(self.daemon.file)
        self.daemon.wait_until_attached("new")

    def test_a_link_that_is_swapped_is_followed(self):
        """As a configuration manager does it: policy.yaml leads over a link to a directory that is swapped as a whole."""
        first, second = self.host.directory / "v1", self.host.directory / "v2"
        for directory, text in ((first, self.with_application("one", 21)), (second, self.with_application("two", 22))):
            directory.mkdir()
            (directory / "policy.yaml").write_text(text)
        current = self.host.directory / "current"
        current.symlink_to("v1")
        link = self.host.directory / "link"
        link.symlink_to("current/policy.yaml")
        link.rename(self.daemon.file)
        self.daemon.wait_until_attached("one")
        swapped = self.host.directory / "swapped"
        swapped.symlink_to("v2")
        swapped.rename(current)
        self.daemon.wait_until_attached("two")
        self.assertNotIn("one", self.host.applications())
        # What the link leads to is heard, too.
        (second / "policy.yaml").write_text(self.with_application("three", 23))
        self.daemon.wait_until_attached("three")

    def test_a_broken_file_keeps_the_old_policy_and_says_so(self):
        before = self.generation()
        self.daemon.file.write_text(policy(self.host).replace("environments:", "enviroments:"))
        told = self.daemon.wait_for("STATUS=The policy file is not in force")
        place = f"{self.daemon.file}:3:1:"
        self.assertIn(place, told)
        self.assertIn(place, self.log())
        self.assertIn("the policy from before still holds", self.log())
        self.assertEqual(self.generation(), before)
        self.assert_kept_apart()
        # Cgroups are still looked after.
        self.host.make("not/yet/deep")
        self.daemon.wait_until_attached("deep")
        self.daemon.file.write_text(policy(self.host))
        self.daemon.wait_for("STATUS=Policy in force")

    def test_a_file_that_goes_keeps_the_old_policy_until_it_is_back(self):
        self.daemon.file.unlink()
        self.assertIn("cannot read", self.daemon.wait_for("STATUS=The policy file is not in force"))
        self.assert_kept_apart()
        self.daemon.file.write_text(policy(self.host))
        self.daemon.wait_for("STATUS=Policy in force")

    def test_a_file_that_says_the_same_is_not_published_again(self):
        before = self.generation()
        self.daemon.file.write_text(policy(self.host))
        time.sleep(1 * SLOWNESS)
        self.assertEqual(self.generation(), before)

    def test_a_policy_that_a_command_applied_holds_until_the_file_changes(self):
        self.host.make("manual")
        other = self.host.directory / "other.yaml"
        other.write_text(self.with_application("manual", 30))
        self.host.agent("apply", other)
        kill_cgroup(self.host.cgroup / "manual")
        self.host.make("manual")
        self.daemon.wait_until_attached("manual")
        self.daemon.file.write_text(policy(self.host) + "\n")
        eventually(lambda: "manual" not in self.host.applications(), self.log)


class Life(Running):
    watchdog = 1.0

    def test_sigterm_leaves_what_is_enforced(self):
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon.wait_for("STOPPING=1")
        self.assertEqual(self.hooks("web"), HOOKS)
        self.assert_kept_apart()

    def test_a_killed_daemon_leaves_what_is_enforced_and_the_next_goes_on(self):
        self.daemon.process.kill()
        self.daemon.process.wait()
        self.assert_kept_apart()
        self.host.make("not/yet/deep")
        self.assertEqual(self.hooks("not/yet/deep"), 0)
        self.daemon.start()
        self.daemon.wait_for("READY=1")
        self.daemon.wait_until_attached("web", "bank", "deep")

    def test_a_killed_daemon_is_followed_by_one_that_goes_on_with_a_broken_file(self):
        self.daemon.process.kill()
        self.daemon.process.wait()
        self.daemon.file.write_text("nonsense: [")
        self.daemon.start()
        self.daemon.wait_for("READY=1")
        self.daemon.wait_for("STATUS=The policy file is not in force")
        self.assert_kept_apart()

    def test_the_watchdog_hears_nothing_of_a_daemon_that_hangs(self):
        for _ in range(3):
            self.daemon.wait_for("WATCHDOG=1", seconds=1)
        # Somebody does not give the instance's lock back.
        directory = os.open(f"/sys/fs/bpf/{self.host.instance}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            run("ip", "-n", self.host.name, "address", "add", "192.0.2.78/24", "dev", "lo")
            time.sleep(0.5)
            self.daemon.told.clear()
            time.sleep(2)
            self.assertNotIn("WATCHDOG=1", self.daemon.told)
        finally:
            os.close(directory)
        self.daemon.wait_for("WATCHDOG=1")

    def test_a_reload_is_told_with_its_time(self):
        self.daemon.process.send_signal(signal.SIGHUP)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.daemon.wait_for("RELOADING=1")
        told = self.daemon.wait_for("MONOTONIC_USEC=")
        self.assertLess(abs(int(told.partition("=")[2]) - before), 1_000_000 * SLOWNESS)
        self.daemon.wait_for("READY=1")


class Await(Running):
    """What `ExecCondition=` of a service does, from inside its cgroup."""

    def test_it_ends_once_the_application_is_attached(self):
        self.host.make("not/yet/deep")
        for _ in range(5):
            awaited = self.host.run("not/yet/deep", *self.host.agent_command("await", "deep"))
            self.assertEqual(awaited.returncode, 0, awaited.stderr)
            # Whoever is told so is attached.
            self.assertEqual(self.hooks("not/yet/deep"), HOOKS)
            path = self.host.cgroup / "not/yet/deep"
            path.rmdir()
            path.mkdir()

    def test_what_is_not_attached_is_said_with_a_reason(self):
        missing = self.host.agent("await", "deep", check=False)
        self.assertEqual(missing.returncode, 255)
        self.assertIn("its cgroup is to be", missing.stderr)
        unknown = self.host.agent("await", "wbe", check=False)
        self.assertEqual(unknown.returncode, 255)
        self.assertIn("web", unknown.stderr)

    def test_without_a_daemon_it_fails_in_time(self):
        self.daemon.stop()
        begun = time.monotonic()
        late = self.host.agent("await", "web", "--timeout", "1s", check=False)
        self.assertEqual(late.returncode, 255)
        self.assertIn("did not answer", late.stderr)
        self.assertLess(time.monotonic() - begun, 5 * SLOWNESS)

    def test_a_daemon_that_starts_later_answers(self):
        self.daemon.stop()
        waiting = self.host.start(None, *self.host.agent_command("await", "web"))
        time.sleep(0.3)
        self.daemon.start()
        self.assertEqual(waiting.wait(20 * SLOWNESS), 0)

    def test_a_question_is_not_lost_with_the_daemon_that_it_was_put_to(self):
        self.daemon.process.send_signal(signal.SIGSTOP)
        waiting = self.host.start(None, *self.host.agent_command("await", "web"))
        time.sleep(0.3)
        self.daemon.process.kill()
        self.daemon.process.wait()
        self.daemon.start()
        self.assertEqual(waiting.wait(20 * SLOWNESS), 0)

    def test_nobody_but_root_asks(self):
        self.assertEqual(os.stat(f"/run/vne/{self.host.instance}.socket").st_mode & 0o777, 0o600)


class Start(unittest.TestCase):
    def setUp(self):
        self.host = Host("start", remote=False)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        for kind in ("daemon", "socket"):
            self.addCleanup(Path(f"/run/vne/{self.host.instance}.{kind}").unlink, missing_ok=True)

    def test_without_any_policy_a_broken_file_ends_the_daemon(self):
        path = self.host.write_policy("addressSpace: 10.10.0.0/33\n")
        refused = self.host.agent("run", path, check=False, timeout=20 * SLOWNESS)
        self.assertEqual(refused.returncode, 3, refused.stderr)
        self.assertIn(f"{path}:1:15:", refused.stderr)

    def test_without_any_policy_a_missing_file_ends_the_daemon(self):
        refused = self.host.agent("run", self.host.directory / "missing.yaml", check=False, timeout=20 * SLOWNESS)
        self.assertEqual(refused.returncode, 4, refused.stderr)

    def test_an_abstract_notification_socket_is_told(self):
        with Daemon(self.host, policy(self.host), abstract=True) as daemon:
            self.assertIn("Policy in force", daemon.wait_for("STATUS="))
            self.assertEqual(daemon.stop(), 0)

    def test_a_journal_gets_priorities_and_a_file_does_not(self):
        path = self.host.write_policy(policy(self.host))
        log = open(self.host.directory / "log", "w")
        self.addCleanup(log.close)
        status = os.fstat(log.fileno())
        for stream, pattern in ((f"{status.st_dev}:{status.st_ino}", r"(?m)^<5>! deep waits"),
                                (f"{status.st_dev}:1", r"(?m)^vne-agent: ! deep waits")):
            log.truncate(0)
            log.seek(0)
            # Without the journal that this machine may have: what is written then.
            hidden = "[ ! -d /run/systemd/journal ] || mount -t tmpfs tmpfs /run/systemd/journal; exec \"$@\""
            child = self.host.start(None, "unshare", "--mount", "sh", "-c", hidden, "sh",
                                    *self.host.agent_command("run", path), stderr=log,
                                    env=dict(os.environ, JOURNAL_STREAM=stream))
            written = lambda: (self.host.directory / "log").read_text()
            # Before it says so, it loads its programs.
            eventually(lambda: re.search(pattern, written()), written, seconds=20)
            child.terminate()
            child.wait()


if __name__ == "__main__":
    unittest.main()
