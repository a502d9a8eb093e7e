"""Paired measurements: what `make bench` runs.

Every figure is a ratio of two things timed in turn, in random order, in the same round; the median over rounds, with a
confidence interval of 95 % by the binomial distribution of order statistics. Absolute times depend on the machine.
"""

import argparse
import json
import math
import os
import platform
import random
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT / "Tests" / "EndToEnd"), str(PROJECT / "bench")]

import kernel  # noqa: E402
from world import AGENT, BPFTOOL, Host, run, setns, sweep  # noqa: E402

SLICE_MILLISECONDS = 15
HOOKS = [name for name in kernel.ATTACH_TYPES if name != "vne_egress"]
PROFILES = {"default": HOOKS, "strict": [*HOOKS, "vne_egress"],
            "empty programs": [name.replace("vne", "empty") for name in HOOKS]}
POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
  payments: {addresses: 10.10.3.0/24}
"""


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
    print(f"  {name:40} {middle:7.3f}  [{low:.3f}, {high:.3f}]{verdict}  {about}", flush=True)


# ------------------------------------------------------------------ commands

def timed(command, namespace=None):
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True,
                   preexec_fn=(lambda: setns(namespace)) if namespace else None)
    return time.perf_counter() - start


def start_up(rounds, results):
    """`vne-agent --version` against `bpftool version`."""
    ratios = []
    for _ in range(rounds):
        ours, theirs = [str(AGENT), "--version"], [BPFTOOL, "version"]
        if random.random() < 0.5:
            ours_time = timed(ours)
            theirs_time = timed(theirs)
        else:
            theirs_time = timed(theirs)
            ours_time = timed(ours)
        ratios.append(ours_time / theirs_time)
    report("start: --version / bpftool version", ratios, 3.0, results)


def bare_links(path, programs):
    """Seconds that the links of all programs take on a cgroup that had none."""
    cgroup = os.open(path, os.O_RDONLY)
    start = time.perf_counter()
    links = [kernel.create_link(program, cgroup, kind) for program, kind in programs]
    elapsed = time.perf_counter() - start
    for link in links:
        os.close(link)
    os.close(cgroup)
    return elapsed


def bare_programs(path, programs):
    """Seconds that it takes to attach all programs without links, as the agent does."""
    cgroup = os.open(path, os.O_RDONLY)
    start = time.perf_counter()
    for program, kind in programs:
        kernel.attach(program, cgroup, kind)
    elapsed = time.perf_counter() - start
    for program, kind in programs:
        kernel.detach(program, cgroup, kind)
    os.close(cgroup)
    return elapsed


def attach(rounds, results):
    """One more application of an `apply`, against the bare links of the same programs, with 100 applications there."""
    base = POLICY + "applications:\n" + "\n".join(
        f"  there{number}: {{environment: shop, address: 10.10.2.{number + 1}, cgroup: CGROUP/there{number}}}"
        for number in range(100)) + "\n"
    batch = 200
    with Host("attach", policy=POLICY, remote=False) as host:
        base = base.replace("CGROUP", host.cgroup.name)
        for number in range(100):
            host.make(f"there{number}")
        host.apply(base)
        many = host.directory / "many.yaml"
        programs = [(kernel.open_pin(f"/sys/fs/bpf/{host.instance}/programs/{name}"), kernel.ATTACH_TYPES[name])
                    for name in HOOKS]
        ratios, unlinked = [], []
        for number in range(rounds):
            # Cgroups of this round's own: none has had a program.
            bare, direct = [], []
            for sample in range(5):
                bare.append(bare_links(host.make(f"bare{number}-{sample}"), programs))
                direct.append(bare_programs(host.make(f"direct{number}-{sample}"), programs))
            unlinked.append(statistics.median(direct) / statistics.median(bare))
            for new in range(batch):
                host.make(f"new{number}-{new}")
            many.write_text(base + "\n".join(
                f"  new{new}: {{environment: payments, address: 10.10.3.{new + 1}, "
                f"cgroup: {host.cgroup.name}/new{number}-{new}}}" for new in range(batch)) + "\n")
            attaching = timed(host.agent_command("apply", many), host.namespace)
            nothing = timed(host.agent_command("apply", many), host.namespace)
            ratios.append((attaching - nothing) / batch / statistics.median(bare))
            host.apply(base)
            for path in host.cgroup.glob("*-*"):
                os.rmdir(path)
        for program, _ in programs:
            os.close(program)
    report("attached without links / bare links", unlinked, None, results)
    report("attach one / bare bpf_link_create", ratios, 3.0, results, f"bare {statistics.median(bare) * 1e6:.0f} us")


# ------------------------------------------------------------------ traffic

class Traffic:
    """Two applications whose hooks are attached for a slice at a time, and the work between them."""

    def __init__(self, host):
        self.host = host
        host.attach("server", "shop", "10.10.2.1")
        host.attach("client", "shop", "10.10.2.2")
        pins = f"/sys/fs/bpf/{host.instance}"
        self.maps = {name: kernel.open_pin(f"{pins}/maps/{name}") for name in ("attachment", "owner")}
        self.programs = {name: kernel.open_pin(f"{pins}/programs/{name}") for name in kernel.ATTACH_TYPES}
        # The same hooks with programs that do nothing: what the kernel itself asks for them.
        empty = f"/sys/fs/bpf/{host.instance}x"
        run(BPFTOOL, "prog", "loadall", PROJECT / "bpf/.output/empty.bpf.o", empty)
        self.programs |= {f"empty_{name[4:]}": kernel.open_pin(f"{empty}/empty_{name[4:]}") for name in HOOKS}
        shutil.rmtree(empty)
        self.cgroups = [os.open(host.cgroup / name, os.O_RDONLY) for name in ("server", "client")]
        self.keys = [struct.pack("<Q", os.fstat(cgroup).st_ino) for cgroup in self.cgroups]
        self.attachments = [kernel.lookup(self.maps["attachment"], key) for key in self.keys]
        # As struct vne_address: the IPv4-mapped address as two words.
        addresses = [struct.pack("<QQ", 0, 0xffff << 32 | int.from_bytes(socket.inet_aton(a), "big"))
                     for a in ("10.10.2.1", "10.10.2.2")]
        owners = [kernel.lookup(self.maps["owner"], address) for address in addresses]
        # What the agent attached stays as it is, but for its hooks: the bench makes links and closes them itself.
        host.agent("detach", "server")
        host.agent("detach", "client")
        for address, owner in zip(addresses, owners):
            kernel.update(self.maps["owner"], address, owner)
        for address in ("10.10.2.1", "10.10.2.2"):
            run("ip", "-n", host.name, "address", "add", f"{address}/32", "dev", "lo")
        program = host.directory / "load"
        run("clang", "-O2", "-Wall", "-Wextra", "-o", program, PROJECT / "bench" / "load.c")
        cpu = max(os.sched_getaffinity(0))
        self.load = host.start(None, program, host.cgroup / "server", host.cgroup / "client", "10.10.2.1", cpu,
                               stdin=subprocess.PIPE, stderr=None, bufsize=1)
        if self.load.stdout.readline().strip() != "ready":
            raise RuntimeError("the load did not start")

    def slice(self, work, hooks):
        """Nanoseconds per operation with these hooks attached."""
        links = []
        for cgroup, key, attachment in zip(self.cgroups, self.keys, self.attachments):
            links += [kernel.create_link(self.programs[name], cgroup, kernel.ATTACH_TYPES[name.replace("empty", "vne")])
                      for name in hooks]
            if "vne_create" in hooks:
                kernel.update(self.maps["attachment"], key, attachment)
        try:
            self.load.stdin.write(f"{work} {SLICE_MILLISECONDS}\n")
            return float(self.load.stdout.readline())
        finally:
            for link in links:
                os.close(link)

    def close(self):
        self.load.stdin.close()
        self.load.wait()
        for descriptor in (*self.maps.values(), *self.programs.values(), *self.cgroups):
            os.close(descriptor)


def traffic(rounds, precision, results):
    """TCP between two application addresses, with and without the hooks."""
    limits = {("connect", "default"): 1.03, ("rr", "default"): 1.03}
    names = {"connect": "TCP connect/accept/close", "rr": "TCP request/response"}
    with Host("bench", policy=POLICY, remote=False) as host:
        work = Traffic(host)
        try:
            for kind, name in names.items():
                ratios = {profile: [] for profile in PROFILES}
                baseline = []
                for number in range(rounds):
                    order = [("none", []), *PROFILES.items()]
                    random.shuffle(order)
                    values = {profile: work.slice(kind, hooks) for profile, hooks in order}
                    baseline.append(values["none"])
                    for profile in PROFILES:
                        ratios[profile].append(values[profile] / values["none"])
                    if number >= 100 and number % 20 == 0:
                        if all((high - low) / 2 <= precision for _, low, high in map(interval, ratios.values())):
                            break
                for profile in PROFILES:
                    report(f"{name}, {profile}", ratios[profile], limits.get((kind, profile)), results,
                           f"no policy {statistics.median(baseline) / 1000:.1f} us")
        finally:
            work.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1500, help="most rounds a measurement takes (default: 1500)")
    parser.add_argument("--precision", type=float, default=0.003, help="half-width that ends it sooner")
    parser.add_argument("--only", choices=["start", "attach", "traffic"], help="one measurement")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    if not AGENT.exists():
        sys.exit("bin/vne-agent is missing: run make build first")
    sweep()
    commit = run("git", "-C", PROJECT, "describe", "--always", "--dirty", check=False).stdout.strip()
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, commit {commit or 'unknown'}\n")
    results = []
    if options.only in (None, "start"):
        start_up(min(options.rounds, 300), results)
    if options.only in (None, "attach"):
        attach(min(options.rounds, 40), results)
    if options.only in (None, "traffic"):
        traffic(options.rounds, options.precision, results)
    if options.json:
        options.json.write_text(json.dumps({"kernel": platform.release(), "commit": commit, "results": results}, indent=1))


if __name__ == "__main__":
    main()
