"""The unit under a real systemd, in a container of its own: a network namespace, a cgroup tree and a BPF file system.

The container's files are Debian's packages, made once and kept in `.build`.
"""

import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

from world import AGENT, MOUNT, PREFIX, PROJECT, SLOWNESS, kill_cgroup, run, sweep_once

UNIT = PROJECT / "packaging" / "systemd" / "vne-agent.service"
JOIN = PROJECT / "packaging" / "systemd" / "join.conf"
BASE = PROJECT / ".build" / "systemd-root"

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

# Runs in the container as a service, and ends it.
SCRIPT = """#!/bin/bash
exec > /log 2>&1
set -x
# systemd does this at boot where it is no container.
mkdir -p /sys/fs/bpf && mount -t bpf bpf /sys/fs/bpf
ip link set lo up
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
journalctl -b --no-pager -o short > /journal
echo finished >> /results
"""


class Unit(unittest.TestCase):
    def test_its_exposure_is_below_three(self):
        result = run("systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", UNIT, check=False)
        self.assertEqual(result.returncode, 0, result.stdout)
        exposure = float(re.search(r"exposure level for \S+: ([\d.]+)", result.stdout)[1])
        self.assertLess(exposure, 3)


class Systemd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        sweep_once()
        if not BASE.exists():
            made = BASE.with_suffix(".new")
            shutil.rmtree(made, ignore_errors=True)
            run("mmdebstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,iproute2,python3-minimal",
                "bookworm", made)
            made.rename(BASE)

    def setUp(self):
        self.name = f"{PREFIX}{os.getpid()}systemd"
        self.root = Path(f"/tmp/{self.name}")
        run("cp", "-a", "--reflink=auto", BASE, self.root)
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.cgroup = MOUNT / self.name
        self.cgroup.mkdir()
        self.addCleanup(kill_cgroup, self.cgroup)
        self.install()

    def write(self, path, text, mode=0o644):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def install(self):
        shutil.copy(AGENT, self.root / "usr/bin/vne-agent")
        self.write("usr/lib/systemd/system/vne-agent.service", UNIT.read_text())
        self.write("etc/vne/policy.yaml", POLICY)
        for name, kind, program in (("probe", "oneshot", PROBE), ("bank", "exec", BANK)):
            self.write(f"{name}.py", program)
            self.write(f"etc/systemd/system/{name}.service",
                       f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nType={kind}\nExecStart=/usr/bin/python3 /{name}.py\n")
            self.write(f"etc/systemd/system/{name}.service.d/vne.conf", JOIN.read_text())
        self.write("script", SCRIPT, 0o755)
        self.write("etc/systemd/system/script.service",
                   "[Service]\nType=oneshot\nExecStart=/script\nExecStopPost=/bin/systemctl poweroff --no-block\n")
        wanted = self.root / "etc/systemd/system/multi-user.target.wants"
        wanted.mkdir(exist_ok=True)
        (wanted / "script.service").symlink_to("/etc/systemd/system/script.service")

    def boot(self):
        """Runs the container until it ends, and gives what the script wrote, by step."""
        environment = dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1", SYSTEMD_NSPAWN_API_VFS_WRITABLE="1")

        def enter():
            (self.cgroup / "cgroup.procs").write_text("0")
        container = subprocess.run(
            ["systemd-nspawn", "--register=no", "--keep-unit", "--capability=all", "--private-network", "--console=pipe",
             "--system-call-filter=bpf open_by_handle_at pidfd_getfd", "-b", "-D", self.root],
            env=environment, preexec_fn=enter, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=240 * SLOWNESS)
        results = self.root / "results"
        self.assertTrue(results.exists(), container.stdout)
        steps = {}
        for line in results.read_text().splitlines():
            if line.startswith("== "):
                steps[line[3:]] = []
            else:
                steps[next(reversed(steps))].append(line)
        return steps

    def test_services_are_apart_from_their_first_instruction_whatever_becomes_of_the_agent(self):
        steps = self.boot()
        story = "\n".join((self.root / name).read_text() for name in ("results", "log"))
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


if __name__ == "__main__":
    unittest.main()
