"""CPython's own network tests, run in a place (a namespace and a cgroup) by a child with a watchdog.

The tests are Debian's `libpython3.N-testsuite`, run by Debian's `/usr/bin/python3`. A test that takes longer than
`PATIENCE` is killed with its whole child and has the outcome `hang`; a child that dies has ended in `crash`. In both cases
another child goes on behind it.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

PYTHON = "/usr/bin/python3"
CHILD = Path(__file__).with_name("suite_child.py")
PATIENCE = 30


def _modules():
    """`test_socket`, `test_socketserver`, and each module of `test_asyncio`."""
    listed = subprocess.run([PYTHON, "-c", "import test.test_asyncio as t; print(t.__path__[0])"], text=True,
                            capture_output=True, check=True).stdout.strip()
    return ["test.test_socket", "test.test_socketserver",
            *sorted(f"test.test_asyncio.{file.stem}" for file in Path(listed).glob("test_*.py"))]


MODULES = _modules() if Path(PYTHON).exists() else []


def importable(names):
    """Those outcomes that are a test's, and no set-up's of a class or module."""
    return {name for name in names if name.count(".") > 2 and "(" not in name}


class SuiteRun:
    """One run of test modules, or of single tests, in one place. `start`, then `poll` until it says True.

    Each name has a child of its own: a module's tests see no memory, threads or sockets of another's.
    """

    def __init__(self, host, application, label, names, left_out=()):
        self.host, self.application, self.left_out = host, application, " ".join(left_out)
        self.names = list(names)
        self.home = host.directory / label
        self.home.mkdir(parents=True)
        self.file = self.home / "outcomes.jsonl"
        self.log = open(self.home / "log.txt", "w")
        self.child = None

    def start(self):
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
                       "TMPDIR": str(self.home), "HOME": str(self.home), "PYTHONDONTWRITEBYTECODE": "1"}
        self.child = self.host.start(self.application, PYTHON, "-W", "ignore", CHILD, self.file, self.left_out,
                                     self.names[0], cwd=self.home, env=environment, stdin=subprocess.DEVNULL,
                                     stdout=self.log, stderr=self.log, start_new_session=True)

    def lines(self):
        """What the child has written, but for the line that it is writing, or was when it died."""
        found = []
        for line in self.file.read_text().splitlines() if self.file.exists() else []:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def unfinished(self):
        """The test that has started and has no outcome."""
        last = (self.lines() or [{}])[-1]
        return last.get("starts")

    def poll(self):
        """Looks after the child; True when all tests have an outcome."""
        ended = self.child.poll()
        test = self.unfinished()
        if ended is None:
            if test is not None and time.time() - self.file.stat().st_mtime > PATIENCE:
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait()
                self.go_on(test, "hang", f"no end within {PATIENCE} s")
            return False
        if ended == 0 and test is None:
            self.names.pop(0)
            if not self.names:
                return True
            self.start()
            return False
        if test is None:
            raise AssertionError(f"{self.home}: the child ended with {ended}\n{(self.home / 'log.txt').read_text()[-4000:]}")
        self.go_on(test, "crash", f"the child ended with {ended}")
        return False

    def go_on(self, test, outcome, detail):
        with open(self.file, "a") as stream:
            # Behind what the child did not come to write to its end.
            stream.write("\n" + json.dumps({"id": test, "outcome": outcome, "detail": detail, "seconds": PATIENCE}) + "\n")
        self.start()

    def outcomes(self):
        """(outcome, detail) by test."""
        return {line["id"]: (line["outcome"], line["detail"]) for line in self.lines() if "id" in line}

    def seconds(self):
        return {line["id"]: line["seconds"] for line in self.lines() if "id" in line}


def finish(runs, limit):
    """Waits for runs that were started."""
    deadline = time.monotonic() + limit
    waiting = list(runs)
    while waiting:
        waiting = [run for run in waiting if not run.poll()]
        if time.monotonic() > deadline:
            raise AssertionError(f"not ended within {limit} s: {[run.unfinished() for run in waiting]}")
        time.sleep(0.1)
