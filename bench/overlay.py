"""What applications miss when a part of a network fails, and what the network takes of their throughput.

`make bench-overlay` runs one network with three managers and two hosts. In each round every fault is made once, in
random order, on the way that carries a long connection at that moment, and undone. A trial in which this machine itself
stood still is repeated.
"""

import argparse
import collections
import contextlib
import json
import os
import platform
import random
import statistics
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT / "Tests" / "EndToEnd"), str(PROJECT / "bench")]

import throughput  # noqa: E402
from faults import FAULTS, HOLD, LOOPS, STALL, Network  # noqa: E402
from world import run, sweep  # noqa: E402

# Seconds without an answer. Datagrams show what of it is the network's own; large ones come too seldom for a median.
GOALS = {"median": (0.35, ("stream", "requests")), "longest": (1.0, LOOPS)}
# How often a trial is repeated at most where the machine does not come to rest; then it counts, against the network.
REPEATS = 3


class Trials:
    """What was seen, by fault."""

    def __init__(self, names):
        self.counted = {name: [] for name in names}
        self.repeated = collections.Counter()
        self.failures = collections.defaultdict(list)

    def take(self, network, fault):
        """One trial that counts."""
        for attempt in range(REPEATS + 1):
            seen = network.trial(fault)
            print(line(seen), flush=True)
            if seen["stalled"] <= STALL:
                break
            self.repeated[fault] += attempt < REPEATS
        self.counted[fault].append(seen)

    def run(self, count, seed):
        chance = random.Random(seed)
        due = [fault for _ in range(count) for fault in chance.sample(list(self.counted), len(self.counted))]
        while due:
            with Network() as network:
                # One that does not become whole again is a failure of its own, and the next trial needs a new one.
                with contextlib.suppress(IndexError):
                    while not self.fails(network, due.pop(0)):
                        pass

    def fails(self, network, fault):
        try:
            self.take(network, fault)
        except AssertionError as problem:
            self.failures[fault].append(str(problem))
            print(f"  {fault}: {problem}", flush=True)
            return True
        return False


def milliseconds(seconds):
    return "never" if seconds is None else f"{seconds * 1000:.0f}"


def line(seen):
    gaps = ", ".join(f"{name} {milliseconds(seen['during'][name])}" for name in LOOPS)
    back = ", ".join(milliseconds(seen["return"][name]) for name in LOOPS)
    return (f"  {seen['fault']:17} at {seen['there']:6} back by {seen['back']:6} {gaps}; "
            f"noticed {milliseconds(seen['noticed'])}; undone {back}; whole after {seen['whole']:.1f} s; "
            f"broken {seen['broken']}, delivered {seen['delivered']}, stalled {milliseconds(seen['stalled'])}")


def summary(fault, trials):
    """What the table says of a fault."""
    counted = trials.counted[fault]
    row = {"fault": fault, "trials": len(counted), "repeated": trials.repeated[fault],
           "never whole again": len(trials.failures[fault])}
    if not counted:
        return row
    for window in ("during", "return"):
        for name in LOOPS:
            gaps = [seen[window][name] for seen in counted]
            row[f"{window} {name}"] = {"median": statistics.median(gaps), "longest": max(gaps)}
    noticed = [seen["noticed"] for seen in counted]
    row["noticed"] = None if None in noticed else statistics.median(noticed)
    row["whole"] = statistics.median(seen["whole"] for seen in counted)
    for name in ("broken", "delivered"):
        row[name] = sum(seen[name] for seen in counted)
    return row


def missed(row):
    """The goals that a fault misses, in words."""
    found = [name for name in ("broken", "delivered", "never whole again") if row.get(name)]
    if not row["trials"]:
        return [*found, "no trial"]
    for measure, (limit, judged) in GOALS.items():
        found += [f"{name} {measure}" for name in judged if row[f"during {name}"][measure] > limit]
    limit, judged = GOALS["longest"]
    return found + [f"{name} when undone" for name in judged if row[f"return {name}"]["longest"] > limit]


def show(rows):
    """A table in milliseconds; a pair is the median and the longest."""
    undone = [f"{name} undone" for name in LOOPS]
    lines = [["fault", "trials", "repeated", *LOOPS, "noticed", *undone, "whole", "broken", "delivered"]]
    for row in rows:
        if row["trials"]:
            gaps = {window: ["{} {}".format(*map(milliseconds, row[f"{window} {name}"].values())) for name in LOOPS]
                    for window in ("during", "return")}
            lines.append([row["fault"], row["trials"], row["repeated"], *gaps["during"], milliseconds(row["noticed"]),
                          *gaps["return"], milliseconds(row["whole"]), row["broken"], row["delivered"]])
    widths = [max(len(str(cell)) for cell in column) for column in zip(*lines)]
    print("\nLongest time without an answer in ms, median and longest of the trials, while the fault lasts "
          f"({HOLD} s)\nand when it is undone; until both hosts took other ways, and until all was whole again:\n")
    for cells in lines:
        print("  " + "  ".join(str(cell).rjust(width) for cell, width in zip(cells, widths)))


def judge(rows):
    """Says which goals are met; whether all are."""
    limits = "; ".join(f"{measure} of {', '.join(judged)} at most {milliseconds(limit)} ms"
                       for measure, (limit, judged) in GOALS.items())
    print(f"\nGoals: {limits}; nothing broken, nothing delivered to another environment")
    for row in rows:
        found = missed(row)
        print(f"  {row['fault']:17} {'NOT MET: ' + ', '.join(found) if found else 'met'}")
    return not any(map(missed, rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20, help="of each fault, and rounds of throughput at least (default: 20)")
    parser.add_argument("--only", choices=[*FAULTS, "faults", "throughput"], help="one fault, all, or throughput")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="for the order of the faults")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    sweep()
    commit = run("git", "-C", PROJECT, "describe", "--always", "--dirty", check=False).stdout.strip()
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, commit {commit or 'unknown'}, seed {options.seed}")
    print(f"{throughput.versions()}\n")
    names = {None: list(FAULTS), "faults": list(FAULTS), "throughput": []}.get(options.only, [options.only])
    rows, trials, rates, met = [], Trials(names), [], True
    if names:
        trials.run(options.trials, options.seed)
        rows = [summary(fault, trials) for fault in names]
        show(rows)
        met = judge(rows)
    if options.only in (None, "throughput"):
        rates = throughput.measure(options.trials)
        met = all(rate["met"] for rate in rates) and met
    if options.json:
        found = {"kernel": platform.release(), "engines": throughput.versions(), "commit": commit, "seed": options.seed,
                 "rows": rows, "trials": trials.counted, "throughput": rates}
        options.json.write_text(json.dumps(found, indent=1))
    sys.exit(not met)


if __name__ == "__main__":
    main()
