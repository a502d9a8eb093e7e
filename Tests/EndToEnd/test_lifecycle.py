"""Attaching, detaching, reloading, executing: what is there before, during and after."""

import json
import os
import signal
import subprocess
import time
import unittest

from world import (
    ASK_TCP, BPFTOOL, HOOKS, Host, MOUNT, SLOWNESS, TCP_WHO, kernel_objects, lasting, left_behind, programs_on, run,
    sweep_once)

POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
  payments: {addresses: 10.10.3.0/24}
"""


class Lifecycle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(lasting("life"))

    def setUp(self):
        self.host = Host("life", policy=POLICY)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)

    def programs_on(self, application):
        return sorted(name for _, name in programs_on(self.host.cgroup / application))

    def addresses(self):
        links = json.loads(self.host.run(None, "ip", "-json", "-4", "address").stdout)
        return {a["local"] for link in links for a in link.get("addr_info", [])}

    def test_detach_leaves_the_cgroup_as_it_was(self):
        self.host.make("web")
        self.host.serve("web", TCP_WHO, "192.0.2.1", "8090")
        before = self.host.python("web", ASK_TCP, "192.0.2.1", "8090")
        self.host.attach("web", "shop", "10.10.2.1")
        self.assertIn("vne_connect4", self.programs_on("web"))
        self.assertIn("10.10.2.1", self.addresses())
        self.host.agent("detach", "web")
        self.assertEqual(self.programs_on("web"), [])
        self.assertNotIn("10.10.2.1", self.addresses())
        self.assertEqual(self.host.python("web", ASK_TCP, "192.0.2.1", "8090"), before)
        self.assertEqual(self.host.applications(), {})

    def test_bpftool_and_dump_tell_the_same_story(self):
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.attach("bank", "payments", "10.10.3.1")
        tree = run(BPFTOOL, "cgroup", "tree", self.host.cgroup).stdout
        dumped = self.host.json("dump")
        for name in ("web", "bank"):
            programs = self.programs_on(name)
            self.assertEqual(len(programs), HOOKS, tree)
            hooks = [hook for hook in dumped["hooks"] if hook["application"] == name]
            listed = [number for number, _ in programs_on(self.host.cgroup / name)]
            self.assertEqual(sorted(int(hook["prog-id"]) for hook in hooks), sorted(listed))
            for program in programs:
                self.assertIn(program, tree)
                self.assertTrue(program.startswith("vne_"))

    def test_exec_starts_a_program_inside_and_cleans_up(self):
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.serve("web", TCP_WHO, "0.0.0.0", "80")
        command = self.host.agent_command("exec", "--vne", "shop", "--address", "10.10.2.9", "--name", "job", "--")
        ask = ["python3", "-c", "import socket; s = socket.create_connection(('10.10.2.1', 80), 2); print(s.recv(100).decode())"]
        result = self.host.run(None, *command, *ask)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("10.10.2.9", result.stdout)
        for status in (0, 7):
            self.assertEqual(self.host.run(None, *command, "sh", "-c", f"exit {status}").returncode, status)
        self.assertEqual(self.host.run(None, *command, "sh", "-c", "kill -TERM $$").returncode, 128 + signal.SIGTERM)
        self.assertEqual(self.host.run(None, *command, "/no/such/program").returncode, 127)
        self.assertEqual(list(self.host.applications()), ["web"])
        self.assertNotIn("10.10.2.9", self.addresses())

    def test_exec_passes_signals_on(self):
        command = self.host.agent_command("exec", "--vne", "shop", "--address", "10.10.2.9", "--name", "job", "--")
        child = self.host.start(None, *command, "sh", "-c", "trap 'echo caught; exit 3' TERM; echo up; while :; do sleep 0.1; done")
        self.assertEqual(child.stdout.readline().strip(), "up")
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.stdout.readline().strip(), "caught")
        self.assertEqual(child.wait(10), 3)

    def test_a_killed_exec_leaves_its_program_isolated_and_the_next_command_sweeps(self):
        self.host.attach("bank", "payments", "10.10.3.1")
        self.host.serve("bank", TCP_WHO, "0.0.0.0", "80")
        command = self.host.agent_command("exec", "--vne", "shop", "--address", "10.10.2.9", "--name", "job", "--")
        loop = ("import socket,time\nprint('up',flush=True)\n"
                "while True:\n try:\n  socket.create_connection(('10.10.3.1', 80), 1); print('through', flush=True)\n"
                " except PermissionError: pass\n time.sleep(.01)")
        child = self.host.start(None, *command, "python3", "-c", loop)
        self.assertEqual(child.stdout.readline().strip(), "up")
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        time.sleep(0.3)
        job = self.host.applications()["job"]
        members = (MOUNT / job["cgroup"] / "cgroup.procs").read_text().split()
        self.assertEqual(len(members), 1, "the program goes on, isolated")
        os.kill(int(members[0]), signal.SIGKILL)
        time.sleep(0.2)
        self.assertNotIn("through", child.stdout.read())
        self.host.attach("web", "shop", "10.10.2.9")
        self.assertEqual(sorted(self.host.applications()), ["bank", "web"])

    def test_attach_names_processes_with_sockets_from_outside(self):
        self.host.make("web")
        code = """
outside = socket.socket()
outside.bind(("192.0.2.1", 8099))
outside.listen()
open(sys.argv[1], "w").write("0")
ready()
time.sleep(60)
"""
        child = self.host.serve(None, code, str(self.host.cgroup / "web" / "cgroup.procs"))
        path = f"{self.host.cgroup.name}/web"
        refused = self.host.agent("attach", path, "shop", "--address", "10.10.2.1", "--require-clean", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(str(child.pid), refused.stderr + refused.stdout)
        self.assertEqual(self.programs_on("web"), [])
        warned = self.host.agent("attach", path, "shop", "--address", "10.10.2.1")
        self.assertIn(str(child.pid), warned.stdout + warned.stderr)

    def test_apply_attaches_what_the_policy_names_and_prints_the_plan_first(self):
        self.host.make("web")
        policy = POLICY + f"""
applications:
  web: {{environment: shop, address: 10.10.2.1, cgroup: {self.host.cgroup.name}/web}}
  later: {{environment: shop, address: 10.10.2.2, cgroup: {self.host.cgroup.name}/later}}
"""
        plan = self.host.agent("apply", "--dry-run", self.host.write_policy(policy)).stdout
        self.assertIn("web", plan)
        self.assertEqual(self.programs_on("web"), [], "a dry run changes nothing")
        self.host.apply(policy)
        self.assertEqual(len(self.programs_on("web")), HOOKS)
        again = self.host.agent("apply", "--dry-run", self.host.write_policy(policy)).stdout
        self.assertNotIn("attach web", again)
        self.host.apply(POLICY)
        self.assertEqual(self.programs_on("web"), [], "the policy file no longer names it")

    def test_a_broken_policy_changes_nothing_and_names_every_error(self):
        self.host.attach("web", "shop", "10.10.2.1")
        broken = POLICY.replace("10.10.3.0/24", "10.10.2.128/25") + "  oops: {addresses: 10.99.0.0/24, hosts: deny}\n"
        refused = self.host.apply(broken, check=False)
        self.assertEqual(refused.returncode, 3, refused.stderr)
        self.assertGreaterEqual(refused.stderr.count("policy.yaml:"), 3, refused.stderr)
        self.assertIn("host", refused.stderr)
        self.assertEqual(self.host.python("web", ASK_TCP, "10.10.3.1", "80"), "EPERM")

    def test_a_policy_that_revokes_cuts_live_flows(self):
        permit = POLICY.replace("10.10.2.0/24}", "10.10.2.0/24, permits: [{to: payments}]}")
        self.host.apply(permit)
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.attach("bank", "payments", "10.10.3.1")
        echo = """
listener = socket.socket()
listener.bind(("0.0.0.0", 80))
listener.listen()
ready()
client, _ = listener.accept()
while True:
    data = client.recv(100)
    if not data: break
    client.sendall(data)
"""
        self.host.serve("bank", echo)
        stream = """
client = socket.create_connection(("10.10.3.1", 80), 2)
client.sendall(b"1"); client.recv(1)
ready()
def body():
    end = time.monotonic() + 5
    while time.monotonic() < end:
        client.sendall(b"x")
        if not client.recv(1):
            return "closed"
        time.sleep(0.01)
    return "still open"
answer(attempt(body))
"""
        child = self.host.serve("web", stream)
        self.host.apply(POLICY)
        self.assertIn(json.loads(child.stdout.readline()), ("ECONNABORTED", "ECONNRESET", "closed"))

    def test_an_environment_that_goes_leaves_its_applications_denied(self):
        self.host.attach("bank", "payments", "10.10.3.1")
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.apply("addressSpace: 10.10.0.0/16\nenvironments: {shop: {addresses: 10.10.2.0/24}}\n")
        self.assertEqual(self.host.python("bank", "answer(attempt(lambda: socket.socket().close()))"), "EPERM")
        self.host.apply(POLICY)
        self.assertIsNone(self.host.python("bank", "answer(attempt(lambda: socket.socket().close()))"))

    def test_unload_leaves_nothing(self):
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.agent("unload")
        self.assertEqual(self.programs_on("web"), [])
        self.assertNotIn("10.10.2.1", self.addresses())
        self.assertFalse(os.path.exists(f"/sys/fs/bpf/{self.host.instance}"))

    def test_the_root_cgroup_and_paths_that_lead_out_are_refused(self):
        for path in ("/", ".", str(MOUNT), "..", f"{self.host.cgroup.name}/../..", "no/such/cgroup"):
            refused = self.host.agent("attach", path, "shop", "--address", "10.10.2.1", check=False)
            self.assertNotEqual(refused.returncode, 0, path)
            self.assertNotIn("10.10.2.1", self.addresses())

    def test_addresses_names_and_cgroups_are_given_once(self):
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.make("other")
        for arguments in (("other", "shop", "--address", "10.10.2.1"), ("web", "shop", "--address", "10.10.2.2"),
                          ("other", "shop", "--address", "10.10.2.2", "--name", "web"),
                          ("other", "shop", "--address", "10.10.3.9"), ("other", "shoop", "--address", "10.10.2.2")):
            refused = self.host.agent("attach", f"{self.host.cgroup.name}/{arguments[0]}", *arguments[1:], check=False)
            self.assertNotEqual(refused.returncode, 0, arguments)
            self.assertEqual(self.programs_on("other"), [], arguments)

    def test_explain_and_flows_say_what_happens(self):
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.attach("bank", "payments", "10.10.3.1")
        denied = self.host.agent("explain", "web", "10.10.3.1:80/tcp", check=False)
        self.assertEqual(denied.returncode, 7, denied.stdout)
        self.assertIn("payments", denied.stdout)
        allowed = self.host.agent("explain", "web", "10.10.2.9:80/tcp", check=False)
        self.assertEqual(allowed.returncode, 0, allowed.stdout + allowed.stderr)
        follow = self.host.start(None, *self.host.agent_command("flows", "--follow", "--denied", "--json"))
        time.sleep(0.5)
        self.assertEqual(self.host.python("web", ASK_TCP, "10.10.3.1", "80"), "EPERM")
        deadline = time.monotonic() + 5
        event = json.loads(follow.stdout.readline())
        self.assertLess(time.monotonic(), deadline)
        self.assertEqual({key: event[key] for key in ("application", "environment", "hook", "reason", "remote", "peer")},
                         {"application": "web", "environment": "shop", "hook": "connect", "reason": "other-environment",
                          "remote": "10.10.3.1", "peer": "bank"})
        self.assertTrue(event["command"].startswith("python3") and event["process"] > 1, event)
        # There is one reader at a time, and who it is, is told.
        for second in (["--follow"], ["--denied"]):
            refused = self.host.agent("flows", *second, check=False)
            self.assertEqual(refused.returncode, 5, refused.stderr)
            self.assertIn(f"process {follow.pid}", refused.stderr)
        follow.send_signal(signal.SIGINT)
        self.assertEqual((follow.wait(10), follow.stdout.read()), (0, ""))

    def test_a_follower_ends_with_its_reader_or_with_the_instance(self):
        self.host.attach("web", "shop", "10.10.2.1")
        follow = self.host.start(None, *self.host.agent_command("flows", "--follow"))
        time.sleep(0.5)
        follow.stdout.close()
        self.assertEqual(follow.wait(10), 0)
        follow = self.host.start(None, *self.host.agent_command("flows", "--follow"))
        time.sleep(0.5)
        self.host.agent("unload")
        self.assertEqual(follow.wait(10), 4)
        self.assertIn("was unloaded", follow.stdout.read())

    def test_instances_do_not_see_each_other(self):
        with Host("second", policy=POLICY, remote=False) as other:
            self.host.attach("web", "shop", "10.10.2.1")
            other.attach("web", "shop", "10.10.2.1")
            other.serve("web", TCP_WHO, "0.0.0.0", "80")
            self.assertEqual(other.python("web", ASK_TCP, "10.10.2.1", "80")[0], "10.10.2.1")
            self.assertEqual(self.host.python("web", ASK_TCP, "10.10.2.1", "80"), "ECONNREFUSED")
            self.assertEqual(list(self.host.applications()), ["web"])


class Residue(unittest.TestCase):
    def test_a_whole_life_leaves_the_kernel_as_it_was(self):
        sweep_once()
        before = kernel_objects()
        with Host("residue", policy=POLICY) as host:
            host.attach("web", "shop", "10.10.2.1")
            host.agent("detach", "web")
            host.attach("web", "shop", "10.10.2.1")
            self.assertLessEqual({"programs", "maps", "pins", "cgroups"}, set(left_behind(before)))
        self.assertEqual(left_behind(before, 10 * SLOWNESS), {})


if __name__ == "__main__":
    unittest.main()
