"""Paired measurements: what `make bench` runs.

Every figure is a ratio of two things timed in turn, in random order, in the same round; the median over rounds, with a
confidence interval of 95 % by the binomial distribution of order statistics. Absolute times depend on the machine.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import re
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
import resident  # noqa: E402
from measure import WORK, Load, paired, report  # noqa: E402
from world import AGENT, BPFTOOL, Host, run, setns, sweep  # noqa: E402

# Hooks that an application has only where its environment asks for them.
ASKED = ["vne_egress", "vne_option"]
HOOKS = [name for name in kernel.ATTACH_TYPES if name not in ASKED]
PROFILES = {"default": HOOKS, "strict": [*HOOKS, *ASKED],
            "empty programs": [name.replace("vne", "empty") for name in HOOKS]}
POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
  payments: {addresses: 10.10.3.0/24}
"""
POLICY_OF_BOTH = """
addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
environments:
  shop: {addresses: [10.10.2.0/24, "fd00:10:10:2::/64"]}
"""
SERVER = {"IPv4": "10.10.2.1", "IPv6": "fd00:10:10:2::1"}
CLIENT = {"IPv4": "10.10.2.2", "IPv6": "fd00:10:10:2::2"}
LOCALHOST = {"IPv4": "127.0.0.1", "IPv6": "::1"}
# The index of lo in every namespace.
LOOPBACK_INTERFACE = 1
REASONS = {name: int(number) for name, number in re.findall(
    r"(VNE_REASON_\w+) = (\d+),", (PROJECT / "bpf/include/vne_abi.h").read_text())}


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

def as_key(address):
    """An address as struct vne_address: of an IPv4 address its IPv4-mapped one, as two words."""
    if ":" in address:
        return struct.pack("<QQ", *struct.unpack(">QQ", socket.inet_pton(socket.AF_INET6, address)))
    return struct.pack("<QQ", 0, 0xffff << 32 | int.from_bytes(socket.inet_aton(address), "big"))


@contextlib.contextmanager
def inside(namespace):
    """Has this process in a network namespace: interfaces are those of the caller's."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    setns(namespace)
    try:
        yield
    finally:
        setns(f"/proc/self/fd/{own}")
        os.close(own)


class Traffic:
    """Two applications whose hooks are attached for a slice at a time, and the work between them."""

    def __init__(self, host):
        self.host = host
        self.cgroups = [os.open(host.make(name), os.O_RDONLY) for name in ("server", "client")]
        self.keys = [struct.pack("<Q", os.fstat(cgroup).st_ino) for cgroup in self.cgroups]
        pins = f"/sys/fs/bpf/{host.instance}"
        self.maps = {name: kernel.open_pin(f"{pins}/maps/{name}") for name in ("attachment", "owner")}
        self.programs = {name: kernel.open_pin(f"{pins}/programs/{name}") for name in (*kernel.ATTACH_TYPES, "vne_steer")}
        # The same hooks with programs that do nothing: what the kernel itself asks for them.
        empty = f"/sys/fs/bpf/{host.instance}x"
        run(BPFTOOL, "prog", "loadall", PROJECT / "bpf/.output/empty.bpf.o", empty)
        self.programs |= {f"empty_{name[4:]}": kernel.open_pin(f"{empty}/empty_{name[4:]}") for name in HOOKS}
        shutil.rmtree(empty)
        # What the agent attached stays as it is, but for its hooks: the bench makes links and closes them itself.
        self.of_one_family = self.attach("IPv4")
        self.detach()
        self.attachments = self.attach(*SERVER)
        self.steers = os.path.exists(f"{pins}/interfaces")
        addresses = [*SERVER.values(), *CLIENT.values()]
        owners = [kernel.lookup(self.maps["owner"], as_key(address)) for address in addresses]
        own = self.own_loopback()
        self.detach()
        for address, owner in zip(addresses, owners):
            kernel.update(self.maps["owner"], as_key(address), owner)
        for address in (*addresses, own["IPv6"]):
            run("ip", "-n", host.name, "address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
        # Nothing is attached yet, so the servers are where they say: the kernel's loopback, and the client's own.
        self.load = Load(host, [*SERVER.values(), *(f"@{on}" for on in (*LOCALHOST.values(), *own.values()))])

    def attach(self, *families):
        """Has both applications attached with addresses of these families, and gives what their hooks read of them."""
        for application, addresses in (("server", SERVER), ("client", CLIENT)):
            self.host.attach(application, "shop", ",".join(addresses[family] for family in families))
        return [kernel.lookup(self.maps["attachment"], key) for key in self.keys]

    def detach(self):
        for application in ("server", "client"):
            self.host.agent("detach", application)

    def own_loopback(self):
        """What 127.0.0.1 and ::1 are to the client."""
        code = """
with socket.socket(family(sys.argv[1]), socket.SOCK_DGRAM) as own:
    own.bind((sys.argv[1], 0))
    print("ready", flush=True)
    time.sleep(60)
"""
        found = {}
        for name, address in LOCALHOST.items():
            child = self.host.serve("client", code, address)
            sockets = self.host.run(None, "ss", "-Hunap").stdout.splitlines()
            line = next(line for line in sockets if f"pid={child.pid}," in line)
            found[name] = line.split()[3].rpartition(":")[0].strip("[]")
            child.kill()
        return found

    def slice(self, work, address, hooks, attachments=None, steered=False):
        """Nanoseconds per operation with these hooks attached; as applications of both families, unless `attachments`
        says otherwise, and with IPv6 packets for wildcards steered or not."""
        links = [self.steer()] if steered else []
        for cgroup, key, attachment in zip(self.cgroups, self.keys, attachments or self.attachments):
            links += [kernel.create_link(self.programs[name], cgroup, kernel.ATTACH_TYPES[name.replace("empty", "vne")])
                      for name in hooks]
            if "vne_create" in hooks:
                kernel.update(self.maps["attachment"], key, attachment)
        try:
            return self.load.slice(work, address)
        finally:
            for link in links:
                os.close(link)

    def steer(self):
        """A link of the steering program, where the packets of both applications enter the host."""
        with inside(self.host.namespace):
            return kernel.create_link(self.programs["vne_steer"], LOOPBACK_INTERFACE, kernel.TCX_INGRESS)

    def close(self):
        self.load.close()
        for descriptor in (*self.maps.values(), *self.programs.values(), *self.cgroups):
            os.close(descriptor)


def traffic(rounds, precision, results):
    """Between two application addresses, with and without the hooks: TCP over IPv4 with every profile of hooks."""
    limits = {("connect", "default"): 1.03, ("rr", "default"): 1.03}
    with Host("bench", policy=POLICY_OF_BOTH, remote=False) as host:
        work = Traffic(host)
        try:
            for kind in ("connect", "rr"):
                slices = {profile: lambda hooks=hooks: work.slice(kind, SERVER["IPv4"], hooks)
                          for profile, hooks in [("none", []), *PROFILES.items()]}
                rows = {profile: lambda values, profile=profile: values[profile] / values["none"] for profile in PROFILES}
                ratios, taken = paired(slices, rows, rounds, precision)
                for profile in PROFILES:
                    report(f"{WORK[kind]}, {profile}", ratios[profile], limits.get((kind, profile)), results,
                           f"no policy {statistics.median(taken['none']) / 1000:.1f} us")
            families(work, rounds, precision, results)
            loopback(work, rounds, precision, results)
            dual_stack(work, rounds, precision, results)
        finally:
            work.close()


def families(work, rounds, precision, results):
    """The same work over both families, with and without the default hooks."""
    for kind, name in WORK.items():
        slices = {(family, policy): lambda family=family, hooks=hooks: work.slice(kind, SERVER[family], hooks)
                  for family in SERVER for policy, hooks in (("none", []), ("default", HOOKS))}
        rows = {
            "IPv4": lambda values: values["IPv4", "default"] / values["IPv4", "none"],
            "IPv6": lambda values: values["IPv6", "default"] / values["IPv6", "none"],
            "IPv6 / IPv4": lambda values: values["IPv6", "default"] / values["IPv4", "default"],
            "IPv6 / IPv4, no policy": lambda values: values["IPv6", "none"] / values["IPv4", "none"],
        }
        ratios, taken = paired(slices, rows, rounds, precision)
        for row in rows:
            family = row[:4]
            report(f"{name}, {row}", ratios[row], None, results,
                   f"no policy {statistics.median(taken[family, 'none']) / 1000:.1f} us")


def loopback(work, rounds, precision, results):
    """From the client to itself: its private loopback against the host's with no policy."""
    for kind, name in WORK.items():
        for family, address in LOCALHOST.items():
            slices = {"none": lambda: work.slice(kind, address, []), "default": lambda: work.slice(kind, address, HOOKS)}
            ratios, taken = paired(slices, {"default": lambda values: values["default"] / values["none"]}, rounds, precision)
            report(f"{name}, private loopback {family}", ratios["default"], None, results,
                   f"no policy {statistics.median(taken['none']) / 1000:.1f} us")


def dual_stack(work, rounds, precision, results):
    """What IPv4 pays where the applications have both families, for the program that steers IPv6 packets on its way."""
    if not work.steers:
        print("  (this kernel does not steer: kernel 6.6)")
        return
    for kind, name in WORK.items():
        slices = {"one": lambda: work.slice(kind, SERVER["IPv4"], HOOKS, work.of_one_family),
                  "both": lambda: work.slice(kind, SERVER["IPv4"], HOOKS, steered=True)}
        ratios, taken = paired(slices, {"both": lambda values: values["both"] / values["one"]}, rounds, precision)
        report(f"{name}, dual stack IPv4", ratios["both"], None, results,
               f"one family {statistics.median(taken['one']) / 1000:.1f} us")


# ------------------------------------------------------------------ another build

class Build(Host):
    """A host with one build's agent."""

    def __init__(self, name, binary):
        super().__init__(name, remote=False)
        self.binary = binary

    def agent_command(self, command, *arguments):
        return [str(self.binary), command, "--instance", self.instance, *map(str, arguments)]

    def takes(self, policy):
        """Whether the build finds no error in a policy."""
        return not self.agent("check", self.write_policy(policy), check=False).returncode

    def work(self, families):
        """Has two applications of one environment, and the work between them."""
        self.apply(POLICY if families == ["IPv4"] else POLICY_OF_BOTH)
        for application, addresses in (("server", SERVER), ("client", CLIENT)):
            self.attach(application, "shop", ",".join(addresses[family] for family in families))
        self.load = Load(self, [SERVER[family] for family in families])


def common_families(*binaries):
    """Both families if every build takes them, else IPv4: what one build does for IPv6 is no cost that another saves."""
    for binary in binaries:
        with Build("probe", binary) as build:
            if not build.takes(POLICY_OF_BOTH):
                return ["IPv4"]
    return list(SERVER)


def against(other, rounds, precision, results):
    """This tree's build against another one's, each on a host of its own, and against itself: that row should be 1. All
    have the same policy and applications of the same addresses."""
    families = common_families(AGENT, other)
    # Hosts differ by chance, in where things lie in memory: so they are made anew a few times.
    generations = 6
    ratios, baseline = {}, {}
    for _ in range(generations):
        binaries = [("this", AGENT), ("same", AGENT), ("other", other)]
        random.shuffle(binaries)
        with contextlib.ExitStack() as stack:
            builds = {name: stack.enter_context(Build(f"ab{name}", binary)) for name, binary in binaries}
            for build in builds.values():
                build.work(families)
            for kind in WORK:
                for family in families:
                    slices = {name: lambda build=build: build.load.slice(kind, SERVER[family])
                              for name, build in builds.items()}
                    rows = {"other": lambda values: values["this"] / values["other"],
                            "itself": lambda values: values["this"] / values["same"]}
                    found, taken = paired(slices, rows, rounds // generations, precision)
                    for row in rows:
                        ratios.setdefault((kind, family, row), []).extend(found[row])
                        baseline.setdefault((kind, family, row), []).extend(taken["other" if row == "other" else "same"])
            for build in builds.values():
                build.load.close()
    for (kind, family, row), values in ratios.items():
        report(f"{WORK[kind]} {family}, this / {row}", values, None, results,
               f"{row} {statistics.median(baseline[kind, family, row]) / 1000:.1f} us")
    if families == ["IPv4"]:
        print("  (the other build takes no IPv6 addresses, so that no application had one)")


# ------------------------------------------------------------------ the decision alone

class Decision:
    """The decision of bpf/tests/decision_test.bpf.c, run by the kernel on one question many times."""

    REPEAT = 200_000

    def __init__(self, host, count):
        environments = "\n".join(
            f"  env{number}: {{addresses: [10.{number >> 8}.{number & 255}.0/24, 'fd00:10:{number:x}::/48'], host: deny}}"
            for number in range(count))
        host.apply(f"addressSpace: [10.0.0.0/8, 'fd00:10::/32']\nenvironments:\n{environments}\n")
        host.attach("asking", "env0", "10.0.0.1,fd00:10::1")
        pins = f"/sys/fs/bpf/{host.instance}"
        attachment = kernel.open_pin(f"{pins}/maps/attachment")
        key = struct.pack("<Q", os.stat(host.cgroup / "asking").st_ino)
        self.value = kernel.lookup(attachment, key)
        os.close(attachment)
        self.pins = f"{pins}x"
        run(BPFTOOL, "prog", "loadall", PROJECT / "bpf/.output/decision_test.bpf.o", self.pins,
            "map", "name", "policy", "pinned", f"{pins}/maps/policy", "pinmaps", self.pins)
        self.program = kernel.open_pin(f"{self.pins}/vne_decide")
        asking = kernel.open_pin(f"{self.pins}/asking")
        kernel.update(asking, struct.pack("<I", 0), self.value)
        os.close(asking)

    def time(self, remote, application=0):
        """Reason and nanoseconds of a call to an address. Application 1 is not attached: that ends at once."""
        question = as_key(remote) + struct.pack("<HHIII", 80, 0, 6, 0, 0)
        question = question.ljust(32, b"\0") + bytes(16) + struct.pack("<IIII", 0, application, 0, 0)
        return kernel.test_run(self.program, question, self.REPEAT)

    def close(self):
        os.close(self.program)
        shutil.rmtree(self.pins)


def decision(rounds, results):
    """What the look-up of an address of another environment takes, and the decision about it."""
    with Host("decide", remote=False) as host:
        for count in (2, 1000, 10_000):
            asked = Decision(host, count)
            last = count - 1
            remotes = {"IPv4": f"10.{last >> 8}.{last & 255}.9", "IPv6": f"fd00:10:{last:x}::9"}
            taken = {family: [] for family in (*remotes, "nothing")}
            for _ in range(rounds):
                for family in random.sample(list(taken), len(taken)):
                    reason, time_taken = asked.time(remotes.get(family, "10.0.0.9"), 1 if family == "nothing" else 0)
                    expected = "VNE_REASON_UNCONFIGURED" if family == "nothing" else "VNE_REASON_OTHER_ENVIRONMENT"
                    if reason != REASONS[expected]:
                        raise RuntimeError(f"{count} VNEs, {family}: reason {reason}")
                    taken[family].append(time_taken)
            base = statistics.median(taken["nothing"])
            for family in remotes:
                report(f"decision with {count} VNEs, {family}, ns", [value - base for value in taken[family]], None, results,
                       f"running nothing {base:.0f} ns")
            report(f"decision with {count} VNEs, IPv6 / IPv4",
                   [(six - base) / (four - base) for six, four in zip(taken["IPv6"], taken["IPv4"])], None, results)
            asked.close()
            host.agent("detach", "asking")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1500, help="most rounds a measurement takes (default: 1500)")
    parser.add_argument("--precision", type=float, default=0.003, help="half-width that ends it sooner")
    parser.add_argument("--only", choices=["start", "attach", "traffic", "decision", "daemon", "flood"], help="one measurement")
    parser.add_argument("--against", type=Path, metavar="BINARY", help="measure this build against another vne-agent only")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    if not AGENT.exists():
        sys.exit("bin/vne-agent is missing: run make build first")
    sweep()
    commit = run("git", "-C", PROJECT, "describe", "--always", "--dirty", check=False).stdout.strip()
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, commit {commit or 'unknown'}\n")
    results = []
    if options.against:
        against(options.against.resolve(), options.rounds, options.precision, results)
    else:
        if options.only in (None, "start"):
            start_up(min(options.rounds, 300), results)
        if options.only in (None, "attach"):
            attach(min(options.rounds, 40), results)
        if options.only in (None, "traffic"):
            traffic(options.rounds, options.precision, results)
        if options.only in (None, "decision"):
            decision(min(options.rounds, 40), results)
        if options.only in (None, "daemon"):
            resident.daemon(min(options.rounds, 300), 60, results)
        if options.only in (None, "flood"):
            resident.flood(options.rounds, options.precision, 10_000_000, results)
    if options.json:
        options.json.write_text(json.dumps({"kernel": platform.release(), "commit": commit, "results": results}, indent=1))


if __name__ == "__main__":
    main()
