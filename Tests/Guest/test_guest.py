"""One package on a stock Debian 12, one policy, one service, a reboot: who reaches whom, from the first instruction on.

The policy is the example that the package brings, with the names of units that are there.
"""

import json
import sys
import time
import unittest
from pathlib import Path

from guest import Guest

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT / "Tests" / "EndToEnd")]

from builds import package  # noqa: E402

EXAMPLE = "/usr/share/doc/vne/examples/example-policy.yaml"
STARTS = 20
WEB, DB, COLLECTOR, NOBODY = "10.10.2.1", "10.10.3.1", "10.10.4.1", "10.10.9.9"

# Serves ports, and calls others from its first instruction on; writes down what came of it, and who came.
PROGRAM = r"""
import os, socket, sys, threading, time
name, ports, targets = sys.argv[1], sys.argv[2].split(","), sys.argv[3].split(",")
log = os.open(f"/var/log/{name}.calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def note(*words):
    os.write(log, (" ".join(map(str, (os.getpid(), *words))) + "\n").encode())
def call():
    for target in targets:
        kind, address, port = target.split(":")
        with socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as client:
            client.settimeout(2)
            try:
                client.connect((address, int(port)))
                client.send(b"x")
                outcome = "through"
            except OSError as problem:
                outcome = type(problem).__name__
        note("call", target, outcome)
def serve(port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen()
    while True:
        client, peer = listener.accept()
        note("visit", f"tcp:{peer[0]}:{port}", "came")
        client.close()
call()
for port in filter(None, ports):
    threading.Thread(target=serve, args=(int(port),), daemon=True).start()
while True:
    call()
    time.sleep(0.05)
"""
SERVICE = """
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/bin/python3 /root/program.py {name} '{ports}' '{calls}'
[Install]
WantedBy=multi-user.target
"""
# By unit: the ports that it serves, whom it may call, and whom it may not.
UNITS = {
    "worker": ([], [f"tcp:{WEB}:80", f"tcp:{DB}:5432", f"tcp:{COLLECTOR}:9090"],
               [f"tcp:{DB}:80", f"udp:{DB}:80", f"tcp:{COLLECTOR}:80", f"tcp:{NOBODY}:80"]),
    "db": ([80, 5432], [], [f"tcp:{WEB}:80", f"udp:{WEB}:80", f"tcp:{COLLECTOR}:9090"]),
    "collector": ([80, 9090], [], [f"tcp:{WEB}:80", f"tcp:{DB}:5432"]),
}
# The two lines of docs/DAEMON.md, for a unit that is called otherwise than its application.
TWO_LINES = "[Service]\nExecCondition=+/usr/bin/vne-agent await web\n"

# What a call of each kind comes to from inside a cgroup, or from outside all of them.
PROBE = r"""
import errno, json, socket, sys
if sys.argv[1]:
    with open(f"/sys/fs/cgroup/system.slice/{sys.argv[1]}.service/cgroup.procs", "w") as procs:
        procs.write("0")
def attempt(address, port):
    with socket.socket() as client:
        client.settimeout(5)
        try:
            client.connect((address, port))
            return "connected"
        except socket.timeout:
            return "timeout"
        except OSError as problem:
            return errno.errorcode[problem.errno]
print(json.dumps([attempt(*target) for target in json.loads(sys.argv[2])]))
"""
# (from, to, port): outcome. From "" is a process of the host.
MATRIX = {
    ("worker", WEB, 80): "connected", ("worker", DB, 5432): "connected", ("worker", DB, 80): "EPERM",
    ("worker", COLLECTOR, 9090): "connected", ("worker", COLLECTOR, 80): "EPERM", ("worker", NOBODY, 80): "EPERM",
    ("nginx", WEB, 80): "connected", ("nginx", DB, 5432): "connected", ("nginx", DB, 80): "EPERM",
    ("db", WEB, 80): "EPERM", ("db", COLLECTOR, 9090): "EPERM", ("db", DB, 80): "connected",
    ("db", "198.51.100.1", 80): "EPERM",
    ("collector", WEB, 80): "EPERM", ("collector", DB, 5432): "EPERM", ("collector", COLLECTOR, 80): "connected",
    ("", WEB, 80): "connected", ("", COLLECTOR, 9090): "connected", ("", DB, 5432): "timeout",
}


def adapted(example):
    """The example with the names of this guest's units."""
    changes = [("system.slice/postgresql.service", "system.slice/db.service"),
               ("    address: 10.10.4.1 ", "    cgroup: system.slice/collector.service\n    address: 10.10.4.1 ")]
    for old, new in changes:
        if example.count(old) != 1:
            raise AssertionError(f"the example policy has {example.count(old)} times: {old}")
        example = example.replace(old, new)
    return example


class StockDebian(unittest.TestCase):
    def setUp(self):
        self.begun = time.monotonic()
        self.guest = Guest()
        self.guest.__enter__()
        self.addCleanup(self.guest.__exit__)
        self.say(f"up: {self.guest.shell('. /etc/os-release; echo $PRETTY_NAME, Linux $(uname -r)').stdout.strip()}")

    def say(self, text):
        print(f"  {time.monotonic() - self.begun:5.0f} s  {text}", flush=True)

    def test_a_package_a_policy_a_service_and_a_reboot(self):
        self.guest.wait_until_up()
        before = self.files()
        self.install()
        self.write_services()
        self.guest.reboot()
        state = self.guest.wait_until_up()
        self.assertEqual(state, "running", self.guest.shell("systemctl --failed", check=False).stdout)
        self.say("rebooted, and everything runs")
        self.wait_for_calls()
        self.assert_calls_fared_as_they_should("since the boot")
        self.assert_matrix()
        self.restart_services()
        self.restart_agent()
        self.remove(before)

    # ------------------------------------------------------------------ steps

    def install(self):
        self.guest.run("apt-get", "--yes", "install", self.guest.carry(package()))
        self.guest.run("vne-agent", "check", EXAMPLE)
        self.guest.run("cp", EXAMPLE, "/etc/vne/policy.yaml")
        self.guest.run("systemctl", "enable", "--now", "vne-agent")
        self.assertEqual(self.guest.run("systemctl", "is-active", "vne-agent").stdout.strip(), "active")
        self.say("installed, and the example as it is is in force")

    def write_services(self):
        self.guest.write("/etc/vne/policy.yaml", adapted(self.guest.run("cat", EXAMPLE).stdout))
        self.guest.write("/root/program.py", PROGRAM)
        self.guest.write("/etc/systemd/system/nginx.service.d/vne.conf", TWO_LINES)
        for name, (ports, allowed, denied) in UNITS.items():
            self.guest.write(f"/etc/systemd/system/{name}.service", SERVICE.format(
                name=name, ports=",".join(map(str, ports)), calls=",".join(denied + allowed)))
            self.guest.shell(f"mkdir /etc/systemd/system/{name}.service.d && "
                             f"ln -s /usr/share/vne/join.conf /etc/systemd/system/{name}.service.d/vne.conf")
        self.guest.shell(f"systemctl daemon-reload && systemctl reload vne-agent && systemctl enable {' '.join(UNITS)}")
        self.say("the policy names the units, which are started at boot")

    def restart_services(self):
        for _ in range(STARTS):
            self.guest.shell(f"systemctl restart {' '.join(UNITS)} nginx && sleep 2")
        self.wait_for_calls()
        self.assert_calls_fared_as_they_should(f"after {STARTS} restarts of each service", starts=STARTS + 1)

    def restart_agent(self):
        """The daemon is restarted, killed and reloaded while a service is restarted without end."""
        self.guest.shell("systemd-run --unit=load sh -c 'while :; do systemctl restart worker; sleep 0.5; done'")
        for what in ["systemctl restart vne-agent", "systemctl kill --signal=KILL vne-agent; sleep 1.5",
                     "systemctl reload vne-agent"] * 3:
            self.guest.shell(f"systemctl reset-failed vne-agent; {what}; sleep 1")
        self.guest.shell("systemctl stop load; systemctl restart worker")
        self.assertEqual(self.guest.run("systemctl", "is-active", "vne-agent").stdout.strip(), "active")
        self.wait_for_calls()
        self.say("restarted, killed and reloaded the agent three times each under restarts of a service")
        self.assert_calls_fared_as_they_should("while the agent came and went", starts=STARTS + 1)
        self.assert_matrix()

    def remove(self, before):
        self.guest.shell(f"systemctl disable --now {' '.join(UNITS)}; cd /etc/systemd/system && "
                         f"rm -r nginx.service.d {' '.join(f'{name}.service {name}.service.d' for name in UNITS)} && "
                         "rm -r /root/* /var/log/*.calls && systemctl daemon-reload")
        self.guest.run("apt-get", "--yes", "remove", "vne")
        left = json.loads(self.guest.run("bpftool", "--json", "prog").stdout)
        self.assertEqual([program for program in left if program.get("name", "").startswith("vne")], [])
        self.assertEqual(self.guest.shell("find /sys/fs/bpf /run -name '*vne*'").stdout, "")
        self.assertNotRegex(self.guest.shell("ip -brief address").stdout, r"vne0|10\.10\.|fd00:10|fd56:4e45")
        self.assertEqual(self.guest.run("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}",
                                        "http://127.0.0.1/").stdout, "200")
        self.guest.run("apt-get", "--yes", "purge", "vne")
        self.assertEqual(self.files() - before, set())
        self.say("removed: no program, pin, address or file is left, and nginx serves on")

    # ------------------------------------------------------------------ what is looked at

    def files(self):
        """Every file but what dpkg, man-db, systemd and the journal keep for themselves."""
        kept = " ".join(f"-not -path '{path}/*'" for path in ("/var/cache", "/var/log", "/var/lib/dpkg", "/var/lib/apt",
                                                              "/var/lib/systemd", "/root", "/tmp", "/var/tmp"))
        return set(self.guest.shell(f"find / -xdev {kept}").stdout.splitlines())

    def wait_for_calls(self):
        """Waits until every unit that was started last has called everybody a few times."""
        deadline = time.monotonic() + 120
        for name, (_, allowed, denied) in UNITS.items():
            process = self.guest.run("systemctl", "show", "--value", "--property", "MainPID", name).stdout.strip()
            while int(self.guest.shell(f"grep -c '^{process} call' /var/log/{name}.calls", check=False).stdout or 0) \
                    < 5 * len(allowed + denied):
                self.assertLess(time.monotonic(), deadline, f"{name} does not run")
                time.sleep(1)

    def assert_calls_fared_as_they_should(self, when, starts=1):
        """Of every start of every unit: no denied call ever got through, and the others do in the end."""
        told = []
        for name, (_, allowed, denied) in UNITS.items():
            counted = self.guest.shell(f"sort /var/log/{name}.calls | uniq -c").stdout.splitlines()
            outcomes, visits, processes = {}, set(), set()
            for count, process, kind, what, outcome in (line.split() for line in counted):
                processes.add(process)
                if kind == "visit":
                    visits.add(what)
                else:
                    seen = outcomes.setdefault(what, {})
                    seen[outcome] = seen.get(outcome, 0) + int(count)
            for call in denied:
                self.assertEqual(set(outcomes.get(call, {})), {"PermissionError"}, f"{name} {call} {when}: {outcomes}")
            for call in allowed:
                # A server that is not there yet refuses, as anywhere.
                self.assertIn("through", outcomes.get(call, {}), f"{name} {call} {when}")
                self.assertNotIn("PermissionError", outcomes[call], f"{name} {call} {when}")
            if name == "db":
                wanted = {visit for visit in visits if visit.startswith("tcp:10.10.2.") and visit.endswith(":5432")}
                # The matrix has it call itself.
                self.assertEqual(visits - wanted - {f"tcp:{DB}:80"}, set(), when)
            self.assertGreaterEqual(len(processes), starts, f"{name} {when}")
            tries = sum(sum(outcomes[call].values()) for call in denied)
            told.append(f"{name}: {len(processes)} starts, {tries} denied calls")
        self.say(f"{when}: {'; '.join(told)}; none got through")

    def assert_matrix(self):
        found = {}
        for source in {source for source, _, _ in MATRIX}:
            targets = [(address, port) for name, address, port in MATRIX if name == source]
            outcomes = json.loads(self.guest.python(PROBE, source, json.dumps(targets)))
            found |= {(source, *target): outcome for target, outcome in zip(targets, outcomes)}
        self.assertEqual(found, MATRIX)
        self.say(f"the matrix of {len(MATRIX)} pairs holds")


if __name__ == "__main__":
    unittest.main()
