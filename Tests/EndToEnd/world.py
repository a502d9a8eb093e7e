"""A host of the tests' own: a network namespace, an instance, a cgroup, and a remote machine behind a veth pair.

Nothing here touches a real installation: the instance, its cgroups and its namespaces carry a prefix of the tests', and
whatever an earlier run left is swept first. Programs run inside the host by entering its cgroup and namespace before
their first instruction.
"""

import contextlib
import ctypes
import errno
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
AGENT = PROJECT / "bin" / "vne-agent"
PREFIX = "vnetest"
BPFTOOL = shutil.which("bpftool") or "/usr/sbin/bpftool"
# How many times longer things take here than on a processor of one's own. The emulated machine of Tests/Kernels says so;
# limits that are measured times are multiplied by it, and nothing else is.
SLOWNESS = float(os.environ.get("VNE_TEST_SLOWNESS", "1"))


def security_modules():
    """The kernel's security modules, BPF among them where its security hooks run."""
    listed = Path("/sys/kernel/security/lsm")
    return listed.read_text().strip().split(",") if listed.exists() else []


# How many programs the cgroup of an application has whose environment asks for none: five more where the kernel lends its
# security hooks.
HOOKS = 15 + (5 if "bpf" in security_modules() else 0)

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def cgroup_mount():
    """The cgroup2 mount, wherever it is."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise RuntimeError("no cgroup2 mount in /proc/self/mounts")


MOUNT = cgroup_mount()
# What runs the tests' own small programs: nothing but the standard library, as what a site adds takes longer to load.
PYTHON = (sys.executable, "-I", "-S")


def run(*command, check=True, **options):
    """Runs a command, its output captured as text."""
    result = subprocess.run([str(part) for part in command], text=True, capture_output=True, **options)
    if check and result.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: status {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def setns(path):
    with open(path) as namespace:
        if _libc.setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")


def programs_on(cgroup):
    """What bpftool says is attached to a cgroup: id and name of each program."""
    listed = run(BPFTOOL, "-j", "cgroup", "show", cgroup).stdout.strip()
    return [(entry["id"], entry["name"]) for entry in json.loads(listed or "[]")]


def kernel_objects():
    """Which programs, links and maps the kernel holds, by their numbers, which it never gives again; what is pinned, and our
    cgroups."""
    def named(kind):
        listed = json.loads(run(BPFTOOL, "-j", kind).stdout.strip() or "[]")
        return sorted(entry["id"] for entry in listed)
    pins = sorted(str(path) for path in Path("/sys/fs/bpf").rglob("*")) if Path("/sys/fs/bpf").exists() else []
    return {"programs": named("prog"), "maps": named("map"), "links": named("link"), "pins": pins,
            "cgroups": sorted(str(path) for path in MOUNT.rglob(f"{PREFIX}*"))}


def left_behind(before, patience=0):
    """What the kernel has that it had not before, by its kind; waited for that long at most until that is nothing. What others
    left before it gives back in its own time, and that is no matter."""
    deadline = time.monotonic() + patience
    while True:
        now = kernel_objects()
        found = {kind: sorted(set(now[kind]) - set(before[kind])) for kind in now if set(now[kind]) - set(before[kind])}
        if not found or time.monotonic() >= deadline:
            return found
        time.sleep(0.1)


def kill_cgroup(path):
    """Ends every process below a cgroup of ours, and removes it."""
    for procs in sorted(Path(path).rglob("cgroup.procs"), reverse=True):
        for _ in range(200):
            try:
                members = procs.read_text().split()
            except OSError:
                break
            if not members:
                break
            for member in members:
                try:
                    os.kill(int(member), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.01)
    for directory in sorted((p for p in Path(path).rglob("*") if p.is_dir()), reverse=True):
        _rmdir(directory)
    if Path(path).exists():
        _rmdir(path)


def _rmdir(path):
    for _ in range(100):
        try:
            os.rmdir(path)
            return
        except FileNotFoundError:
            return
        except OSError as problem:
            if problem.errno != errno.EBUSY:
                raise
            time.sleep(0.02)


def is_leftover(name):
    """Whether a name of the tests' is that of a run that has ended: it carries the process's id."""
    digits = re.match(rf"{PREFIX}(\d+)", name)
    return bool(digits) and not Path(f"/proc/{digits[1]}").exists()


def sweep():
    """Removes what a crashed run left: instances, cgroups and namespaces with the tests' prefix. Other runs go on."""
    pins = Path("/sys/fs/bpf")
    for directory in MOUNT.glob(f"{PREFIX}*"):
        if is_leftover(directory.name):
            kill_cgroup(directory)
    for directory in MOUNT.glob(f"vne.{PREFIX}*"):
        if is_leftover(directory.name.removeprefix("vne.")):
            kill_cgroup(directory)
    if pins.exists():
        for instance in pins.glob(f"{PREFIX}*"):
            if is_leftover(instance.name):
                shutil.rmtree(instance, ignore_errors=True)
    for leases in Path("/var/lib/vne").glob(f"{PREFIX}*"):
        if is_leftover(leases.name):
            leases.unlink(missing_ok=True)
    for place in ("/run", "/var/lib"):
        for node in Path(f"{place}/vne-manager").glob(f"{PREFIX}*@*"):
            if is_leftover(node.name):
                forget_node(node)
    for line in run("ip", "netns", "list").stdout.split("\n"):
        if line and is_leftover(line):
            run("ip", "netns", "delete", line.split()[0], check=False)


def forget_node(directory):
    """Removes what a node of a network keeps, or has while it runs; its store may have had a disk of its own."""
    run("umount", "--lazy", directory / "etcd", check=False)
    shutil.rmtree(directory, ignore_errors=True)


# A policy of nothing, which leaves an instance nothing to enforce.
NOTHING = "addressSpace: 10.10.0.0/16\nenvironments: {}\n"

# Hosts that leave their namespace and their instance to the next one of their name.
_lasting = set()


@contextlib.contextmanager
def lasting(*names):
    """While it lasts, hosts of these names leave the next one their namespace and their instance, whose programs take
    seconds to load.

    All else goes with each host: processes, cgroups, applications, policy, interfaces, routes, files. A host that
    cannot be emptied goes as a whole, so that a test which breaks its host breaks no other one's.
    """
    hosts = [Host(name) for name in names]
    _lasting.update(host.name for host in hosts)
    try:
        yield
    finally:
        for host in hosts:
            _lasting.remove(host.name)
            if Path(host.namespace).exists():
                host.__exit__()


class Host:
    """One host: namespace, instance and cgroup. Use as a context manager."""

    def __init__(self, name="host", policy=None, remote=True, resolv_conf=None, hosts=None):
        self.name = f"{PREFIX}{os.getpid()}{name}"
        self.instance = self.name
        self.cgroup = MOUNT / self.name
        self.namespace = f"/run/netns/{self.name}"
        self.policy = policy
        self.remote = f"{self.name}r" if remote else None
        self.children = []
        self.directory = Path(f"/tmp/{self.name}")
        self.resolv_conf = resolv_conf
        self.hosts = hosts

    def __enter__(self):
        sweep_once()
        self.directory.mkdir(exist_ok=True)
        self.cgroup.mkdir(exist_ok=True)
        if not (self.name in _lasting and Path(self.namespace).exists()):
            run("ip", "netns", "add", self.name)
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        if self.remote:
            run("ip", "netns", "add", self.remote)
            run("ip", "-n", self.remote, "link", "set", "lo", "up")
            run("ip", "-n", self.name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.remote)
            run("ip", "-n", self.name, "address", "add", "192.0.2.1/24", "dev", "eth0")
            run("ip", "-n", self.remote, "address", "add", "192.0.2.2/24", "dev", "eth0")
            run("ip", "-n", self.name, "link", "set", "eth0", "up")
            run("ip", "-n", self.remote, "link", "set", "eth0", "up")
            run("ip", "-n", self.name, "address", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
            run("ip", "-n", self.remote, "address", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
            # The rest of the world knows the way to the address space.
            run("ip", "-n", self.remote, "route", "add", "10.10.0.0/16", "via", "192.0.2.1")
            run("ip", "-n", self.remote, "route", "add", "fd00:10:10::/48", "via", "2001:db8::1")
            run("ip", "netns", "exec", self.name, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0",
                "net.ipv4.conf.eth0.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
        if self.policy:
            self.apply(self.policy)
        return self

    def __exit__(self, *_):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream:
                    stream.close()
        kill_cgroup(self.cgroup)
        if (MOUNT / f"vne.{self.instance}").exists():
            kill_cgroup(MOUNT / f"vne.{self.instance}")
        if not (self.name in _lasting and self.empty()):
            self.agent("unload", check=False)
            run("ip", "netns", "delete", self.name, check=False)
            shutil.rmtree(f"/sys/fs/bpf/{self.instance}", ignore_errors=True)
        if self.remote:
            run("ip", "netns", "delete", self.remote, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def empty(self):
        """Leaves the namespace and the instance, and nothing in them; says whether it could."""
        if not Path(f"/sys/fs/bpf/{self.instance}").exists():
            return False
        try:
            self.apply(NOTHING)
            # What was denied, and which addresses were chosen, is not for the next one to know.
            self.agent("flows", "--denied", check=False)
            Path(f"/var/lib/vne/{self.instance}.leases").unlink(missing_ok=True)
            for link in json.loads(run("ip", "-n", self.name, "-json", "link").stdout):
                if link["ifname"] != "lo":
                    # One whose other end's namespace is being deleted may go by itself.
                    run("ip", "-n", self.name, "link", "delete", link["ifname"], check=False)
            run("ip", "-n", self.name, "address", "flush", "dev", "lo")
            run("ip", "-n", self.name, "link", "set", "lo", "down")
            run("ip", "-n", self.name, "route", "flush", "table", "all", check=False)
            # Connections that have ended have their ports for a minute.
            run("ip", "netns", "exec", self.name, "ss", "--kill", "--all", check=False)
            status = self.json("status")
        except (AssertionError, subprocess.SubprocessError):
            return False
        return not status["applications"] and not status["problems"]

    # ------------------------------------------------------------------ the agent

    def agent_command(self, command, *arguments):
        extra = ["--resolv-conf", str(self.resolv_conf)] if self.resolv_conf else []
        extra += ["--hosts", str(self.hosts)] if self.hosts else []
        return [str(AGENT), command, "--instance", self.instance, *extra, *map(str, arguments)]

    def agent(self, command, *arguments, check=True, **options):
        """Runs the agent in the host's namespace."""
        return run(*self.agent_command(command, *arguments), check=check,
                   preexec_fn=lambda: setns(self.namespace), **options)

    def json(self, command, *arguments):
        return json.loads(self.agent(command, *arguments, "--json").stdout)

    def applications(self):
        """What `list` says, by name."""
        return {application["name"]: application for application in self.json("list")}

    def counts(self, name, hook):
        """Verdicts of one hook of an application, by reason."""
        for application in self.json("status")["applications"]:
            if application["name"] == name:
                return {count["reason"]: count["count"] for count in application["counters"]["counts"]
                        if count["hook"] == hook}
        raise AssertionError(f"{name} is not attached")

    def write_policy(self, text):
        path = self.directory / "policy.yaml"
        path.write_text(text)
        return path

    def apply(self, text, **options):
        return self.agent("apply", self.write_policy(text), **options)

    def attach(self, application, environment, addresses, *more, **options):
        """Attaches the application's cgroup; `addresses` is one address, or one a family with a comma between."""
        self.make(application)
        named = [word for address in addresses.split(",") for word in ("--address", address)]
        return self.agent("attach", f"{self.cgroup.name}/{application}", environment, *named, "--name", application,
                          *more, **options)

    # ------------------------------------------------------------------ programs

    def make(self, application):
        """Makes the application's cgroup."""
        path = self.cgroup / application
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _enter(self, application, namespace):
        def enter():
            if application is not None:
                with open(self.cgroup / application / "cgroup.procs", "w") as procs:
                    procs.write("0")
            setns(namespace or self.namespace)
        return enter

    def run(self, application, *command, namespace=None, check=False, **options):
        """Runs a command in the application's cgroup (None: as a process of the host)."""
        options.setdefault("timeout", 60)
        return run(*command, check=check, preexec_fn=self._enter(application, namespace), **options)

    def start(self, application, *command, namespace=None, **options):
        """Starts a command that goes on."""
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.STDOUT)
        child = subprocess.Popen([str(part) for part in command], text=True,
                                 preexec_fn=self._enter(application, namespace), **options)
        self.children.append(child)
        return child

    def python(self, application, code, *arguments, namespace=None, **options):
        """Runs Python code in the application; what it prints as JSON comes back, an OSError as its errno's name."""
        result = self.run(application, *PYTHON, "-c", PYTHON_PRELUDE + code, *arguments, namespace=namespace,
                          **options)
        if result.returncode:
            raise AssertionError(f"{code}\n{result.stdout}{result.stderr}")
        return json.loads(result.stdout)

    def serve(self, application, code, *arguments, namespace=None):
        """Starts Python code that prints `ready` and goes on."""
        child = self.start(application, *PYTHON, "-u", "-c", PYTHON_PRELUDE + code, *arguments,
                           namespace=namespace)
        line = child.stdout.readline()
        if line.strip() != "ready":
            raise AssertionError(f"{code}\n{line}{child.stdout.read()}")
        return child

    @property
    def remote_namespace(self):
        return f"/run/netns/{self.remote}"

    def wait_for_port(self, application, address, port, seconds=10):
        """Waits until a server answers."""
        deadline = time.monotonic() + seconds
        while True:
            if self.python(application, TRY_CONNECT, address, str(port)) == "connected":
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"nothing listens on {address}:{port}")
            time.sleep(0.05)


_swept = False


def sweep_once():
    global _swept
    if not _swept:
        sweep()
        _swept = True


PYTHON_PRELUDE = """
import errno, json, os, socket, struct, sys, time
def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET
def attempt(body):
    try:
        return body()
    except socket.timeout:
        return "timeout"
    except OSError as problem:
        return errno.errorcode.get(problem.errno, str(problem))
def answer(value):
    print(json.dumps(value))
def ready():
    print("ready", flush=True)
"""

TRY_CONNECT = """
def body():
    with socket.socket(family(sys.argv[1])) as client:
        client.settimeout(1)
        client.connect((sys.argv[1], int(sys.argv[2])))
    return "connected"
answer(attempt(body))
"""

# Says who connected and from where, on a TCP port.
TCP_WHO = """
with socket.socket(family(sys.argv[1])) as listener:
    if len(sys.argv) > 3:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(sys.argv[3]))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((sys.argv[1], int(sys.argv[2])))
    listener.listen()
    ready()
    while True:
        client, peer = listener.accept()
        with client:
            try:
                client.sendall(json.dumps([peer[0], client.getsockname()[0]]).encode())
            except OSError:
                pass
"""

# Says who sent a datagram, on a UDP port.
UDP_WHO = """
with socket.socket(family(sys.argv[1]), socket.SOCK_DGRAM) as server:
    if len(sys.argv) > 3:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(sys.argv[3]))
    server.bind((sys.argv[1], int(sys.argv[2])))
    ready()
    while True:
        data, peer = server.recvfrom(2048)
        try:
            server.sendto(json.dumps([peer[0], data.decode()]).encode(), peer)
        except OSError:
            pass
"""

ASK_TCP = """
def body():
    with socket.socket(family(sys.argv[1])) as client:
        client.settimeout(1)
        if len(sys.argv) > 3:
            client.bind((sys.argv[3], 0))
        client.connect((sys.argv[1], int(sys.argv[2])))
        return json.loads(client.recv(1000))
answer(attempt(body))
"""

ASK_UDP = """
how = sys.argv[3]
def body():
    with socket.socket(family(sys.argv[1]), socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        to = (sys.argv[1], int(sys.argv[2]))
        if client.family == socket.AF_INET6 and "." not in sys.argv[1]:
            wanted = socket.inet_pton(socket.AF_INET6, sys.argv[4] if len(sys.argv) > 4 else "::")
            pktinfo = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, wanted + struct.pack("I", 0))]
        else:
            wanted = socket.inet_aton(sys.argv[4] if len(sys.argv) > 4 else "0.0.0.0")
            pktinfo = [(socket.IPPROTO_IP, 8, struct.pack("i4s4s", 0, wanted, bytes(4)))]
        if how.startswith("connected"):
            client.connect(to)
        if how == "connected":
            client.send(b"x")
        elif how == "connected-pktinfo":
            client.sendmsg([b"x"], pktinfo)
        elif how == "pktinfo":
            client.sendmsg([b"x"], pktinfo, 0, to)
        else:
            client.sendto(b"x", to)
        return json.loads(client.recv(1000))
answer(attempt(body))
"""
