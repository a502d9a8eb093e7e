"""What the daemon takes: while nothing happens, until a cgroup that came is an application, and in a flood."""

import contextlib
import os
import random
import signal
import statistics
import struct
import subprocess
import time
from pathlib import Path

import kernel
from daemon import Daemon
from measure import PROJECT, WORK, Load, figure, paired, report
from world import Host, run

APPLICATIONS = 1000
# `state` is the first word of struct vne_application.
ATTACHED = 2

FLOOD_POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
  payments: {addresses: 10.10.3.0/24}
"""
SERVER, CLIENT, FLOODER, VICTIM = "10.10.2.1", "10.10.2.2", "10.10.2.3", "10.10.3.1"


def processor_seconds(process):
    """How long all threads of a process ran on a processor, to the nanosecond."""
    spent = 0
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


def resident(process):
    """A process's resident memory by its kind, in MB."""
    lines = dict(line.split(":") for line in Path(f"/proc/{process}/status").read_text().splitlines() if ":" in line)
    return {name: int(lines[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "RssAnon", "RssFile", "RssShmem")}


# ------------------------------------------------------------------ idle, and a cgroup that comes

def thousand(host):
    """A policy with a thousand applications, whose cgroups are there."""
    lines = ["addressSpace: 10.10.0.0/16", "environments:", "  shop: {addresses: 10.10.0.0/18}",
             "  payments: {addresses: 10.10.64.0/18}", "applications:"]
    for number in range(APPLICATIONS):
        host.make(f"app{number}")
        environment, base = ("shop", 0) if number % 2 else ("payments", 64)
        address = f"10.10.{base + number // 250}.{number % 250 + 1}"
        lines.append(f"  app{number}: {{environment: {environment}, address: {address}, "
                     f"hostname: app{number}.{environment}, cgroup: {host.cgroup.name}/app{number}}}")
    return "\n".join(lines) + "\n"


class Records:
    """The map that says which applications are attached."""

    def __init__(self, host):
        self.map = kernel.open_pin(f"/sys/fs/bpf/{host.instance}/maps/application")

    def is_attached(self, cgroup_id):
        try:
            return struct.unpack_from("<I", kernel.lookup(self.map, struct.pack("<Q", cgroup_id)))[0] == ATTACHED
        except FileNotFoundError:
            return False

    def wait(self, cgroup_id, attached):
        deadline = time.monotonic() + 10
        while self.is_attached(cgroup_id) != attached:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the daemon did not {'attach' if attached else 'detach'} a cgroup in time")
            time.sleep(0.0005)


def reaction(host, rounds):
    """Milliseconds from the mkdir of a cgroup until its application is attached."""
    records = Records(host)
    taken = []
    for _ in range(rounds):
        path = host.cgroup / f"app{random.randrange(APPLICATIONS)}"
        before = path.stat().st_ino
        path.rmdir()
        records.wait(before, False)
        time.sleep(random.uniform(0.1, 0.3))
        begun = time.monotonic()
        path.mkdir()
        records.wait(path.stat().st_ino, True)
        taken.append((time.monotonic() - begun) * 1000)
    os.close(records.map)
    return sorted(taken)


def daemon(rounds, seconds, results):
    """With a thousand applications: memory, processor time while nothing happens, and how soon a cgroup is attached."""
    with Host("resident", remote=False) as host:
        with Daemon(host, thousand(host), watchdog=60) as running:
            running.wait_until_attached(*(f"app{number}" for number in range(APPLICATIONS)))
            # What comes after the first look is done.
            time.sleep(5)
            process = running.process.pid
            spent, begun = processor_seconds(process), time.monotonic()
            time.sleep(seconds)
            share = (processor_seconds(process) - spent) / (time.monotonic() - begun) * 100
            memory = resident(process)
            figure("daemon idle, 1,000 applications: processor", share, "%", 0.1, results, f"over {seconds:.0f} s")
            figure("daemon idle: resident memory", memory["VmRSS"], "MB", 15, results,
                   ", ".join(f"{name[3:].lower()} {size:.1f}" for name, size in memory.items() if name != "VmRSS"))
            taken = reaction(host, rounds)
            figure("cgroup made to application attached, p99", taken[int(len(taken) * 0.99)], "ms", 50, results,
                   f"median {statistics.median(taken):.1f}, longest {taken[-1]:.1f}, {len(taken)} cgroups")
            memory = resident(process)
            figure("daemon afterwards: resident memory", memory["VmRSS"], "MB", 15, results,
                   ", ".join(f"{name[3:].lower()} {size:.1f}" for name, size in memory.items() if name != "VmRSS"))


# ------------------------------------------------------------------ a flood

class Flood:
    """A program that sends datagrams that are denied, from one processor, for as long as it is asked to."""

    def __init__(self, host, cpu):
        program = host.directory / "flood"
        run("clang", "-O2", "-Wall", "-Wextra", "-o", program, PROJECT / "bench" / "flood.c")
        self.process = host.start("flooder", program, cpu, VICTIM, 9, stdin=subprocess.PIPE, stderr=None, bufsize=1)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError("the flood did not start")

    def sent(self):
        """How many sends were denied so far, and how many were not."""
        self.process.stdin.write("\n")
        return map(int, self.process.stdout.readline().split())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Agents:
    """The daemon and `flows --follow`, which run or are held up."""

    def __init__(self, *processes):
        self.processes = processes
        self.running = True

    def let(self, running):
        if running != self.running:
            for process in self.processes:
                process.send_signal(signal.SIGCONT if running else signal.SIGSTOP)
            self.running = running

    def seconds(self):
        return sum(processor_seconds(process.pid) for process in self.processes)


def flood(rounds, precision, sends, results):
    """A flood of denied sends: what it takes in the agent, and what allowed traffic loses to the agent in it.

    The agent does not run where its processes are stopped. That takes no time to change, so both cases are timed in turn.
    """
    cpus = sorted(os.sched_getaffinity(0))
    with Host("flood", policy=FLOOD_POLICY, remote=False) as host:
        for name, environment, address in (("server", "shop", SERVER), ("client", "shop", CLIENT),
                                           ("flooder", "shop", FLOODER), ("victim", "payments", VICTIM)):
            host.attach(name, environment, address)
        with Daemon(host, FLOOD_POLICY, watchdog=60) as running:
            follow = host.start(None, *host.agent_command("flows", "--follow"), stdout=subprocess.DEVNULL)
            work = Load(host, [SERVER])
            # First the agent alone in the flood.
            agents = Agents(running.process, follow)
            time.sleep(1)
            flooding = Flood(host, cpus[0])
            spent, begun, denied = agents.seconds(), time.monotonic(), 0
            while denied < sends:
                time.sleep(0.5)
                denied, other = flooding.sent()
                if other:
                    raise RuntimeError(f"{other} sends were not denied")
            elapsed = time.monotonic() - begun
            figure("flood: processor in the agent", (agents.seconds() - spent) / elapsed * 100, "%", 5, results,
                   f"{denied / 1e6:.1f} million denied sends in {elapsed:.1f} s")

            def timed(kind, agent):
                agents.let(agent)
                return work.slice(kind, SERVER)
            for kind in ("connect", "rr", "udp"):
                ratios, _ = paired({agent: lambda agent=agent: timed(kind, agent) for agent in (True, False)},
                                   {"agent": lambda values: values[True] / values[False]}, rounds, precision)
                report(f"flood: {WORK[kind]}, agent / none", ratios["agent"], 1.02, results)
            agents.let(True)
            flooding.close()
            work.close()
