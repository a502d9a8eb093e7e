"""The daemon killed and the package upgraded, over and over, under a load of allowed and denied calls.

`make test` does it a few times, `make endurance` as often as VNE_ENDURANCE_KILLS and VNE_ENDURANCE_UPGRADES say.
"""

import itertools
import json
import os
import random
import tempfile
import time
import unittest
from pathlib import Path

from builds import another_package, with_other_programs
from machine import Machine
from world import SLOWNESS

KILLS = int(os.environ.get("VNE_ENDURANCE_KILLS", "10"))
UPGRADES = int(os.environ.get("VNE_ENDURANCE_UPGRADES", "2"))

# Of two environments, one may call one port of the other.
POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
  payments: {addresses: 10.10.3.0/24, permits: [{to: shop, ports: [tcp/81, udp/81]}]}
applications:
  web: {environment: shop, address: 10.10.2.1, cgroup: system.slice/web.service}
  api: {environment: shop, address: 10.10.2.2, cgroup: system.slice/api.service}
  bank: {environment: payments, address: 10.10.3.1, cgroup: system.slice/bank.service}
"""
WEB, API, BANK = "10.10.2.1", "10.10.2.2", "10.10.3.1"


def every_kind(address, port):
    return [f"{kind}:{address}:{port}" for kind in ("tcp", "stream", "udp", "udp-connected")]


def denied(*calls):
    return [f"!{call}" for call in calls]


CALLS = {
    "web": [*every_kind(API, 80), *denied(f"tcp:{BANK}:80", f"udp:{BANK}:80", f"tcp:{BANK}:81", f"udp:{BANK}:81")],
    "api": [*every_kind(WEB, 80), *denied(f"tcp:{BANK}:80", f"udp-connected:{BANK}:80")],
    "bank": [*every_kind(WEB, 81), *denied(f"tcp:{WEB}:80", f"udp:{WEB}:80", f"udp-connected:{API}:80")],
}
# Who may arrive where, by the addresses that a server sees.
VISITORS = {
    "web": {f"tcp/80 {API}", f"udp/80 {API}", f"tcp/81 {BANK}", f"udp/81 {BANK}"},
    "api": {f"tcp/80 {WEB}", f"udp/80 {WEB}"},
    "bank": set(),
}
SERVICE = """
[Service]
ExecStart=/usr/bin/python3 /root/traffic.py /root/{name}.json {calls}
"""


class Endurance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        # Two builds whose programs differ, each one newer than the other in turn.
        cls.packages = [another_package(directory.name, "9.0.0-1"),
                        another_package(directory.name, "9.0.0-2", with_other_programs)]

    def setUp(self):
        self.machine = Machine("endurance")
        self.machine.__enter__()
        self.addCleanup(self.machine.__exit__)
        self.machine.run("dpkg", "--purge", "vne")
        self.carried = [self.machine.carry(package) for package in self.packages]
        self.machine.run("dpkg", "--install", self.carried[0])
        self.machine.write("/etc/vne/policy.yaml", POLICY)
        self.machine.write("/root/traffic.py", Path(__file__).with_name("traffic.py").read_text())
        for name, calls in CALLS.items():
            self.machine.write(f"/etc/systemd/system/{name}.service",
                               SERVICE.format(name=name, calls=" ".join(f"'{call}'" for call in calls)))
            self.machine.run("mkdir", "-p", f"/etc/systemd/system/{name}.service.d")
            self.machine.run("ln", "-s", "/usr/share/vne/join.conf", f"/etc/systemd/system/{name}.service.d/vne.conf")
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "start", *CALLS)
        self.counters, self.samples = {}, 0
        self.wait(self.is_loaded, "the load does not run")

    def wait(self, condition, message):
        deadline = time.monotonic() + 30 * SLOWNESS
        while not (answer := condition()):
            self.assertLess(time.monotonic(), deadline, message)
            time.sleep(0.02)
        return answer

    def report(self, name):
        read = self.machine.run("cat", f"/root/{name}.json", check=False).stdout
        return json.loads(read) if read else {"calls": {}, "visitors": {}}

    def is_loaded(self):
        """Whether every call that is allowed was answered."""
        return all(len(calls := self.report(name)["calls"]) > len(CALLS[name])
                   and all(call["outcomes"] for call in calls.values()) for name in CALLS)

    def property(self, name):
        return self.machine.run("systemctl", "show", "--value", "--property", name, "vne-agent").stdout.strip()

    def sample(self):
        """Reads every counter, and holds it to the time before."""
        status = json.loads(self.machine.run("vne-agent", "status", "--json").stdout)
        now = {(application["name"], count["hook"], count["reason"]): count["count"]
               for application in status["applications"] for count in application["counters"]["counts"]}
        backwards = {key: (before, now.get(key)) for key, before in self.counters.items() if now.get(key, 0) < before}
        self.assertEqual(backwards, {}, f"after {self.samples} samples")
        self.counters = now
        self.samples += 1

    def kill(self):
        """Kills the daemon some time after it was started, which may be before it is ready."""
        daemon = self.wait(lambda: self.property("MainPID") not in ("", "0") and self.property("MainPID"), "no daemon")
        time.sleep(random.uniform(0, 0.3))
        # That many in a minute are no reason to give up here.
        self.machine.run("systemctl", "reset-failed", "vne-agent")
        self.machine.run("kill", "-KILL", daemon, check=False)
        self.wait(lambda: self.property("MainPID") not in ("", "0", daemon), "the daemon does not come back")

    def test_kills_and_upgrades_let_nothing_through_and_hold_nothing_up(self):
        begun = time.monotonic()
        for _ in range(KILLS):
            self.kill()
            self.sample()
        killed = time.monotonic()
        self.wait(lambda: self.property("ActiveState") == "active", "the daemon is not ready again")
        builds = set()
        for package in itertools.islice(itertools.cycle(self.carried[::-1]), UPGRADES):
            # The index of man pages, which dpkg's triggers make anew, takes longer than all the rest.
            self.machine.run("dpkg", "--force-downgrade", "--no-triggers", "--install", package)
            self.sample()
            [instance] = json.loads(self.machine.run("vne-agent", "dump", "instance", "--json").stdout)["instance"]
            builds.add(instance["programs"])
        self.assertEqual(len(builds), min(UPGRADES, 2), builds)
        upgraded = time.monotonic()
        # The last upgrade is over, and what it held up, if it did, has been written down.
        time.sleep(2 * SLOWNESS)
        print(f"\n  {KILLS} kills in {killed - begun:.0f} s, {UPGRADES} upgrades in {upgraded - killed:.0f} s, "
              f"{self.samples} samples of {len(self.counters)} counters", flush=True)
        self.judge()

    def judge(self):
        waited = 0
        reports = {name: self.report(name) for name in CALLS}
        rows, problems = [], []
        for name, report in reports.items():
            clock = report["calls"].pop("clock:-:0")["longest"]
            waited = max(waited, clock)
            for call, found in report["calls"].items():
                outcomes, longest = found["outcomes"], found["longest"]
                gap = "" if call[0] == "!" else f", longest gap {longest:.3f} s ({found['about']})"
                rows.append(f"  {name:5} {call:28} {outcomes}{gap}")
                if call[0] == "!":
                    if set(outcomes) != {"PermissionError"}:
                        problems.append(f"{name} {call}: {outcomes}")
                elif longest > 1 * SLOWNESS:
                    problems.append(f"{name} {call}: not answered for {longest:.3f} s")
            if strangers := set(report["visitors"]) - VISITORS[name]:
                problems.append(f"{name} was reached by {strangers}")
        counts = [f"  {name} {hook} {reason}: {count}" for (name, hook, reason), count in sorted(self.counters.items())]
        print(*rows, *counts, f"  a thread of the load waited {waited:.3f} s for its turn at most", sep="\n", flush=True)
        self.assertEqual(problems, [])


if __name__ == "__main__":
    unittest.main()
