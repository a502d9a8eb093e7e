"""What is held by hooks that a kernel may keep to itself (BPF LSM) or lack: other families of sockets, leaving the cgroup,
bpf(2), administering the network, abstract Unix sockets.

Each trick is first shown to work in a cgroup that is no application. Inside one it is refused where the instance has the
hook, and the instance may not have it only where the kernel refuses such programs: then it works, as the documentation
says, and nothing claims that it does not.
"""

import ctypes
import errno
import functools
import json
import os
import struct
import tempfile
import unittest
from pathlib import Path

from servers import nginx, redis
from world import BPFTOOL, MOUNT, Host, lasting, programs_on, run

POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
  vault: {addresses: 10.10.3.0/24, unix: private}
"""

# Calls that Python has no name for.
CALLS = """
import ctypes, fcntl, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "syscall")
    return result
"""

SOCKET = """
def body():
    family, kind, protocol = map(int, sys.argv[1:4])
    socket.socket(family, kind, protocol).close()
    return "made"
answer(attempt(body))
"""

# Moves itself, and says where it is now.
WRITE_PROCS = """
def body():
    with open(sys.argv[1] + "/" + sys.argv[2], "w") as procs:
        procs.write("0")
    return "moved"
answer(attempt(body))
"""

# Starts a child by clone3() with CLONE_INTO_CGROUP, with a descriptor that opens no file for writing.
CLONE_INTO = CALLS + """
def body():
    directory = os.open(sys.argv[1], getattr(os, sys.argv[2]))
    arguments = ctypes.create_string_buffer(struct.pack("11Q", 0x200000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, directory))
    reader, writer = os.pipe()
    child = call(435, arguments, 88)
    if child == 0:
        os.write(writer, open("/proc/self/cgroup", "rb").read().split(b"0::")[1].strip())
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(reader, 4096).decode()
answer(attempt(body))
"""

# Makes a map, the least that bpf(2) does.
BPF = CALLS + """
def body():
    os.close(call(321, 0, ctypes.create_string_buffer(struct.pack("4I", 2, 4, 4, 1), 72), 72))
    return "made"
answer(attempt(body))
"""

ADMINISTER = CALLS + """
def ip(*arguments):
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    return "EPERM" if "not permitted" in result.stderr else result.stderr or "done"
def flags():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any:
        fcntl.ioctl(any, 0x8914, struct.pack("16sh14x", b"lo", 0x49))
    return "done"
answer({
    "address": ip("address", "add", "198.51.100.7/32", "dev", "lo"),
    "route": ip("route", "add", "198.51.100.128/25", "dev", "lo"),
    "ioctl": attempt(flags),
    "sees": "lo" in subprocess.run(["ip", "address", "show"], capture_output=True, text=True).stdout,
})
"""

UNIX_SERVER = """
kept = []
for kind, name in ((socket.SOCK_STREAM, "\\0" + sys.argv[1]), (socket.SOCK_DGRAM, "\\0" + sys.argv[1] + "-d"),
                   (socket.SOCK_STREAM, sys.argv[2])):
    server = socket.socket(socket.AF_UNIX, kind)
    server.bind(name)
    if kind == socket.SOCK_STREAM:
        server.listen()
    kept.append(server)
ready()
time.sleep(1 << 20)
"""

UNIX_CLIENT = """
def connect(kind, name):
    with socket.socket(socket.AF_UNIX, kind) as client:
        client.connect(name)
    return "reached"
def send(name):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", name)
    return "reached"
def own():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\\0own-%d" % os.getpid())
        listener.listen()
        return connect(socket.SOCK_STREAM, listener.getsockname())
answer({
    "stream": attempt(lambda: connect(socket.SOCK_STREAM, "\\0" + sys.argv[1])),
    "datagram": attempt(lambda: connect(socket.SOCK_DGRAM, "\\0" + sys.argv[1] + "-d")),
    "sendto": attempt(lambda: send("\\0" + sys.argv[1] + "-d")),
    "path": attempt(lambda: connect(socket.SOCK_STREAM, sys.argv[2])),
    "own": attempt(own),
})
"""

# What no protection may break.
FRIENDLY = """
import subprocess, threading
results = {
    "resolves": bool(socket.getaddrinfo("localhost", 80)),
    "interfaces": any(name == "lo" for _, name in socket.if_nameindex()),
    "runs": subprocess.run(["sh", "-c", "echo $(echo in)"], capture_output=True, text=True).stdout,
    "reads": "0" not in open(sys.argv[1] + "/cgroup.procs").read().split(),
    "writes": open(sys.argv[2], "w").write("x"),
    "own cgroup": attempt(lambda: open(sys.argv[3] + "/cgroup.procs", "w").write("0")),
    "child cgroup": attempt(lambda: open(sys.argv[3] + "/below/cgroup.procs", "w").write("0")),
    "back again": attempt(lambda: open(sys.argv[3] + "/cgroup.procs", "w").write("0")),
}
thread = threading.Thread(target=lambda: results.update(thread=True))
thread.start()
thread.join()
answer(results)
"""


@functools.cache
def kernel_runs_bpf_lsm():
    """Whether the kernel takes a program of BPF LSM for a cgroup and has BPF among its security modules, as bpftool
    sees it: nothing here asks the agent."""
    modules = Path("/sys/kernel/security/lsm")
    if not modules.exists() or "bpf" not in modules.read_text().strip().split(","):
        return False
    return run(BPFTOOL, "feature", "probe", "kernel").stdout.find("eBPF program_type lsm is available") >= 0


@functools.cache
def kernel_has_unix_hooks():
    return tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 7)


BPF_PROG_QUERY = 16
# BPF_LSM_CGROUP, BPF_CGROUP_UNIX_CONNECT, BPF_CGROUP_UNIX_SENDMSG: Debian's bpftool does not show the last two.
OPTIONAL_TYPES = (43, 49, 50)


def optional_programs_on(cgroup):
    """Names of the programs on a cgroup at hooks that a kernel may lack, as the kernel lists them."""
    libc = ctypes.CDLL(None, use_errno=True)
    directory = os.open(cgroup, os.O_RDONLY)
    names = set()
    try:
        for kind in OPTIONAL_TYPES:
            ids, flags = (ctypes.c_uint32 * 640)(), (ctypes.c_uint32 * 640)()
            # Of the types with one hook only, older kernels want no flags.
            query = bytearray(struct.pack("4IQ2IQ", directory, kind, 0, 0, ctypes.addressof(ids), 640, 0,
                                          ctypes.addressof(flags) if kind == 43 else 0))
            attributes = (ctypes.c_char * len(query)).from_buffer(query)
            if libc.syscall(321, BPF_PROG_QUERY, attributes, len(query)):
                if ctypes.get_errno() == errno.EINVAL:
                    continue
                raise OSError(ctypes.get_errno(), f"BPF_PROG_QUERY {kind}")
            for program in ids[:struct.unpack_from("I", query, 24)[0]]:
                names.add(json.loads(run(BPFTOOL, "-j", "prog", "show", "id", program).stdout)["name"])
    finally:
        os.close(directory)
    return names


class Protections(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(lasting("host"))

    def setUp(self):
        self.host = Host(policy=POLICY, remote=False)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__, None, None, None)
        self.host.make("free")
        self.host.attach("web", "shop", "10.10.2.1")
        self.pins = {pin.name for pin in Path(f"/sys/fs/bpf/{self.host.instance}/programs").iterdir()}

    def holds(self, *programs, application="web"):
        """Whether the instance has programs, and every one of them is on the application's cgroup."""
        attached = optional_programs_on(self.host.cgroup / application)
        present = [program in self.pins for program in programs]
        self.assertEqual([program in attached for program in programs], present)
        self.assertIn(len(set(present)), [1], "either all of them or none")
        return present[0]

    def assert_tried(self, outcome, held, works):
        """`outcome` is a refusal where it is held, and otherwise what it is outside."""
        self.assertEqual(outcome, "EPERM" if held else works)

    def test_an_instance_has_the_security_hooks_where_the_kernel_runs_them(self):
        self.assertEqual(self.holds("vne_lsm_socket", "vne_lsm_open", "vne_lsm_clone", "vne_lsm_bpf", "vne_lsm_admin"),
                         kernel_runs_bpf_lsm())

    def test_check_and_status_say_what_is_on_the_cgroup(self):
        programs = {"families": ["vne_lsm_socket"], "membership": ["vne_lsm_open", "vne_lsm_clone"],
                    "bpf": ["vne_lsm_bpf"], "netlink": ["vne_lsm_admin"]}
        attached = {protection: self.holds(*names) for protection, names in programs.items()}
        for said in (self.host.json("check"), self.host.json("status")["applications"][0]):
            held = {entry["protection"]: entry["held"] for entry in said["protections"]}
            self.assertEqual({protection: held[protection] for protection in programs}, attached)

    def test_sockets_of_other_families_are_refused(self):
        held = self.holds("vne_lsm_socket")
        # Packet, vsock: neither passes any hook of a cgroup's sockets.
        for arguments in (("17", "3", "3"), ("40", "1", "0")):
            outside = self.host.python("free", SOCKET, *arguments)
            if arguments[0] == "17":
                self.assertEqual(outside, "made")
            self.assert_tried(self.host.python("web", SOCKET, *arguments), held, outside)
        if held:
            self.assertGreaterEqual(self.host.counts("web", "create")["protocol"], 2)

    def test_no_process_writes_itself_out_of_the_cgroup(self):
        held = self.holds("vne_lsm_open")
        elsewhere = self.host.make("elsewhere")
        self.assertEqual(self.host.python("free", WRITE_PROCS, str(elsewhere), "cgroup.procs"), "moved")
        self.assert_tried(self.host.python("web", WRITE_PROCS, str(elsewhere), "cgroup.procs"), held, "moved")
        self.assert_tried(self.host.python("web", WRITE_PROCS, str(self.host.cgroup), "cgroup.procs"), held, "moved")
        self.assert_tried(self.host.python("web", WRITE_PROCS, str(MOUNT), "cgroup.procs"), held, "moved")
        if held:
            self.assertGreaterEqual(self.host.counts("web", "system")["membership"], 3)

    def test_another_mount_of_the_cgroup_tree_is_no_way_out(self):
        held = self.holds("vne_lsm_open")
        self.host.make("elsewhere")
        mounted = tempfile.mkdtemp(prefix="vne-cgroup2-")
        self.addCleanup(os.rmdir, mounted)
        code = ("import subprocess\nsubprocess.run(['mount', '-t', 'cgroup2', 'none', sys.argv[1]], check=True)\n" +
                WRITE_PROCS.replace("sys.argv[1]", "sys.argv[1] + sys.argv[3]"))
        inside = f"/{self.host.cgroup.relative_to(MOUNT)}/elsewhere"
        for application, expected in (("free", "moved"), ("web", "EPERM" if held else "moved")):
            # In a mount namespace of its own, so that nothing is left mounted.
            script = "import ctypes\nctypes.CDLL(None).unshare(0x20000)\n" \
                     "import subprocess\nsubprocess.run(['mount', '--make-rprivate', '/'], check=True)\n"
            self.assertEqual(self.host.python(application, script + code, mounted, "cgroup.procs", inside), expected)

    def test_no_child_starts_in_another_cgroup(self):
        held = self.holds("vne_lsm_clone")
        elsewhere = self.host.make("elsewhere")
        there = f"/{elsewhere.relative_to(MOUNT)}"
        for flags in ("O_RDONLY", "O_PATH"):
            self.assertEqual(self.host.python("free", CLONE_INTO, str(elsewhere), flags), there)
            self.assert_tried(self.host.python("web", CLONE_INTO, str(elsewhere), flags), held, there)

    def test_bpf_is_refused(self):
        held = self.holds("vne_lsm_bpf")
        self.assertEqual(self.host.python("free", BPF), "made")
        self.assert_tried(self.host.python("web", BPF), held, "made")
        if held:
            self.assertGreaterEqual(self.host.counts("web", "system")["administration"], 1)

    def test_addresses_and_routes_of_the_host_stay_as_they_are(self):
        held = self.holds("vne_lsm_admin")
        done = {"address": "done", "route": "done", "ioctl": "done", "sees": True}
        self.assertEqual(self.host.python("free", ADMINISTER), done)
        run("ip", "-n", self.host.name, "address", "delete", "198.51.100.7/32", "dev", "lo")
        run("ip", "-n", self.host.name, "route", "delete", "198.51.100.128/25", "dev", "lo")
        refused = {"address": "EPERM", "route": "EPERM", "ioctl": "EPERM", "sees": True}
        self.assertEqual(self.host.python("web", ADMINISTER), refused if held else done)

    def test_abstract_unix_sockets_of_others_are_out_of_reach_where_the_environment_says_private(self):
        self.host.attach("safe", "vault", "10.10.3.1")
        security = self.holds("vne_lsm_connect", "vne_lsm_send", application="safe")
        hooks = self.holds("vne_connectunix", "vne_sendunix", application="safe")
        self.assertEqual(security, kernel_runs_bpf_lsm())
        self.assertEqual(hooks, kernel_has_unix_hooks() and not security)
        unix = {"vne_lsm_connect", "vne_lsm_send", "vne_connectunix", "vne_sendunix"}
        self.assertFalse(unix & optional_programs_on(self.host.cgroup / "web"))
        path = self.host.directory / "server.sock"
        arguments = (self.host.name, str(path))
        self.host.serve(None, UNIX_SERVER, *arguments)
        free = dict.fromkeys(("stream", "datagram", "sendto", "path", "own"), "reached")
        self.assertEqual(self.host.python("free", UNIX_CLIENT, *arguments), free)
        self.assertEqual(self.host.python("web", UNIX_CLIENT, *arguments), free)
        refused = {**free, "stream": "EPERM", "datagram": "EPERM", "sendto": "EPERM",
                   "own": "reached" if security else "EPERM"}
        self.assertEqual(self.host.python("safe", UNIX_CLIENT, *arguments), refused if security or hooks else free)
        if security or hooks:
            # To the security hooks, to connect a datagram socket is to send.
            self.assertEqual(self.host.counts("safe", "connect")["unix"], 1 if security else 3)
            self.assertEqual(self.host.counts("safe", "send")["unix"], 2 if security else 1)
        self.host.apply(POLICY.replace("unix: private", "unix: shared"))
        self.assertEqual(self.host.python("safe", UNIX_CLIENT, *arguments), free)
        self.assertFalse(unix & optional_programs_on(self.host.cgroup / "safe"))
        # And from one moment to the next for who is attached already.
        self.host.apply(POLICY)
        self.assertEqual(self.host.python("safe", UNIX_CLIENT, *arguments), refused if security or hooks else free)

    def test_what_programs_need_goes_on(self):
        (self.host.cgroup / "web" / "below").mkdir()
        self.assertEqual(
            self.host.python("web", FRIENDLY, str(MOUNT), str(self.host.directory / "file"),
                             str(self.host.cgroup / "web")),
            {"resolves": True, "interfaces": True, "runs": "in\n", "reads": True, "writes": 1, "own cgroup": 1,
             "child cgroup": 1, "back again": 1, "thread": True})

    def test_unmodified_servers_start_as_root(self):
        self.host.attach("cache", "shop", "10.10.2.2")
        nginx(self.host, "web", "a page")
        redis(self.host, "cache")
        self.host.wait_for_port("web", "10.10.2.1", 80)
        self.host.wait_for_port("web", "10.10.2.2", 6379)
        self.assertEqual(self.host.run("web", "curl", "-s", "-m", "5", "http://10.10.2.1/").stdout, "a page")
        self.assertEqual(self.host.run("web", "redis-cli", "-h", "10.10.2.2", "ping").stdout, "PONG\n")

    def test_detach_gives_everything_back(self):
        self.host.agent("detach", "web")
        self.assertEqual(programs_on(self.host.cgroup / "web"), [])
        self.assertEqual(optional_programs_on(self.host.cgroup / "web"), set())
        self.assertEqual(self.host.python("web", SOCKET, "17", "3", "3"), "made")
        self.assertEqual(self.host.python("web", BPF), "made")
        self.assertEqual(self.host.python("web", WRITE_PROCS, str(self.host.make("elsewhere")), "cgroup.procs"), "moved")


if __name__ == "__main__":
    unittest.main()
