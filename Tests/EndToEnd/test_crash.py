"""kill -9 at every system call of a command, while denied calls are tried in a loop."""

import collections
import itertools
import json
import re
import signal
import subprocess
import unittest

from world import HOOKS, Host, PYTHON, PYTHON_PRELUDE, SLOWNESS, TCP_WHO, programs_on, run

POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
  payments: {addresses: 10.10.3.0/24}
"""

# What a denied call can end in: an errno, or no answer where only the packet hook is there yet.
REFUSED = ("EPERM", "timeout")

# Tries the other environment over TCP and UDP until it is told to stop, and says how often it got through. It has the
# processor for as long as nobody else wants it.
LOOP = """
import select
os.nice(19)
through = tries = 0
ready()
while not select.select([sys.stdin], [], [], 0)[0]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        tries += 1
        try:
            with socket.socket(socket.AF_INET, kind) as client:
                client.settimeout(0.2)
                client.connect((sys.argv[1], 80))
                client.send(b"x")
                through += 1
        except OSError:
            pass
answer([through, tries])
"""


# Tries the other environment over TCP whenever it is asked, and says what came of it. What is let through is so within
# a millisecond, and nothing is sent again before a second has passed.
TRY = """
def body():
    with socket.socket() as client:
        client.settimeout(float(sys.argv[2]))
        client.connect((sys.argv[1], 80))
    return "connected"
ready()
for _ in sys.stdin:
    answer(attempt(body))
"""


class Crash(unittest.TestCase):
    def setUp(self):
        self.host = Host("crash", policy=POLICY)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        self.host.attach("bank", "payments", "10.10.3.1")
        self.host.serve("bank", TCP_WHO, "0.0.0.0", "80")
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.make("subject")

    def enter(self):
        return self.host._enter(None, None)

    def strace(self, *options):
        return ["strace", "-f", "-qq", *options]

    def trying(self, name):
        """Starts a process in an application; a function that says what comes of its trying the other environment."""
        child = self.host.start(name, *PYTHON, "-u", "-c", PYTHON_PRELUDE + TRY, "10.10.3.1", 0.2 * SLOWNESS,
                                stdin=subprocess.PIPE, bufsize=1)
        self.assertEqual(child.stdout.readline(), "ready\n")

        def tried():
            child.stdin.write("\n")
            return json.loads(child.stdout.readline())
        return tried

    def system_calls(self, command):
        """How often a command makes each system call, by its name."""
        trace = self.host.directory / "trace"
        run(*self.strace("-o", trace), *command, preexec_fn=self.enter())
        found = re.findall(r"^\d+\s+(\w+)\(", trace.read_text(), re.MULTILINE)
        # The last one ends the process by itself, and execve is not the command's yet.
        return collections.Counter(name for name in found if name not in ("exit_group", "exit", "execve"))

    def killed_at_every_call(self, prepare, command, check):
        """Runs `command` once for each of its system calls, and kills it there.

        How often it makes a call is its own affair each time (a lock that is waited for, an answer in two parts), so that
        the numbers of a call go on until the command has come to its end without it.
        """
        prepare()
        calls = self.system_calls(command)
        killed = collections.Counter()
        for name in calls:
            for number in itertools.count(1):
                prepare()
                result = subprocess.run(
                    [*self.strace("-o", "/dev/null", "-e", f"inject={name}:signal=KILL:when={number}"), *command],
                    text=True, capture_output=True, preexec_fn=self.enter())
                if result.returncode == 0:
                    break
                self.assertEqual(result.returncode, -signal.SIGKILL, f"{name}, number {number}: {result.stderr}")
                killed[name] += 1
                check(f"killed at {name}, number {number} of {calls[name]}")
        # Whatever changes the host or the kernel's tables was met.
        for name in {"bpf", "mkdir", "rename", "linkat", "unlinkat", "sendto"} & set(calls):
            self.assertGreater(killed[name], 0, name)
        self.assertGreater(killed.total(), 50)
        print(f"{self.id().split('.')[-1]}: killed {killed.total()} times at {calls.total()} system calls", flush=True)
        prepare()
        run(*command, preexec_fn=self.enter())

    def loops(self):
        return [self.host.start("web", *PYTHON, "-u", "-c", PYTHON_PRELUDE + LOOP, "10.10.3.1",
                                stdin=subprocess.PIPE)]

    def finish(self, loops):
        for loop in loops:
            out, _ = loop.communicate("stop\n", timeout=30)
            through, tries = json.loads(out.strip().splitlines()[-1])
            self.assertEqual(through, 0, f"{through} of {tries} denied calls got through")
            self.assertGreater(tries, 100)

    def hooks(self, name="subject"):
        return len(programs_on(self.host.cgroup / name))

    def test_attach(self):
        path = f"{self.host.cgroup.name}/subject"
        command = self.host.agent_command("attach", path, "shop", "--address", "10.10.2.5", "--name", "subject")
        loops, tried = self.loops(), self.trying("subject")

        def prepare():
            self.host.agent("detach", "subject", check=False)

        def check(when):
            # Half attached denies: with any hook there, nothing of the other environment is reached. The next command
            # that changes something repairs.
            if self.hooks():
                self.assertIn(tried(), REFUSED, when)

        self.killed_at_every_call(prepare, command, check)
        self.assertEqual(self.hooks(), HOOKS)
        self.finish(loops)

    def test_detach(self):
        path = f"{self.host.cgroup.name}/subject"
        command = self.host.agent_command("detach", "subject")
        loops, tried = self.loops(), self.trying("subject")

        def prepare():
            # Attaching again is the next command: it finishes what the killed one began.
            if self.host.applications().get("subject", {}).get("state") != "attached":
                self.host.agent("attach", path, "shop", "--address", "10.10.2.5", "--name", "subject")

        def check(when):
            # The hook for packets goes last, and everything is denied before the first one goes.
            if self.hooks():
                self.assertIn(tried(), REFUSED, when)

        self.killed_at_every_call(prepare, command, check)
        self.assertEqual(self.hooks(), 0)
        self.finish(loops)

    def test_apply(self):
        """An apply that publishes, revokes, attaches one application and detaches another."""
        for name in ("new", "old"):
            self.host.make(name)
        first, second = self.host.directory / "first.yaml", self.host.directory / "second.yaml"
        first.write_text(POLICY + f"""
  third: {{addresses: 10.10.4.0/24, permits: [{{to: shop}}]}}
applications:
  old: {{environment: shop, address: 10.10.2.7, cgroup: {self.host.cgroup.name}/old}}
""")
        second.write_text(POLICY + f"""
  third: {{addresses: 10.10.4.0/24}}
  fourth: {{addresses: 10.10.5.0/24}}
applications:
  new: {{environment: shop, address: 10.10.2.8, cgroup: {self.host.cgroup.name}/new}}
""")
        command = self.host.agent_command("apply", second)
        loops, tried = self.loops(), {name: self.trying(name) for name in ("web", "old", "new")}

        def prepare():
            self.host.agent("apply", first)
            self.assertEqual(self.hooks("old"), HOOKS)
            self.assertEqual(self.hooks("new"), 0)

        def check(when):
            self.assertEqual(tried["web"](), "EPERM", when)
            for name in ("old", "new"):
                # Whole or half attached, neither reaches the other environment.
                if self.hooks(name):
                    self.assertIn(tried[name](), REFUSED, f"{name}: {when}")

        self.killed_at_every_call(prepare, command, check)
        self.assertEqual((self.hooks("old"), self.hooks("new")), (0, HOOKS))
        self.finish(loops)


if __name__ == "__main__":
    unittest.main()
