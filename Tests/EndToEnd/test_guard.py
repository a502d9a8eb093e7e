"""The guard: processes of the host that are no application keep clear of applications' addresses.

Each way round is tried without the guard first, where it works, and then with it.
"""

import json
import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

from world import ASK_TCP, ASK_UDP, Host, MOUNT, PYTHON_PRELUDE, SLOWNESS, TCP_WHO, UDP_WHO, lasting, programs_on, run

POLICY = """
addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
environments:
  shop: {addresses: [10.10.2.0/24, "fd00:10:10:2::/64"]}
  sealed: {addresses: 10.10.4.0/24, host: deny}
  groups: {addresses: 10.10.5.0/24, multicast: true}
"""
# What guarded processes have of their own; addresses of the host.
ADDRESSES = ', addresses: [192.0.2.1, "2001:db8::1"]'
HOOKS = 8

# Whether each address can be bound, by TCP and by UDP; the sockets go at once.
BIND = """
def body(address, kind, freebind):
    with socket.socket(family(address), kind) as made:
        if freebind:
            made.setsockopt(socket.IPPROTO_IP, 15, 1)
        made.bind((address, 0))
        return made.getsockname()[0]
kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
answer({a: [attempt(lambda: body(a, kind, False)) for kind in kinds] + [attempt(lambda: body(a, kinds[1], True))]
        for a in sys.argv[1:]})
"""

# Sends one datagram as somebody else: from a port of the host's own address, with another source.
BORROW = """
with socket.socket(family(sys.argv[1]), socket.SOCK_DGRAM) as client:
    client.bind((sys.argv[4], int(sys.argv[5])))
    if family(sys.argv[1]) == socket.AF_INET6:
        wanted = socket.inet_pton(socket.AF_INET6, sys.argv[3]) + struct.pack("I", 0)
        control = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, wanted)]
    else:
        control = [(socket.IPPROTO_IP, 8, struct.pack("i4s4s", 0, socket.inet_aton(sys.argv[3]), bytes(4)))]
    answer(attempt(lambda: client.sendmsg([b"forged"], control, 0, (sys.argv[1], int(sys.argv[2])))))
"""

# Prints each datagram that it hears.
HEAR = """
with socket.socket(family(sys.argv[1]), socket.SOCK_DGRAM) as server:
    server.bind((sys.argv[1], int(sys.argv[2])))
    ready()
    while True:
        data, peer = server.recvfrom(2048)
        print(json.dumps([data.decode(), peer[0], peer[1]]), flush=True)
"""

# Whether a port can be had on an address.
TAKE = """
def body():
    kind = socket.SOCK_DGRAM if sys.argv[3] == "udp" else socket.SOCK_STREAM
    with socket.socket(family(sys.argv[1]), kind) as made:
        if len(sys.argv) > 4:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(sys.argv[4]))
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((sys.argv[1], int(sys.argv[2])))
        if kind == socket.SOCK_STREAM:
            made.listen()
        return made.getsockname()[0]
answer(attempt(body))
"""


class Guard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(lasting("guard"))

    def setUp(self):
        self.host = Host("guard", policy=POLICY)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        self.host.make("services")

    def guard(self, more="", **options):
        """Guards the cgroup `services`."""
        return self.host.apply(POLICY + f"guard: {{cgroups: {self.host.cgroup.name}/services{more}}}\n", **options)

    def tcp(self, source, destination, port, **options):
        return self.host.python(source, ASK_TCP, destination, str(port), **options)

    def udp(self, source, destination, port, how="plain", *more, **options):
        return self.host.python(source, ASK_UDP, destination, str(port), how, *more, **options)

    def remote(self, ask, *arguments):
        return ask(None, *arguments, namespace=self.host.remote_namespace)

    def attach_below(self, name, addresses, environment="shop"):
        """Attaches an application whose cgroup lies in the guarded one."""
        self.host.make(f"services/{name}")
        named = [word for address in addresses.split(",") for word in ("--address", address)]
        self.host.agent("attach", f"{self.host.cgroup.name}/services/{name}", environment, *named, "--name", name)

    # ------------------------------------------------------------------ taking an address

    def test_a_process_of_the_host_binds_no_address_of_the_address_space(self):
        self.host.attach("web", "shop", "10.10.2.1,fd00:10:10:2::1")
        taken = ("10.10.2.1", "::ffff:10.10.2.1", "fd00:10:10:2::1", "127.1.0.1")
        own = ("127.0.0.1", "127.0.1.1", "192.0.2.1", "0.0.0.0", "::1", "2001:db8::1", "::")
        before = self.host.python("services", BIND, *taken, *own, "10.10.9.9")
        for address in taken + own:
            self.assertEqual(before[address], [address] * 3, "the control")
        self.assertEqual(before["10.10.9.9"][2], "10.10.9.9", "the control: IP_FREEBIND takes what nobody has")
        self.guard()
        after = self.host.python("services", BIND, *taken, *own, "10.10.9.9")
        for address in taken + ("10.10.9.9",):
            self.assertEqual(after[address], ["EADDRNOTAVAIL"] * 3, address)
        for address in own:
            self.assertEqual(after[address], before[address], address)
        self.assertEqual(self.host.python(None, BIND, "10.10.2.1")["10.10.2.1"][0], "10.10.2.1", "not guarded")

    def test_a_socket_that_had_an_application_address_before_connects_no_more(self):
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.serve(None, TCP_WHO, "0.0.0.0", "7000", namespace=self.host.remote_namespace)
        code = """
made = [socket.socket() for _ in range(2)]
for client in made:
    client.settimeout(1)
    client.bind(("10.10.2.1", 0))
ready()
for client in made:
    sys.stdin.readline()
    answer(attempt(lambda: client.connect(("192.0.2.2", 7000))))
    sys.stdout.flush()
"""
        child = self.host.start("services", sys.executable, "-u", "-c", PYTHON_PRELUDE + code, stdin=subprocess.PIPE)
        self.assertEqual(child.stdout.readline().strip(), "ready")

        def connect():
            child.stdin.write("go\n")
            child.stdin.flush()
            return json.loads(child.stdout.readline())
        self.assertIsNone(connect(), "the control")
        self.guard()
        self.assertEqual(connect(), "EADDRNOTAVAIL")

    def test_nobody_sends_as_an_application_by_pktinfo(self):
        # The victim takes datagrams of its environment only, and knows a sender by the socket at its address and port.
        self.host.attach("victim", "sealed", "10.10.4.1")
        self.host.attach("member", "sealed", "10.10.4.2")
        victim = self.host.serve("victim", HEAR, "0.0.0.0", "53")
        self.host.serve("member", UDP_WHO, "0.0.0.0", "9000")
        borrow = ("10.10.4.1", "53", "10.10.4.2", "192.0.2.1", "9000")
        self.assertEqual(self.host.python("services", BORROW, *borrow), 6)
        self.assertEqual(json.loads(victim.stdout.readline()), ["forged", "10.10.4.2", 9000], "the control")
        self.guard()
        self.assertEqual(self.host.python("services", BORROW, *borrow), "EPERM")
        self.assertEqual(self.udp("services", "10.10.4.1", 53, "connected-pktinfo", "10.10.4.2"), "EPERM")
        # The host's own addresses can be asked for as ever.
        self.host.serve(None, UDP_WHO, "0.0.0.0", "7000", namespace=self.host.remote_namespace)
        self.assertEqual(self.udp("services", "192.0.2.2", 7000, "pktinfo", "192.0.2.1")[0], "192.0.2.1")

    def test_nobody_sends_as_an_application_by_pktinfo_over_ipv6(self):
        self.host.attach("victim", "shop", "fd00:10:10:2::1")
        self.host.attach("member", "shop", "fd00:10:10:2::2")
        victim = self.host.serve("victim", HEAR, "::", "53")
        borrow = ("fd00:10:10:2::1", "53", "fd00:10:10:2::2", "2001:db8::1", "9000")
        self.assertEqual(self.host.python("services", BORROW, *borrow), 6)
        self.assertEqual(json.loads(victim.stdout.readline())[1], "fd00:10:10:2::2", "the control")
        self.guard()
        self.assertEqual(self.host.python("services", BORROW, *borrow), "EPERM")

    # ------------------------------------------------------------------ wildcards

    def test_a_wildcard_daemon_never_answers_on_an_application_address(self):
        self.host.attach("web", "shop", "10.10.2.1,fd00:10:10:2::1")
        self.host.attach("api", "shop", "10.10.2.2,fd00:10:10:2::2")
        for kind in (TCP_WHO, UDP_WHO):
            self.host.serve("services", kind, "0.0.0.0", "8083")
            self.host.serve("services", kind, "::", "8083", "1")
            self.host.serve("services", kind, "::", "8084", "0")
        asked = [("10.10.2.1", 8083), ("fd00:10:10:2::1", 8083), ("10.10.2.1", 8084), ("fd00:10:10:2::1", 8084)]
        for address, port in asked:
            self.assertEqual(self.remote(self.tcp, address, port)[1].removeprefix("::ffff:"), address, "the control")
            self.assertNotEqual(self.udp("api", address, port), "timeout", "the control: the gap over UDP")
        self.guard()
        for address, port in asked:
            self.assertEqual(self.remote(self.tcp, address, port), "timeout")
            self.assertEqual(self.tcp(None, address, port), "timeout")
            self.assertEqual(self.udp("api", address, port), "timeout")
        for address in ("192.0.2.1", "2001:db8::1"):
            self.assertEqual(self.remote(self.tcp, address, 8083)[1], address)
            self.assertNotEqual(self.remote(self.udp, address, 8083), "timeout")
            self.assertNotEqual(self.udp("api", address, 8083), "timeout", "an application reaches the host as ever")
        for address in ("127.0.0.1", "::1"):
            self.assertEqual(self.tcp("services", address, 8083)[1], address)
        refused = self.host.json("status")["guards"][0]["refused"]
        self.assertGreaterEqual(refused["ingress"], len(asked))

    def test_with_addresses_a_daemon_and_an_application_have_the_same_port(self):
        self.host.attach("web", "shop", "10.10.2.1,fd00:10:10:2::1")
        self.host.attach("api", "shop", "10.10.2.2,fd00:10:10:2::2")
        more = {"0.0.0.0": [], "::": ["1"]}
        daemons = [self.host.serve("services", kind, wildcard, "8080", *more[wildcard])
                   for kind in (TCP_WHO, UDP_WHO) for wildcard in more]
        for wildcard in more:
            for kind in ("tcp", "udp"):
                self.assertEqual(self.host.python("web", TAKE, wildcard, "8080", kind, *more[wildcard]), "EADDRINUSE")
        self.assertEqual(self.tcp("api", "10.10.2.1", 8080), "timeout", "the control: the answer is dropped")
        for daemon in daemons:
            daemon.kill()
            daemon.wait()
        self.guard(ADDRESSES)
        for kind in (TCP_WHO, UDP_WHO):
            for wildcard in more:
                self.host.serve("services", kind, wildcard, "8080", *more[wildcard])
        for address in ("10.10.2.1", "fd00:10:10:2::1"):
            self.assertEqual(self.tcp("api", address, 8080), "ECONNREFUSED", "where nobody listens, it says so")
        for kind in (TCP_WHO, UDP_WHO):
            for wildcard in more:
                self.host.serve("web", kind, wildcard, "8080", *more[wildcard])
        for application, host in (("10.10.2.1", "192.0.2.1"), ("fd00:10:10:2::1", "2001:db8::1")):
            self.assertEqual(self.remote(self.tcp, application, 8080)[1], application)
            self.assertEqual(self.remote(self.tcp, host, 8080)[1], host)
            self.assertEqual(self.tcp("api", application, 8080)[1], application)
            self.assertNotEqual(self.udp("api", application, 8080), "timeout")
            self.assertNotEqual(self.remote(self.udp, host, 8080), "timeout")

    def test_with_addresses_a_wildcard_of_both_families_stays_one(self):
        self.guard(ADDRESSES)
        self.host.serve("services", TCP_WHO, "::", "8080", "0")
        for address in ("192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"):
            self.assertEqual(self.tcp("services", address, 8080)[1].removeprefix("::ffff:"), address)
        said = self.host.python("services", TAKE, "0.0.0.0", "8081", "tcp")
        self.assertEqual(said, "192.0.2.1", "one of IPv4 alone is bound to the guard's address")

    # ------------------------------------------------------------------ the host's own calls

    def test_a_guarded_process_calls_applications_as_before(self):
        self.host.attach("web", "shop", "10.10.2.1,fd00:10:10:2::1")
        for kind in (TCP_WHO, UDP_WHO):
            self.host.serve("web", kind, "0.0.0.0", "80")
            self.host.serve("web", kind, "::", "80", "1")

        def calls():
            return {address: [self.tcp("services", address, 80)[0]] + [
                self.udp("services", address, 80, how)[0] for how in ("plain", "connected")]
                for address in ("10.10.2.1", "fd00:10:10:2::1")}
        same = {address: [address] * 3 for address in ("10.10.2.1", "fd00:10:10:2::1")}
        self.assertEqual(calls(), same, "the control: the kernel gives a caller the address that it calls")
        self.guard()
        self.assertEqual(calls(), same)
        self.guard(ADDRESSES)
        self.assertEqual(calls(), {"10.10.2.1": ["192.0.2.1"] * 3, "fd00:10:10:2::1": ["2001:db8::1"] * 3})
        self.host.serve(None, TCP_WHO, "0.0.0.0", "7000", namespace=self.host.remote_namespace)
        self.assertEqual(self.tcp("services", "192.0.2.2", 7000)[0], "192.0.2.1", "the rest of the world")

    def test_another_network_namespace_has_addresses_of_its_own(self):
        self.host.attach("web", "shop", "10.10.2.1")
        run("ip", "-n", self.host.remote, "route", "flush", "10.10.0.0/16")
        run("ip", "-n", self.host.remote, "address", "add", "10.10.2.1/32", "dev", "lo")
        self.guard(ADDRESSES)
        elsewhere = {"namespace": self.host.remote_namespace}
        self.assertEqual(self.host.python("services", BIND, "10.10.2.1", **elsewhere)["10.10.2.1"], ["10.10.2.1"] * 3)
        self.host.serve("services", TCP_WHO, "0.0.0.0", "80", **elsewhere)
        self.host.serve("services", UDP_WHO, "0.0.0.0", "80", **elsewhere)
        self.assertEqual(self.tcp("services", "10.10.2.1", 80, **elsewhere), ["10.10.2.1"] * 2)
        self.assertEqual(self.udp("services", "10.10.2.1", 80, **elsewhere)[0], "10.10.2.1")

    # ------------------------------------------------------------------ applications below

    def test_an_application_below_a_guarded_cgroup_goes_on_unchanged(self):
        self.attach_below("web", "10.10.2.1,fd00:10:10:2::1")
        calls = [sys.executable, "-W", "ignore", Path(__file__).with_name("socket_calls.py"), "10.10.2.1", "fd00:10:10:2::1"]

        def say():
            return json.loads(self.host.run("services/web", *calls, check=True, timeout=120 * SLOWNESS).stdout)
        before = say()
        self.assertGreater(len(before), 40)
        for more in ("", ADDRESSES):
            self.guard(more)
            self.assertEqual(say(), before)
        self.host.serve("services/web", TCP_WHO, "0.0.0.0", "80")
        self.host.serve("services/web", TCP_WHO, "127.0.0.1", "81")
        self.assertEqual(self.remote(self.tcp, "10.10.2.1", 80)[1], "10.10.2.1")
        self.assertEqual(self.tcp("services/web", "127.0.0.1", 81)[1], "127.0.0.1")
        self.assertEqual(self.tcp("services", "10.10.2.1", 80)[0], "192.0.2.1")
        self.assertEqual(self.host.json("status")["guards"][0]["refused"], {})
        child = self.host.cgroup / "services" / "web" / "child"
        child.mkdir()
        self.assertEqual(self.host.python("services/web/child", TAKE, "0.0.0.0", "8090", "tcp"), "0.0.0.0")

    def test_an_application_that_hears_groups_keeps_its_wildcard(self):
        # Its datagram wildcards stay wildcards, so that groups are heard: the guard sees them as they are.
        self.attach_below("radio", "10.10.5.1", "groups")
        self.guard(ADDRESSES)
        self.host.serve("services/radio", UDP_WHO, "0.0.0.0", "53")
        self.assertEqual(self.remote(self.udp, "10.10.5.1", 53)[1], "x")
        self.assertEqual(self.host.python("services/radio", TAKE, "224.0.0.251", "5353", "udp"), "224.0.0.251")

    def test_one_application_below_a_guard_is_no_other(self):
        self.attach_below("web", "10.10.2.1")
        self.attach_below("api", "10.10.2.2")
        # A socket of the host's that was passed in passes no hook of the application, but the guard's.
        code = """
import array
left, right = socket.socketpair()
if os.fork() == 0:
    with open(sys.argv[1], "w") as procs:
        procs.write("0")
    _, received, _, _ = socket.recv_fds(right, 10, 4)
    results = []
    for descriptor, address in zip(received, ("10.10.2.1", "10.10.2.2", "127.1.0.1", "127.1.1.1")):
        with socket.socket(fileno=descriptor) as passed:
            results.append(attempt(lambda: passed.bind((address, 0))))
    answer(results)
    sys.stdout.flush()
    os._exit(0)
made = [socket.socket() for _ in range(4)]
socket.send_fds(left, [b"x"], [each.fileno() for each in made])
os.wait()
"""
        procs = str(self.host.cgroup / "services" / "web" / "cgroup.procs")
        self.assertEqual(self.host.python("services", code, procs), [None] * 4, "the control")
        self.guard()
        self.assertEqual(self.host.python("services", code, procs), [None, "EADDRNOTAVAIL", None, "EADDRNOTAVAIL"])

    # ------------------------------------------------------------------ its life

    def hooks(self, application="services"):
        return sorted(name for _, name in programs_on(self.host.cgroup / application))

    def test_apply_guards_and_takes_the_guard_away(self):
        path = f"{self.host.cgroup.name}/services"
        plan = self.guard(check=True).stdout
        self.assertIn(f"+ guard {path}", plan)
        self.assertEqual(len(self.hooks()), HOOKS)
        self.assertTrue(all(name.startswith("vne_g_") for name in self.hooks()))
        self.assertNotIn("guard", self.guard().stdout, "nothing is left to do")
        status = self.host.json("status")
        self.assertEqual(status["guards"], [{"cgroup": path, "cgroupExists": True, "state": "attached", "refused": {}}])
        self.assertEqual(status["problems"], [])
        self.assertIn(path, self.host.agent("status").stdout)
        dumped = self.host.json("dump")
        self.assertEqual([row["cgroup"] for row in dumped["guarded"]], [path])
        self.assertEqual(len([row for row in dumped["hooks"] if row["cgroup"] == path]), HOOKS)
        self.assertIn(f"- guard {path} no longer", self.host.agent("apply", "--dry-run", self.host.write_policy(POLICY)).stdout)
        self.assertEqual(len(self.hooks()), HOOKS, "a dry run changes nothing")
        self.host.apply(POLICY)
        self.assertEqual(self.hooks(), [])
        self.assertEqual(self.host.json("status")["guards"], [])
        self.guard()
        self.host.agent("unload")
        self.assertEqual(self.hooks(), [])

    def test_what_a_guard_refuses_is_told(self):
        self.host.attach("web", "shop", "10.10.2.1")
        self.guard()
        self.host.python("services", BIND, "10.10.2.1")
        self.assertEqual(self.host.json("status")["guards"][0]["refused"], {"bind": 3})
        denials = self.host.json("flows", "--denied")["denials"]
        self.assertEqual({(denial["hook"], denial["reason"]) for denial in denials}, {("bind", "foreign-address")})

    def test_a_guard_that_cannot_be_is_told(self):
        self.host.attach("services", "shop", "10.10.2.1")
        path = f"{self.host.cgroup.name}/services"
        self.assertIn(f"! {path} is not guarded: it belongs to the application services", self.guard().stdout)
        self.host.agent("detach", "services")
        self.guard()
        refused = self.host.attach("services", "shop", "10.10.2.1", check=False)
        self.assertIn("is guarded", refused.stderr)
        self.assertEqual(self.host.agent("attach", self.host.cgroup.name, "shop", check=False).returncode,
                         refused.returncode, "nor may an application hold it")
        absent = POLICY + f"guard: {{cgroups: {self.host.cgroup.name}/absent}}\n"
        self.assertIn("is not guarded: there is no such cgroup yet", self.host.apply(absent).stdout)
        self.assertIn("absent guarded and it is not", "\n".join(self.host.json("status")["problems"]))
        wrong = self.guard(", addresses: 192.0.2.77", check=False)
        self.assertIn("192.0.2.77, the guard's address, is on no interface", wrong.stderr)
        self.assertEqual(self.hooks(), [], "a refused policy changes nothing")

    def test_check_names_wildcards_that_were_bound_before(self):
        self.host.serve("services", TCP_WHO, "0.0.0.0", "8083")
        self.host.serve("services", UDP_WHO, "::", "8084", "0")
        self.host.serve("services", TCP_WHO, "127.0.0.1", "8085")
        policy = self.host.write_policy(POLICY + f"guard: {{cgroups: {self.host.cgroup.name}/services}}\n")
        warnings = "\n".join(self.host.json("check", policy)["warnings"])
        self.assertIn("2 socket(s) of guarded processes are on a wildcard already (tcp/8083, udp/8084)", warnings)

    def test_a_cgroup_that_goes_takes_its_guard_with_it(self):
        self.guard()
        (self.host.cgroup / "services").rmdir()
        self.assertIn("cgroup-gone", "\n".join(self.host.json("status")["problems"]))
        self.host.make("services")
        self.assertEqual(self.hooks(), [])
        self.assertIn("+ guard", self.guard().stdout)
        self.assertEqual(len(self.hooks()), HOOKS)

    def test_a_killed_apply_is_finished_by_the_next_command(self):
        path = self.host.directory / "guarded.yaml"
        path.write_text(POLICY + f"guard: {{cgroups: {self.host.cgroup.name}/services}}\n")
        seen = set()
        for number in range(1, 200):
            done = self.host.run(None, "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=bpf", "-e",
                                 f"inject=bpf:signal=SIGKILL:when={number}", *self.host.agent_command("apply", path),
                                 timeout=60 * SLOWNESS)
            seen.add(len(self.hooks()))
            if done.returncode == 0:
                break
            self.assertIn(done.returncode, (-signal.SIGKILL, 137))
            # Any changing command finishes what was begun; none undoes the policy.
            self.host.agent("detach", "nobody", check=False)
            self.assertIn(len(self.hooks()), (0, HOOKS))
            self.host.apply(POLICY)
            self.assertEqual(self.hooks(), [])
        self.assertEqual(done.returncode, 0)
        self.assertEqual(len(self.hooks()), HOOKS)
        self.assertGreater(len(seen), HOOKS // 2, "it was killed between hooks")


@unittest.skipUnless(os.environ.get("VNE_TEST_MACHINE"), "guards the root cgroup: in the machine of Tests/Kernels only")
class WholeHost(unittest.TestCase):
    def test_the_whole_host_is_guarded_and_applications_go_on(self):
        with Host("root", policy=POLICY) as host:
            host.attach("web", "shop", "10.10.2.1,fd00:10:10:2::1")
            calls = [sys.executable, "-W", "ignore", Path(__file__).with_name("socket_calls.py"), "10.10.2.1",
                     "fd00:10:10:2::1"]

            def say():
                return json.loads(host.run("web", *calls, check=True, timeout=120 * SLOWNESS).stdout)
            before, programs = say(), programs_on(MOUNT)
            self.assertEqual(host.python(None, BIND, "10.10.2.1")["10.10.2.1"][0], "10.10.2.1", "the control")
            plan = host.apply(POLICY + "guard: {cgroups: /}\n").stdout
            self.assertIn("+ guard the whole host (/)", plan)
            self.assertEqual(len(programs_on(MOUNT)), len(programs) + HOOKS)
            self.assertEqual(host.python(None, BIND, "10.10.2.1")["10.10.2.1"], ["EADDRNOTAVAIL"] * 3)
            self.assertEqual(host.python(None, BIND, "192.0.2.1")["192.0.2.1"], ["192.0.2.1"] * 3)
            self.assertEqual(say(), before)
            host.apply(POLICY)
            self.assertEqual(programs_on(MOUNT), programs)
            host.apply(POLICY + "guard: {cgroups: /}\n")
            host.agent("unload")
            self.assertEqual(programs_on(MOUNT), programs)


if __name__ == "__main__":
    unittest.main()
