"""The Debian package that `make deb` made: what is in it, and its life on a machine with systemd."""

import gzip
import json
import os
import re
import stat
import subprocess
import tarfile
import tempfile
import time
import unittest
from pathlib import Path

from builds import another_package, package
from machine import Machine
from world import AGENT, PROJECT, run

POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
  payments: {addresses: 10.10.3.0/24}
applications:
  web: {environment: shop, address: 10.10.2.1, cgroup: system.slice/web.service}
  caller: {environment: shop, address: 10.10.2.2, cgroup: system.slice/caller.service}
  bank: {environment: payments, address: 10.10.3.1, cgroup: system.slice/bank.service}
"""

# Joins its VNE as DAEMON.md says: by a link to the drop-in.
SERVER = """
[Service]
ExecStart=/usr/bin/python3 -m http.server 80 --directory /usr/share/doc/vne
"""

# Calls one server of its own VNE and one of another, from its first instruction on, and writes down what came of it. It
# does so in the unit's own preparation, too.
CALLER = """
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStartPre=/usr/bin/python3 /root/caller.py once
ExecStart=/usr/bin/python3 /root/caller.py
StandardOutput=append:/root/calls
"""
CALLS = """
import os, socket, sys, time
while True:
    for address in ("10.10.2.1", "10.10.3.1"):
        try:
            with socket.create_connection((address, 80), 1) as server:
                server.sendall(b"GET /README.md HTTP/1.0\\r\\n\\r\\n")
                outcome = server.recv(15).decode()
        except OSError as problem:
            outcome = type(problem).__name__
        # A line is written at once, or not at all where the service is stopped.
        os.write(1, f"{time.monotonic()} {address} {outcome}\\n".encode())
    if sys.argv[1:]:
        break
    time.sleep(.01)
"""


def make(*arguments, **options):
    """Runs make for the binary that is there."""
    return run("make", "-C", PROJECT, "-o", "build", *arguments, **options)


def subcommands():
    listed = run(AGENT, "--help").stdout.partition("SUBCOMMANDS:")[2]
    return re.findall(r"^  ([a-z][a-z-]*)(?:  |$)", listed, re.MULTILINE)


class Files(unittest.TestCase):
    """What is in the package."""

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.root = Path(directory.name)
        run("dpkg-deb", "--raw-extract", package(), cls.root)
        cls.share = cls.root / "usr/share"

    def members(self):
        listing = subprocess.run(["dpkg-deb", "--fsys-tarfile", package()], stdout=subprocess.PIPE, check=True).stdout
        with tempfile.TemporaryFile() as archive:
            archive.write(listing)
            archive.seek(0)
            return tarfile.open(fileobj=archive).getmembers()

    def test_lintian_finds_no_error_and_no_warning(self):
        result = run("lintian", "--allow-root", "--fail-on", "error,warning", package(), check=False)
        self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)

    def test_the_same_files_make_the_same_package(self):
        date = max(member.mtime for member in self.members())
        with tempfile.TemporaryDirectory() as output:
            make("deb", f"DEB_OUTPUT={output}", f"SOURCE_DATE_EPOCH={date}", umask=0o077,
                 env={**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C"})
            made = {package(name).name: package(name) for name in ("vne", "vne-manager")}
            self.assertEqual(set(os.listdir(output)), set(made))
            for name, first in made.items():
                self.assertEqual((Path(output) / name).read_bytes(), first.read_bytes(), name)

    def test_files_are_roots_and_lie_where_packages_may_put_them(self):
        for member in self.members():
            self.assertEqual((member.uid, member.gid), (0, 0), member.name)
            wanted = 0o755 if member.isdir() or member.name == "./usr/bin/vne-agent" else 0o644
            self.assertEqual(stat.S_IMODE(member.mode), wanted, member.name)
            if member.isfile():
                self.assertRegex(member.name, r"^\./(usr/bin/vne-agent|usr/share/|etc/vne/README$|lib/systemd/system/)")

    def test_it_needs_no_library_of_the_host(self):
        self.assertIn("statically linked", run("file", self.root / "usr/bin/vne-agent").stdout)
        self.assertNotIn("\nDepends:", (self.root / "DEBIAN/control").read_text())

    def test_its_version_is_the_programs(self):
        version = run(AGENT, "--version").stdout.split()[1]
        self.assertEqual(run("dpkg-deb", "--field", package(), "Version").stdout.strip().rpartition("-")[0], version)
        changes = gzip.decompress((self.share / "doc/vne/changelog.Debian.gz").read_bytes()).decode()
        self.assertTrue(changes.startswith(f"vne ({version}-"), changes)

    def test_every_subcommand_has_a_man_page_with_all_its_options(self):
        names = ["vne-agent", *(f"vne-agent-{subcommand}" for subcommand in subcommands())]
        self.assertGreater(len(names), 10)
        for name in names:
            page = gzip.decompress((self.share / f"man/man1/{name}.1.gz").read_bytes()).decode()
            help_text = run(AGENT, *name.split("-", 2)[2:], "--help").stdout
            for option in re.findall(r"^  (?:-\w, )?--([a-z-]+)", help_text, re.MULTILINE):
                self.assertIn(r"\fB\-\-" + option.replace("-", r"\-") + r"\fP", page, f"{name}: --{option}")
        written = {path.name for path in (self.share / "man/man1").iterdir()}
        self.assertEqual(written, {f"{name}.1.gz" for name in names})

    def test_the_page_of_the_policy_file_has_each_heading_and_each_row_of_the_document(self):
        page = run("man", "--local-file", self.share / "man/man5/vne-policy.5.gz",
                   env={**os.environ, "MANWIDTH": "200", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""}).stdout
        words = " ".join(page.split())
        document = (PROJECT / "docs" / "POLICY.md").read_text()
        for heading in re.findall(r"^#{3,4} (.+)$", document, re.MULTILINE):
            self.assertIn(heading.replace("`", ""), words)
        for cell in re.findall(r"^\| `?([\w.-]+)`? \|", document, re.MULTILINE):
            self.assertIn(cell, words)

    def test_man_and_mandoc_have_nothing_to_say_of_the_pages(self):
        for path in sorted((self.share / "man").rglob("*.gz")):
            shown = run("man", "--warnings", "-Tutf8", "--local-file", path,
                        env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
            self.assertEqual(shown.stderr, "", path.name)
            self.assertNotIn(r"\f", shown.stdout, path.name)
            text = gzip.decompress(path.read_bytes()).decode()
            linted = run("mandoc", "-Tlint", "-Wwarning", input=text, check=False)
            self.assertEqual(linted.stdout, "", path.name)

    def test_bash_zsh_and_fish_complete_the_subcommands(self):
        bash = self.share / "bash-completion/completions/vne-agent"
        said = run("bash", "--norc", "-c", f"""source {bash}; complete -p vne-agent
            COMP_WORDS=(vne-agent unl); COMP_CWORD=1; COMP_LINE='vne-agent unl'; COMP_POINT=13
            _vne-agent vne-agent unl vne-agent; echo "${{COMPREPLY[@]}}" """).stdout
        self.assertIn("-F _vne-agent vne-agent", said)
        self.assertIn("unload", said)
        functions = self.share / "zsh/vendor-completions"
        said = run("zsh", "-fc", f"fpath=({functions} $fpath); autoload -Uz compinit; compinit -D -u; "
                   "echo $_comps[vne-agent]; autoload +X _vne-agent && echo $functions[_vne-agent]").stdout
        self.assertTrue(said.startswith("_vne-agent\n"), said)
        fish = self.share / "fish/vendor_completions.d/vne-agent.fish"
        said = run("fish", "--no-config", "-c", f"source {fish}; complete -C 'vne-agent unl'").stdout
        self.assertTrue(said.startswith("unload\t"), said)

    def test_uninstall_removes_what_install_put_there(self):
        with tempfile.TemporaryDirectory() as root:
            make("install", f"DESTDIR={root}", "PREFIX=/usr/local")
            installed = {path.relative_to(root) for path in Path(root).rglob("*") if path.is_file()}
            self.assertIn(Path("usr/local/share/man/man1/vne-agent.1.gz"), installed)
            self.assertIn("/usr/local/bin/vne-agent run",
                          (Path(root) / "usr/local/lib/systemd/system/vne-agent.service").read_text())
            make("uninstall", f"DESTDIR={root}", "PREFIX=/usr/local")
            self.assertEqual([str(path) for path in Path(root).rglob("*") if path.is_file()], [])


class Life(unittest.TestCase):
    """Installed, upgraded, removed: by the real dpkg, under the real systemd."""

    def setUp(self):
        self.machine = Machine("package")
        self.machine.__enter__()
        self.addCleanup(self.machine.__exit__)
        self.machine.run("dpkg", "--purge", "vne")

    def install(self, path):
        return self.machine.run("dpkg", "--install", self.machine.carry(path))

    def older_package(self):
        """The package as an older version made it, with a document that is gone since."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return another_package(directory.name, "0.0.1-1",
                               lambda root: (root / "usr/share/doc/vne/OLD.md").write_text("old\n"))

    def state(self, unit="vne-agent"):
        return self.machine.run("systemctl", "is-active", unit, check=False).stdout.strip()

    def property(self, name, unit="vne-agent"):
        return self.machine.run("systemctl", "show", "--value", "--property", name, unit).stdout.strip()

    def start_services(self):
        for name in ("web", "bank", "caller"):
            self.machine.write(f"/etc/systemd/system/{name}.service", CALLER if name == "caller" else SERVER)
            self.machine.run("mkdir", "-p", f"/etc/systemd/system/{name}.service.d")
            self.machine.run("ln", "-s", "/usr/share/vne/join.conf", f"/etc/systemd/system/{name}.service.d/vne.conf")
        self.machine.write("/root/caller.py", CALLS)
        self.machine.write("/etc/vne/policy.yaml", POLICY)
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "start", "web", "bank", "caller")
        self.wait_for_calls(lambda calls: sum(outcome.startswith("HTTP/") for _, _, outcome in calls) > 5)

    def calls(self):
        lines = self.machine.read("/root/calls").splitlines()
        return [(float(when), address, outcome) for when, address, outcome in (line.split(" ", 2) for line in lines)]

    def wait_for_calls(self, satisfied):
        deadline = time.monotonic() + 20
        while not satisfied(self.calls()):
            self.assertLess(time.monotonic(), deadline, self.calls()[-10:])
            time.sleep(0.1)

    def denials(self):
        status = json.loads(self.machine.run("vne-agent", "status", "--json").stdout)
        [caller] = [each for each in status["applications"] if each["name"] == "caller"]
        return sum(count["count"] for count in caller["counters"]["counts"] if count["reason"] == "other-environment")

    def files(self):
        """Every file of the machine but what dpkg, man-db and the journal keep for themselves."""
        listed = self.machine.run("find", "/", "-xdev", "-not", "-path", "/var/cache/*", "-not", "-path", "/var/log/*",
                                  "-not", "-path", "/var/lib/dpkg/*").stdout
        return set(listed.splitlines())

    def test_without_a_policy_it_is_enabled_and_nothing_is_started(self):
        self.install(package())
        self.assertEqual(self.machine.run("systemctl", "is-enabled", "vne-agent").stdout.strip(), "enabled")
        self.assertEqual(self.state(), "inactive")
        self.assertEqual(self.property("ConditionResult"), "no")
        self.assertEqual(self.machine.run("vne-agent", "--version").stdout, run(AGENT, "--version").stdout)
        self.machine.run("vne-agent", "check", "/usr/share/doc/vne/examples/example-policy.yaml")
        self.assertIn("/usr/share/man/man5/vne-policy.5.gz", self.machine.run("man", "--where", "vne-policy").stdout)
        self.assertEqual(self.machine.run("dpkg", "--verify", "vne").stdout, "")
        self.assertEqual(self.machine.run("systemd-analyze", "verify", "vne-agent.service").stderr, "")

    def test_the_drop_in_for_metrics_opens_the_unit_as_far_as_they_need(self):
        self.install(package())
        self.machine.write("/etc/vne/policy.yaml", POLICY)
        self.machine.run("mkdir", "-p", "/etc/systemd/system/vne-agent.service.d")
        self.machine.run("ln", "-s", "/usr/share/vne/metrics.conf", "/etc/systemd/system/vne-agent.service.d/")
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "restart", "vne-agent")
        self.assertEqual(self.state(), "active")
        served = self.machine.run("curl", "-sSf", "http://127.0.0.1:9417/metrics").stdout
        self.assertEqual(served, self.machine.run("vne-agent", "metrics").stdout)
        self.assertEqual(self.machine.run("systemd-analyze", "verify", "vne-agent.service").stderr, "")

    def test_a_service_that_joined_is_inside_from_its_first_instruction_at_each_start(self):
        self.install(package())
        self.start_services()
        self.assertEqual(self.state(), "active")
        for _ in range(20):
            begun = len(self.calls())
            self.machine.run("systemctl", "restart", "caller")
            self.wait_for_calls(lambda calls: len(calls) > begun + 4)
        outcomes = {address: {each[2] for each in self.calls() if each[1] == address}
                    for address in ("10.10.2.1", "10.10.3.1")}
        self.assertEqual(outcomes["10.10.3.1"], {"PermissionError"})
        # Until its server listens, it is refused as by any host.
        self.assertEqual(outcomes["10.10.2.1"] - {"ConnectionRefusedError"}, {"HTTP/1.0 200 OK"})

    def test_what_a_unit_prepares_waits_for_its_cgroup_as_its_program_does(self):
        self.install(package())
        self.start_services()
        self.machine.run("systemctl", "stop", "caller")
        begun = len(self.calls())
        self.machine.run("systemctl", "kill", "--signal", "STOP", "vne-agent")
        self.machine.run("systemctl", "start", "--no-block", "caller")
        time.sleep(1)
        self.assertEqual(len(self.calls()), begun)
        self.machine.run("systemctl", "kill", "--signal", "CONT", "vne-agent")
        self.wait_for_calls(lambda calls: len(calls) > begun + 4)
        self.assertEqual({each[2] for each in self.calls()[begun:]}, {"PermissionError", "HTTP/1.0 200 OK"})

    def test_an_upgrade_leaves_no_gap_and_starts_the_daemon_anew(self):
        self.install(self.older_package())
        self.start_services()
        self.machine.write("/etc/vne/README", "changed\n")
        daemon, denied = self.property("MainPID"), self.denials()
        begun = len(self.calls())
        for _ in range(3):
            self.install(package())
        self.wait_for_calls(lambda calls: len(calls) > begun + 50)
        during = self.calls()[begun:]
        self.assertEqual({outcome for _, address, outcome in during if address == "10.10.3.1"}, {"PermissionError"})
        self.assertEqual({outcome for _, address, outcome in during if address == "10.10.2.1"}, {"HTTP/1.0 200 OK"})
        self.assertGreater(self.denials(), denied)
        self.assertEqual(self.state(), "active")
        self.assertNotEqual(self.property("MainPID"), daemon)
        self.assertEqual(self.machine.read("/etc/vne/README"), "changed\n")
        self.assertEqual(self.machine.read("/etc/vne/policy.yaml"), POLICY)
        self.assertNotIn("OLD.md", self.machine.run("ls", "/usr/share/doc/vne").stdout)

    def test_many_upgrades_in_a_row_are_no_crash(self):
        self.install(package())
        self.machine.write("/etc/vne/policy.yaml", POLICY)
        for _ in range(12):
            self.machine.run("/var/lib/dpkg/info/vne.postinst", "configure", "0.0.1-1")
            self.assertEqual(self.state(), "active")

    def test_an_upgrade_starts_no_service_that_was_disabled(self):
        self.install(self.older_package())
        self.machine.write("/etc/vne/policy.yaml", POLICY)
        self.machine.run("systemctl", "disable", "vne-agent")
        self.install(package())
        self.assertEqual(self.state(), "inactive")
        self.assertEqual(self.machine.run("systemctl", "is-enabled", "vne-agent", check=False).stdout.strip(), "disabled")

    def test_an_upgrade_without_the_policy_file_goes_on_with_the_policy_from_before(self):
        self.install(self.older_package())
        self.start_services()
        self.machine.run("rm", "/etc/vne/policy.yaml")
        self.install(package())
        self.assertEqual(self.state(), "active")
        begun = len(self.calls())
        self.wait_for_calls(lambda calls: len(calls) > begun + 10)
        self.assertEqual({each[2] for each in self.calls()[begun:]}, {"PermissionError", "HTTP/1.0 200 OK"})

    def test_remove_takes_everything_out_of_the_kernel_and_purge_every_file(self):
        before = self.files()
        self.install(package())
        self.machine.write("/etc/vne/policy.yaml", POLICY)
        self.machine.run("systemctl", "start", "vne-agent")
        self.machine.run("mkdir", "/sys/fs/cgroup/other")
        self.machine.run("vne-agent", "attach", "other", "shop", "--address", "10.10.2.9")
        self.assertIn("10.10.2.9", self.machine.run("ip", "-brief", "address").stdout)
        self.assertIn("vne_connect4", self.machine.run("bpftool", "cgroup", "show", "/sys/fs/cgroup/other").stdout)
        self.machine.run("dpkg", "--remove", "vne")
        self.assertEqual(self.state(), "inactive")
        self.assertEqual(self.machine.run("bpftool", "cgroup", "show", "/sys/fs/cgroup/other").stdout.strip(), "")
        self.assertNotRegex(self.machine.run("ip", "-brief", "address").stdout, "vne0|10.10.2.9|fd56:4e45")
        self.assertEqual(self.machine.run("find", "/sys/fs/bpf", "-name", "*vne*").stdout, "")
        self.assertEqual(self.machine.run("find", "/run", "-name", "vne*").stdout, "")
        self.assertEqual(self.machine.read("/etc/vne/policy.yaml"), POLICY)
        self.machine.run("dpkg", "--purge", "vne")
        self.assertEqual(self.files() - before, set())

    def test_remove_takes_out_every_instance_or_keeps_the_package(self):
        self.install(package())
        self.machine.write("/root/other.yaml", POLICY)
        self.machine.run("vne-agent", "apply", "--instance", "third", "/root/other.yaml")
        self.machine.run("systemd-run", "--unit=other", "--property=Type=notify", "vne-agent", "run", "--instance",
                         "other", "/root/other.yaml")
        kept = self.machine.run("dpkg", "--remove", "vne", check=False)
        self.assertNotEqual(kept.returncode, 0)
        self.assertIn("the daemon of the instance other runs", kept.stderr)
        self.machine.run("vne-agent", "status", "--instance", "other")
        self.machine.run("systemctl", "stop", "other")
        self.machine.run("dpkg", "--remove", "vne")
        self.assertEqual(self.machine.run("find", "/sys/fs/bpf", "-name", "instance").stdout, "")


if __name__ == "__main__":
    unittest.main()
