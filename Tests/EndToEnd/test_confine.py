"""What `exec --confine` takes from a program, what it leaves, and what requires it; and sockets that were carried in."""

import json
import platform
import signal
import sys
import time
import unittest

from servers import nginx, redis
from world import ASK_TCP, PYTHON_PRELUDE, TCP_WHO, UDP_WHO, Host, lasting, run

POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
  vault: {addresses: 10.10.3.0/24, require: [families, bpf, netlink]}
  bunker: {addresses: 10.10.4.0/24, require: closing}
"""

# Each way past the VNE's hooks: what it came to, an errno's name or what was got.
WAYS = """
import ctypes, mmap, platform, signal, subprocess, threading
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
IO_URING_SETUP, CLONE3, PIDFD_OPEN, PIDFD_GETFD = 425, 435, 434, 438
NEWUSER, NEWNET, INTO_CGROUP = 0x10000000, 0x40000000, 0x200000000

def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return "done"

def make(family, kind=socket.SOCK_DGRAM):
    return lambda: checked(libc.socket(family, int(kind), 0))

def pair(family):
    return lambda: checked(libc.socketpair(family, int(socket.SOCK_STREAM), 0, (ctypes.c_int * 2)()))

def bpf():
    # BPF_MAP_CREATE of an array of one word.
    attributes = ctypes.create_string_buffer(struct.pack("=IIII", 2, 4, 4, 1), 128)
    return checked(libc.syscall(BPF, 0, attributes, 128))

def io_uring():
    return checked(libc.syscall(IO_URING_SETUP, 1, ctypes.create_string_buffer(120)))

def in_child(body):
    # For what would change the process: 0 or the errno comes back as the status.
    child = os.fork()
    if child == 0:
        try:
            body()
            os._exit(0)
        except OSError as problem:
            os._exit(problem.errno)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    code = os.WEXITSTATUS(status)
    return errno.errorcode[code] if code else "done"

def leave():
    # A child in a cgroup that a descriptor names.
    directory = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
    arguments = ctypes.create_string_buffer(
        struct.pack("=QQQQQQQQQQQ", INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, directory))
    child = libc.syscall(CLONE3, arguments, 88)
    if child == 0:
        os._exit(0 if sys.argv[2] in open("/proc/self/cgroup").read() else 1)
    checked(child)
    return "done" if os.waitpid(child, 0)[1] == 0 else "stayed"

def look_into(call):
    if call == "pidfd_getfd":
        own = libc.syscall(PIDFD_OPEN, os.getpid(), 0)
        return checked(libc.syscall(PIDFD_GETFD, own, 0, 0))
    here = ctypes.create_string_buffer(b"x", 8)
    there = ctypes.create_string_buffer(8)
    local = struct.pack("=QQ", ctypes.addressof(there), 8)
    remote = struct.pack("=QQ", ctypes.addressof(here), 8)
    return checked(getattr(libc, call)(os.getpid(), local, 1, remote, 1, 0))

def other_architecture():
    # getpid by the 32-bit entry of x86.
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3")
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    if call() != os.getpid():
        raise OSError(errno.EILSEQ, "")

def netlink(*words):
    result = subprocess.run(["ip", *words], capture_output=True, text=True)
    return "done" if result.returncode == 0 else "EPERM" if "not permitted" in result.stderr else result.stderr

ways = {
    "packet": make(socket.AF_PACKET, socket.SOCK_RAW),
    "packet, high bits set": lambda: checked(libc.syscall({"x86_64": 41, "aarch64": 198}[platform.machine()],
        ctypes.c_long((1 << 32) | socket.AF_PACKET), ctypes.c_long(3), ctypes.c_long(0))),
    "vsock": make(40, socket.SOCK_STREAM),
    "vsock pair": pair(40),
    "bpf": bpf,
    "io_uring": io_uring,
    "clone3 into a cgroup": leave,
    "address": lambda: netlink("address", "add", "198.51.100.77/32", "dev", "lo"),
    "route": lambda: netlink("route", "add", "blackhole", "198.51.100.78/32"),
    "user namespace": lambda: in_child(lambda: checked(libc.unshare(NEWUSER))),
    "network namespace": lambda: in_child(lambda: checked(libc.unshare(NEWNET))),
    "setns": lambda: in_child(lambda: checked(libc.setns(os.open("/proc/self/ns/net", os.O_RDONLY), 0))),
    "ptrace": lambda: in_child(lambda: checked(libc.ptrace(0, 0, 0, 0))),
    "process_vm_readv": lambda: look_into("process_vm_readv"),
    "process_vm_writev": lambda: look_into("process_vm_writev"),
    "pidfd_getfd": lambda: look_into("pidfd_getfd"),
}
if platform.machine() == "x86_64":
    ways["another architecture"] = lambda: in_child(other_architecture)
answer({name: attempt(way) for name, way in ways.items()})
"""

# What a program needs: what it came to.
NEEDS = """
import subprocess, threading
def thread():
    said = []
    one = threading.Thread(target=lambda: said.append("done"))
    one.start()
    one.join()
    return said[0]
def made(family, kind):
    return lambda: socket.socket(family, kind).close() or "done"
def pair():
    for end in socket.socketpair():
        end.close()
    return "done"
answer({
    "IPv4": attempt(made(socket.AF_INET, socket.SOCK_STREAM)),
    "IPv6": attempt(made(socket.AF_INET6, socket.SOCK_DGRAM)),
    "Unix": attempt(made(socket.AF_UNIX, socket.SOCK_STREAM)),
    "a pair": attempt(pair),
    "AF_ALG": attempt(made(socket.AF_ALG, socket.SOCK_SEQPACKET)),
    "names": attempt(lambda: "done" if socket.getaddrinfo("localhost", 80) else "none"),
    "interfaces": "done" if "lo" in dict(map(reversed, socket.if_nameindex())) else "none",
    "ip address show": subprocess.run(["ip", "address", "show"], stdout=subprocess.DEVNULL).returncode,
    "a child": subprocess.run(["true"]).returncode,
    "a thread": thread(),
    "another user": subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", "true"]).returncode,
    "a low port": attempt(lambda: socket.create_server(("0.0.0.0", 80)).close() or "done"),
})
"""


def setUpModule():
    unittest.enterModuleContext(lasting("confine", "require", "carried"))


class Confinement(unittest.TestCase):
    def setUp(self):
        self.host = Host("confine", policy=POLICY)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)

    def launch(self, name, address, *options, vne="shop"):
        return self.host.agent_command("exec", "--vne", vne, "--address", address, "--name", name, *options, "--")

    def python(self, code, *arguments, options=("--confine",), vne="shop"):
        """Runs Python code by `exec`; what it prints as JSON comes back."""
        result = self.host.agent("exec", "--vne", vne, *options, "--", sys.executable, "-c", PYTHON_PRELUDE + code,
                                 *arguments, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return json.loads(result.stdout)

    def test_each_way_past_the_hooks_is_there_without_it_and_refused_with_it(self):
        elsewhere = self.host.make("elsewhere")
        arguments = (str(elsewhere), f"{self.host.cgroup.name}/elsewhere")
        # In a cgroup that is no application: a kernel's hooks may refuse some of them to every application.
        self.host.make("free")
        free = self.host.python("free", WAYS, *arguments)
        confined = self.python(WAYS, *arguments)
        # A kernel may lack a family; what it says then is not what a refusal says.
        for family in ("vsock", "vsock pair"):
            self.assertIn(free.pop(family), ("done", "EAFNOSUPPORT", "ENOTSUP"))
        self.assertEqual(free, dict.fromkeys(free, "done"))
        expected = dict.fromkeys(confined, "EPERM")
        # As on a kernel that has no clone3, so that C libraries use clone.
        expected["clone3 into a cgroup"] = "ENOSYS"
        if "another architecture" in expected:
            expected["another architecture"] = "SIGSYS"
        self.assertEqual(confined, expected)

    def test_what_programs_need_goes_on(self):
        free = self.python(NEEDS, options=())
        self.assertEqual({name for name, what in free.items() if what not in ("done", 0)} - {"AF_ALG"}, set())
        self.assertEqual(self.python(NEEDS), free)

    def test_children_and_programs_with_the_set_user_id_bit_stay_confined(self):
        program = self.host.directory / "true"
        run("cp", "/usr/bin/python3", program)
        program.chmod(0o4755)
        code = """
import subprocess
answer(subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", "--inh-caps=-all", sys.argv[1], "-c",
    "import os; print(os.geteuid()); print(open('/proc/self/status').read())"],
    capture_output=True, text=True).stdout)
"""
        self.host.directory.chmod(0o755)
        free = self.python(code, str(program), options=())
        self.assertTrue(free.startswith("0\n"), "the bit gives root")
        confined = self.python(code, str(program))
        self.assertTrue(confined.startswith("65534\n"), confined)
        self.assertIn("NoNewPrivs:\t1", confined)
        self.assertIn("Seccomp:\t2", confined)

    def test_nginx_redis_and_curl_run_confined(self):
        servers = [nginx(self.host, "web", "confined", launch=self.launch("web", "10.10.2.1", "--confine")),
                   redis(self.host, "cache", launch=self.launch("cache", "10.10.2.2", "--confine"))]
        self.host.wait_for_port(None, "10.10.2.1", 80)
        self.host.wait_for_port(None, "10.10.2.2", 6379)
        for server in servers:
            self.assertIsNone(server.poll())
        said = self.host.agent("exec", "--vne", "shop", "--confine", "--", "curl", "-sS", "--max-time", "5",
                               "http://10.10.2.1/")
        self.assertEqual(said.stdout, "confined")
        said = self.host.agent("exec", "--vne", "shop", "--confine", "--", "redis-cli", "-h", "10.10.2.2", "ping")
        self.assertEqual(said.stdout.strip(), "PONG")
        # It is judged like any other application.
        refused = self.host.agent("exec", "--vne", "vault", "--confine", "--", "curl", "-sS", "http://10.10.2.1/",
                                  check=False)
        self.assertEqual(refused.returncode, 7, refused.stderr)

    def test_one_capability_is_dropped_by_name(self):
        code = """
def packet():
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    return "done"
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
answer([attempt(packet), status["NoNewPrivs"].strip(), status["Seccomp"].strip()])
"""
        self.host.make("free")
        self.assertEqual(self.host.python("free", code), ["done", "0", "0"])
        self.assertEqual(self.python(code, options=("--drop", "net-raw")), ["EPERM", "0", "0"])
        refused = self.host.agent("exec", "--vne", "shop", "--drop", "net-rwa", "--", "true", check=False)
        self.assertEqual(refused.returncode, 125)
        self.assertIn("net-raw", refused.stderr)


class Requirements(unittest.TestCase):
    def setUp(self):
        self.host = Host("require", policy=POLICY)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        checked = self.host.json("check")["protections"]
        self.held = {status["protection"] for status in checked if status.get("held")}
        self.all = {status["protection"] for status in checked}

    def confined(self):
        child = self.host.start(None, *self.host.agent_command("exec", "--vne", "vault", "--confine", "--name", "safe",
                                                               "--", "sleep", "60"))
        deadline = time.monotonic() + 20
        while self.host.applications().get("safe", {}).get("populated") is not True:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        return child

    def statuses(self, name):
        return {status["protection"]: status for status in self.host.json("status", name)["protections"]}

    def test_check_says_of_each_protection_whether_it_holds_by_what_or_why_not(self):
        checked = self.host.json("check")
        self.assertEqual(checked["kernel"], platform.release())
        self.assertEqual([status["protection"] for status in checked["protections"]],
                         ["families", "membership", "bpf", "netlink", "unix", "dualStack", "closing"])
        for status in checked["protections"]:
            self.assertIn(status["held"], (True, False))
            self.assertEqual("by" in status, status["held"])
            self.assertEqual("reason" in status, not status["held"])
        table = self.host.agent("check").stdout
        self.assertIn(f"kernel {platform.release()}\n", table)
        self.assertIn("cgroup2 at ", table)

    def test_check_needs_no_root_and_says_what_it_cannot_see(self):
        agent = self.host.directory / "vne-agent"
        run("cp", self.host.agent_command("check")[0], agent)
        self.host.directory.chmod(0o755)
        checked = json.loads(run("setpriv", "--reuid", "65534", "--clear-groups", agent, "check", "--json").stdout)
        unseen = [status for status in checked["protections"] if "held" not in status]
        self.assertEqual({status["protection"] for status in unseen},
                         {"families", "membership", "bpf", "netlink", "unix", "dualStack"})
        for status in unseen:
            self.assertIn("root", status["reason"])

    def test_what_an_environment_requires_is_had_by_a_confined_launch(self):
        plain = self.host.agent("exec", "--vne", "vault", "--", "true", check=False)
        missing = {"families", "bpf", "netlink"} - self.held
        self.assertEqual(plain.returncode, 125 if missing else 0)
        for word in missing:
            self.assertIn(f"{word}: ", plain.stderr)
        self.host.agent("exec", "--vne", "vault", "--confine", "--", "true")
        self.confined()
        statuses = self.statuses("safe")
        for word in ("families", "bpf", "netlink"):
            self.assertTrue(statuses[word]["held"])
            if word in missing:
                self.assertEqual(statuses[word]["by"], "exec --confine")
        self.assertEqual(statuses["membership"]["held"], "membership" in self.held)

    def test_a_confined_launch_is_remembered_when_its_exec_was_killed(self):
        child = self.confined()
        child.send_signal(signal.SIGKILL)
        child.wait()
        self.host.attach("web", "shop", "10.10.2.1")
        self.assertTrue(self.host.json("status", "safe")["confined"])
        self.assertFalse(self.host.json("status", "web")["confined"])

    def test_an_attach_without_what_is_required_changes_nothing(self):
        missing = sorted(self.all - self.held)
        if not missing:
            # Everything holds on this kernel: then nothing may be refused.
            self.host.apply(POLICY.replace("shop: {addresses: 10.10.2.0/24}",
                                           f"shop: {{addresses: 10.10.2.0/24, require: [{', '.join(self.all)}]}}"))
            self.host.attach("web", "shop", "10.10.2.1")
            return
        word = missing[0]
        policy = POLICY.replace("shop: {addresses: 10.10.2.0/24}",
                                f"shop: {{addresses: 10.10.2.0/24, require: {word}}}")
        self.host.apply(policy)
        generation = self.host.json("status")["policy"]["generation"]
        refused = self.host.attach("web", "shop", "10.10.2.1", check=False)
        self.assertEqual(refused.returncode, 6, refused.stderr)
        self.assertIn(f"requires {word}, which does not hold for “web”", refused.stderr)
        self.assertEqual(self.host.applications(), {})
        self.host.attach("bank", "bunker", "10.10.4.1")
        # One that is attached already keeps the policy out, whole.
        refused = self.host.apply(policy.replace("require: closing", f"require: [closing, {word}]"), check=False)
        self.assertEqual(refused.returncode, 6, refused.stderr)
        self.assertIn(f"bank in bunker: {word}", refused.stderr)
        self.assertEqual(self.host.json("status")["policy"]["generation"], generation)
        named = policy + f"""
applications:
  web: {{environment: shop, address: 10.10.2.1, cgroup: {self.host.cgroup.name}/web}}
  more: {{environment: bunker, address: 10.10.4.2, cgroup: {self.host.cgroup.name}/more}}
"""
        self.host.make("more")
        checked = self.host.agent("check", self.host.write_policy(named), check=False)
        self.assertEqual(checked.returncode, 6)
        self.assertIn("unmet: ", checked.stdout)
        plan = self.host.agent("apply", "--dry-run", self.host.write_policy(named), check=False)
        self.assertIn(f"! web waits: its environment shop requires {word}", plan.stdout)
        self.assertEqual(self.host.apply(named, check=False).returncode, 6)
        self.assertEqual(set(self.host.applications()), {"bank", "more"}, "the others go on")


class CarriedSockets(unittest.TestCase):
    def setUp(self):
        self.host = Host("carried", policy=POLICY)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)

    def carry(self, code, *arguments):
        """A process that made its sockets outside and then moves into the cgroup."""
        child = self.host.serve(None, code, *arguments)
        (self.host.make("web") / "cgroup.procs").write_text(str(child.pid))
        return child

    def attach(self, *options, **more):
        return self.host.agent("attach", f"{self.host.cgroup.name}/web", "shop", "--address", "10.10.2.1", *options,
                               **more)

    def test_tcp_sockets_that_were_carried_in_are_closed(self):
        child = self.carry(TCP_WHO, "192.0.2.1", "8099")
        self.assertEqual(self.host.python(None, ASK_TCP, "192.0.2.1", "8099")[1], "192.0.2.1")
        attached = json.loads(self.attach("--clean", "close", "--json").stdout)
        self.assertEqual([socket["process"] for socket in attached["closedForeignSockets"]], [child.pid])
        self.assertEqual(attached["foreignSockets"], [])
        self.assertEqual(self.host.python(None, ASK_TCP, "192.0.2.1", "8099"), "ECONNREFUSED")

    def test_datagram_sockets_that_were_carried_in_are_named_and_refused(self):
        child = self.carry(UDP_WHO, "192.0.2.1", "8098")
        refused = self.attach("--clean", "close", check=False)
        self.assertEqual(refused.returncode, 8)
        self.assertIn(f"({child.pid})", refused.stderr)
        self.assertIn("udp 192.0.2.1:8098", refused.stderr)
        self.assertEqual(self.host.applications(), {})
        self.assertIn(f"({child.pid})", self.attach().stdout, "without it they are only told")

    def test_refusing_and_closing_at_once_makes_no_sense(self):
        self.host.make("web")
        self.assertEqual(self.attach("--require-clean", "--clean", "close", check=False).returncode, 2)
        self.attach("--require-clean", "--clean", "refuse")


if __name__ == "__main__":
    unittest.main()
