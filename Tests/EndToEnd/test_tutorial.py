"""docs/TUTORIAL.md and docs/OPERATIONS.md, command by command on a machine with systemd: what they show is what comes."""

import re
import unittest
from dataclasses import dataclass

from machine import Machine
from test_package import package
from world import PROJECT, run

TUTORIAL = PROJECT / "docs" / "TUTORIAL.md"
OPERATIONS = PROJECT / "docs" / "OPERATIONS.md"

# What differs from one run to the next: the clock, ids, how long a call took, how many there were. And what differs from
# one build or kernel to the next: the sizes and the tags of programs.
VARYING = [
    (r"\b\d+\.\d{6} ", "TIME "),
    (r"\(curl, \d+\)", "(curl, PID)"),
    (r"after \d+ ms", "after N ms"),
    (r"\b\d+ denials?\b", "N denials"),
    (r"^\d+ +yes +\d+ +\d+ +[0-9a-f]+$", "INSTANCE"),
    (r"^\d+: ", "ID: "),
    (r'"key": \d+', '"key": ID'),
    (r"^\d{3,} +", "ID "),
    (r"\b\d{3,}  (?=system.slice)", "ID  "),
    (r"(?<=  )\d{4,}(?=  )", "ID"),
    (r"\b(map|id|map_ids|btf_id|tag|loaded_at) [-+:,\dT\da-f]+", r"\1 ID"),
    (r"\b(xlated|jited|memlock|value) \d+B", r"\1 SIZE"),
    (r" +$", ""),
]


# What the operator's guide is tried on.
POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
applications:
  nginx: {environment: shop, address: 10.10.2.1, cgroup: system.slice/nginx.service}
"""


@dataclass
class Step:
    """A block of commands, and what the document shows of their output; None if nothing."""

    line: int
    commands: str
    shown: str | None = None


def steps(document):
    found, block, begin, language = [], None, 0, ""
    for number, line in enumerate(document.splitlines(), 1):
        fence = re.match(r"```(\w*)$", line)
        if fence and block is None:
            block, begin, language = [], number + 1, fence[1]
        elif fence:
            text = "\n".join(block) + "\n"
            if language == "sh":
                found.append(Step(begin, text))
            elif language == "text":
                found[-1].shown = text
            else:
                raise AssertionError(f"line {number}: a block of no known kind: {language}")
            block = None
        elif block is not None:
            block.append(line)
    return found


def normalised(text):
    for varying, word in VARYING:
        text = re.sub(varying, word, text, flags=re.MULTILINE)
    # Columns are as wide as what varies in them.
    return re.sub("  +", "  ", text)


class Documents(unittest.TestCase):
    maxDiff = None

    def follow(self, machine, document):
        """Runs a document's commands in their order, in one directory."""
        for step in steps(document.read_text()):
            done = machine.run("bash", "-eu", "-c", f"cd /root/here; exec 2>&1\n{step.commands}", check=False)
            place = f"{document.name}:{step.line}:\n{step.commands}\n{done.stdout}"
            self.assertEqual(done.returncode, 0, place)
            if step.shown is not None:
                self.assertEqual(normalised(done.stdout), normalised(step.shown), place)

    def machine(self, name, document):
        """A machine without the package, which lies ready, as do newer versions of what the document installs: the
        machine reaches no mirror."""
        for packages in re.findall(r"^apt-get install --yes ([-+.a-z0-9 ]+)$", document.read_text(), re.MULTILINE):
            run("apt-get", "install", "--yes", "--download-only", *packages.split())
        machine = Machine(name)
        machine.__enter__()
        self.addCleanup(machine.__exit__)
        machine.run("dpkg", "--purge", "vne")
        machine.run("mkdir", "/root/here")
        machine.run("mv", machine.carry(package()), "/root/here/")
        return machine

    def test_every_command_of_the_tutorial_does_what_it_shows(self):
        machine = self.machine("tutorial", TUTORIAL)
        self.follow(machine, TUTORIAL)
        left = machine.run("bash", "-c", "ls -d /etc/vne /sys/fs/bpf/vne; ip -brief link show dev vne0", check=False)
        self.assertEqual(left.stdout, "")

    def test_every_command_of_the_operators_guide_does_what_it_shows(self):
        machine = self.machine("operations", OPERATIONS)
        machine.run("sh", "-c", "dpkg --install /root/here/vne_*.deb")
        machine.write("/etc/vne/policy.yaml", POLICY)
        machine.run("mkdir", "-p", "/etc/systemd/system/nginx.service.d")
        machine.run("ln", "-s", "/usr/share/vne/join.conf", "/etc/systemd/system/nginx.service.d/vne.conf")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "vne-agent", "nginx")
        self.follow(machine, OPERATIONS)


if __name__ == "__main__":
    unittest.main()
