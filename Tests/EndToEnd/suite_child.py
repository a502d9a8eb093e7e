"""Runs test modules of the Python that interprets this file, and writes each outcome to a file as it comes.

    python3 suite_child.py OUTCOMES 'LEFT-OUT ...' NAME...

A line of OUTCOMES is one JSON object: {"starts": id}, then {"id", "outcome", "detail", "seconds"}. A test that has a
line of its own already is left out, so a run that was killed in a test goes on behind it when it is started again.
Names of single tests are taken as well as names of modules. `suites.py` starts this file and reads what it writes.
"""

import json
import os
import sys
import time
import unittest

from test import support


class Record(unittest.TestResult):
    """A result that writes as it goes. The worst outcome of a test and its subtests is the test's."""

    WORST = ("pass", "skip", "expected failure", "unexpected success", "fail", "error")

    def __init__(self, stream):
        super().__init__()
        self.stream = stream
        self.current = None

    def write(self, **line):
        self.stream.write(json.dumps(line) + "\n")
        self.stream.flush()

    def startTest(self, test):
        super().startTest(test)
        self.current = test.id()
        self.outcome, self.detail, self.began = None, "", time.monotonic()
        self.write(starts=self.current)

    def stopTest(self, test):
        self.write(id=self.current, outcome=self.outcome or "pass", detail=self.detail,
                   seconds=round(time.monotonic() - self.began, 3))
        self.current = None
        super().stopTest(test)

    def note(self, test, outcome, detail):
        if self.current is None:
            # A class or module whose set-up failed or was skipped: none of its tests is started.
            self.write(id=test.id(), outcome=outcome, detail=detail, seconds=0)
        elif self.outcome is None or self.WORST.index(outcome) > self.WORST.index(self.outcome):
            self.outcome, self.detail = outcome, detail

    def addError(self, test, err):
        self.note(test, "error", said(err))

    def addFailure(self, test, err):
        self.note(test, "fail", said(err))

    def addSkip(self, test, reason):
        self.note(test, "skip", reason)

    def addExpectedFailure(self, test, err):
        self.note(test, "expected failure", said(err))

    def addUnexpectedSuccess(self, test):
        self.note(test, "unexpected success", "")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            failed = issubclass(err[0], test.failureException)
            self.note(test, "fail" if failed else "error", f"{subtest.id()}: {said(err)}")


def said(err):
    """The exception's type, what it says, and the test's own line that it came from."""
    kind, problem, trace = err
    line = ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if f"{os.sep}test{os.sep}" in file:
            line = f" ({os.path.basename(file)}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{kind.__name__}: {problem}"[:500] + line


def flat(suite):
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from flat(part)
        else:
            yield part


def main(outcomes, left_out, names):
    done = set(left_out)
    if os.path.exists(outcomes):
        with open(outcomes) as lines:
            done |= {entry["id"] for entry in map(json.loads, lines) if "id" in entry}
    # All resources but the internet's servers: the namespaces that this runs in have no way there.
    support.use_resources = ["cpu", "network", "subprocess", "walltime"]
    support.verbose = 0
    with open(outcomes, "a") as stream:
        record = Record(stream)
        try:
            loaded = unittest.defaultTestLoader.loadTestsFromNames(names)
        except unittest.SkipTest as reason:
            for name in names:
                record.write(id=name, outcome="skip", detail=str(reason), seconds=0)
            return
        unittest.TestSuite(test for test in flat(loaded) if test.id() not in done).run(record)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].split(), sys.argv[3:])
