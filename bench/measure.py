"""How things are measured: two of them timed in turn, slice by slice, and what a row of the table says of it."""

import math
import os
import random
import statistics
import subprocess
from pathlib import Path

from world import run

PROJECT = Path(__file__).resolve().parents[1]
SLICE_MILLISECONDS = 15
WORK = {"connect": "TCP connect/accept/close", "rr": "TCP request/response", "udp": "UDP, connected",
        "sendto": "UDP, not connected"}


def interval(values):
    """Median and the bounds of its 95 % interval."""
    ordered = sorted(values)
    count = len(ordered)
    reach = 0.98 * math.sqrt(count)
    low, high = max(0, int(count / 2 - reach)), min(count - 1, int(math.ceil(count / 2 + reach)))
    return statistics.median(ordered), ordered[low], ordered[high]


def report(name, values, limit, results, about=""):
    middle, low, high = interval(values)
    results.append({"name": name, "ratio": middle, "low": low, "high": high, "limit": limit, "rounds": len(values)})
    verdict = "" if limit is None else f"  limit {limit:<5} {'met' if middle <= limit else 'NOT MET'}"
    print(f"  {name:48} {middle:7.3f}  [{low:.3f}, {high:.3f}]{verdict}  {about}", flush=True)


def figure(name, value, unit, limit, results, about=""):
    """A row that is no ratio."""
    results.append({"name": name, "value": value, "unit": unit, "limit": limit})
    verdict = "met" if value <= limit else "NOT MET"
    print(f"  {name:48} {value:7.3f} {unit}  limit {limit:<5} {verdict}  {about}", flush=True)


def is_precise(ratios, number, precision):
    """Whether more rounds would show nothing new."""
    if number < 100 or number % 20:
        return False
    return all((high - low) / 2 <= precision for _, low, high in map(interval, ratios.values()))


def paired(slices, rows, rounds, precision):
    """Ratios by name. In each round every slice is taken once, in random order, and a row is made of what they took."""
    ratios = {name: [] for name in rows}
    taken = {name: [] for name in slices}
    for number in range(rounds):
        for name in random.sample(list(slices), len(slices)):
            taken[name].append(slices[name]())
        values = {name: times[-1] for name, times in taken.items()}
        for name, ratio in rows.items():
            ratios[name].append(ratio(values))
        if is_precise(ratios, number, precision):
            break
    return ratios, taken


class Load:
    """The program that works between two cgroups of a host, in its namespace."""

    def __init__(self, host, addresses):
        program = host.directory / "load"
        run("clang", "-O2", "-Wall", "-Wextra", "-o", program, PROJECT / "bench" / "load.c")
        cpu = max(os.sched_getaffinity(0))
        self.process = host.start(None, program, host.make("server"), host.make("client"), cpu, *addresses,
                                  stdin=subprocess.PIPE, stderr=None, bufsize=1)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError("the load did not start")

    def slice(self, work, address):
        """Nanoseconds per operation."""
        self.process.stdin.write(f"{work} {address} {SLICE_MILLISECONDS}\n")
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()
