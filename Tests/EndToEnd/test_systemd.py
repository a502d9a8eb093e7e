"""The unit under a real systemd, on a machine of its own."""

import json
import re
import unittest

from machine import Machine
from world import AGENT, PROJECT, SLOWNESS, run

UNIT = PROJECT / "packaging" / "systemd" / "vne-agent.service"
JOIN = PROJECT / "packaging" / "systemd" / "join.conf"

POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
  payments: {addresses: 10.10.3.0/24}
applications:
  probe: {environment: shop, address: 10.10.2.1, cgroup: system.slice/probe.service}
  bank: {environment: payments, address: 10.10.3.1, cgroup: system.slice/bank.service}
"""

# Tries the other environment from its first instruction on, and writes down what came of it.
PROBE = """
import socket
found = set()
for _ in range(20):
    with socket.socket() as client:
        client.settimeout(1)
        try:
            client.connect(("10.10.3.1", 80))
            found.add("through")
        except OSError as problem:
            found.add(type(problem).__name__)
with open("/results", "a") as results:
    print(*sorted(found), file=results)
"""

BANK = """
import socket
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", 80))
listener.listen()
while True:
    listener.accept()[0].close()
"""

# Runs on the machine, and writes down what came of it.
SCRIPT = """
exec > /log 2>&1
set -x
step() { echo "== $*" >> /results; }
step ready
systemctl start vne-agent bank && echo started >> /results
step starts
for _ in {1..20}; do systemctl start probe; done
step reload
systemctl reload vne-agent && systemctl start probe
step restarts under load
(while ! [ -e /stop ]; do systemctl start probe; done) & load=$!
# Until one more probe has ended.
another() { local before=$(wc -l < /results); until [ $(wc -l < /results) -gt $before ]; do sleep 0.05; done; }
for _ in {1..10}; do systemctl reset-failed vne-agent; systemctl restart vne-agent; another; done
for _ in {1..10}; do systemctl kill -s KILL vne-agent; sleep 0.2; systemctl reset-failed vne-agent; systemctl start vne-agent; another; done
touch /stop; wait $load
step broken policy
echo nonsense >> /etc/vne/policy.yaml
systemctl restart vne-agent && systemctl show -P StatusText vne-agent >> /results
systemctl start probe
step stopped
systemctl stop vne-agent
/usr/bin/vne-agent list | grep -c "bank .*attached" >> /results
step unloaded
systemctl stop bank; /usr/bin/vne-agent unload >> /results
# Without a daemon that can attach, a service that waits for it does not start.
step no policy
systemctl start probe || echo refused >> /results
echo finished >> /results
"""


class Unit(unittest.TestCase):
    def test_its_exposure_is_below_three(self):
        result = run("systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", UNIT, check=False)
        self.assertEqual(result.returncode, 0, result.stdout)
        exposure = float(re.search(r"exposure level for \S+: ([\d.]+)", result.stdout)[1])
        self.assertLess(exposure, 3)


class Systemd(unittest.TestCase):
    def install(self, machine):
        # Whatever package this machine has: the build and the unit of the tree.
        machine.run("dpkg", "--purge", "vne")
        machine.run("install", machine.carry(AGENT), "/usr/bin/vne-agent")
        machine.write("/lib/systemd/system/vne-agent.service", UNIT.read_text())
        machine.write("/etc/vne/policy.yaml", POLICY)
        for name, kind, program in (("probe", "oneshot", PROBE), ("bank", "exec", BANK)):
            machine.write(f"/{name}.py", program)
            machine.write(
                f"/etc/systemd/system/{name}.service",
                f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nType={kind}\nExecStart=/usr/bin/python3 /{name}.py\n")
            machine.write(f"/etc/systemd/system/{name}.service.d/vne.conf", JOIN.read_text())
        machine.run("systemctl", "daemon-reload")

    def test_services_are_apart_from_their_first_instruction_whatever_becomes_of_the_agent(self):
        with Machine("systemd") as machine:
            self.install(machine)
            machine.run("bash", "-c", SCRIPT, check=False, timeout=240 * SLOWNESS)
            results, log = machine.read("/results"), machine.read("/log")
        story = results + log
        steps = {}
        for line in results.splitlines():
            if line.startswith("== "):
                steps[line[3:]] = []
            else:
                steps[next(reversed(steps))].append(line)
        self.assertEqual(steps["ready"], ["started"], story)
        self.assertEqual(steps["starts"], ["PermissionError"] * 20, story)
        self.assertEqual(steps["reload"], ["PermissionError"], story)
        self.assertEqual(set(steps["restarts under load"]), {"PermissionError"}, story)
        self.assertGreaterEqual(len(steps["restarts under load"]), 20, story)
        self.assertIn("not in force", steps["broken policy"][0], story)
        self.assertEqual(steps["broken policy"][1:], ["PermissionError"], story)
        self.assertEqual(steps["stopped"], ["1"], story)
        self.assertIn("unloaded vne", steps["unloaded"], story)
        self.assertEqual(steps["no policy"], ["refused", "finished"], story)

    def test_units_of_a_slice_are_inside_and_the_journal_says_of_which_application_it_speaks(self):
        with Machine("slice") as machine:
            self.install(machine)
            machine.write("/etc/vne/policy.yaml", POLICY +
                          "  desk: {environment: shop, address: 10.10.2.2, cgroup: desk.slice}\n")
            # Two units that know of the slice only, the later one without any wait of its own.
            for name, wait in (("first", "ExecCondition=+/usr/bin/vne-agent await desk\n"), ("second", "")):
                machine.write(f"/etc/systemd/system/{name}.service",
                              f"[Service]\nType=oneshot\nSlice=desk.slice\n{wait}ExecStart=/usr/bin/python3 /probe.py\n")
            machine.run("systemctl", "daemon-reload")
            machine.run("systemctl", "start", "vne-agent", "bank")
            for name in ("first", "second", "second"):
                machine.run("systemctl", "start", name)
            results = machine.read("/results").splitlines()
            entries = [json.loads(line) for line in machine.run(
                "journalctl", "--output", "json", "VNE_APPLICATION=desk").stdout.splitlines()]
            generations = machine.run("journalctl", "--output", "cat", "--output-fields", "VNE_GENERATION",
                                      "--unit", "vne-agent", "VNE_GENERATION=1").stdout.split()
        self.assertEqual(results, ["PermissionError"] * 3)
        self.assertIn("1", generations)
        self.assertTrue(entries)
        for entry in entries:
            self.assertIn("desk", entry["MESSAGE"])
            self.assertEqual((entry["_SYSTEMD_UNIT"], entry["SYSLOG_IDENTIFIER"], entry["VNE_INSTANCE"]),
                             ("vne-agent.service", "vne-agent", "vne"))
        self.assertIn("6", {entry["PRIORITY"] for entry in entries})


if __name__ == "__main__":
    unittest.main()
