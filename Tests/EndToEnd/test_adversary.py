"""Ways round that were found by trying. Each proves first that the trick itself works, then that nothing gets through."""

import json
import os
import subprocess
import time
import unittest

from world import ASK_TCP, Host, PYTHON, PYTHON_PRELUDE, TCP_WHO, UDP_WHO, lasting, run

POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24}
  payments: {addresses: 10.10.3.0/24}
"""
CLOSED = POLICY.replace("10.10.2.0/24}", "10.10.2.0/24, remote: deny}")

# Holds a TCP and a UDP connection to the outside, made in a way of the argument's, and tries them when it is told to.
HOLD = """
def connection(kind, local_port):
    client = socket.socket(socket.AF_INET, kind)
    client.settimeout(0.5)
    if local_port:
        client.bind(("0.0.0.0", local_port))
    client.connect(("192.0.2.2", 7000 if kind == socket.SOCK_STREAM else 7001))
    return client
def alive(client):
    def body():
        client.send(b"x")
        return bool(client.recv(1000))
    return attempt(body) is True
if len(sys.argv) > 2:
    open(sys.argv[2], "w").write("0")
held = [connection(socket.SOCK_STREAM, int(sys.argv[1])), connection(socket.SOCK_DGRAM, 0)]
if len(sys.argv) > 3:
    open(sys.argv[3], "w").write("0")
    os.rmdir(os.path.dirname(sys.argv[2]))
ready()
for _ in sys.stdin:
    answer([alive(client) for client in held])
    sys.stdout.flush()
"""

ECHO = """
import threading
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", 7000))
listener.listen()
ready()
def serve(client):
    try:
        while data := client.recv(1000):
            client.sendall(data)
    except OSError:
        pass
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


class Adversary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(lasting("attack"))

    def setUp(self):
        self.host = Host("attack", policy=POLICY)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        self.host.serve(None, ECHO, namespace=self.host.remote_namespace)
        self.host.serve(None, UDP_WHO, "0.0.0.0", "7001", namespace=self.host.remote_namespace)

    def hold(self, application, *arguments):
        child = self.host.start(application, *PYTHON, "-u", "-c", PYTHON_PRELUDE + HOLD, *arguments,
                                stdin=subprocess.PIPE)
        self.assertEqual(child.stdout.readline().strip(), "ready")
        return child

    def alive(self, child):
        child.stdin.write("try\n")
        child.stdin.flush()
        return json.loads(child.stdout.readline())

    def test_an_address_that_the_policy_gives_to_another_environment_is_denied_everything(self):
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.attach("db", "payments", "10.10.3.1")
        self.host.serve("db", TCP_WHO, "0.0.0.0", "80")
        self.assertEqual(self.host.python("web", ASK_TCP, "10.10.3.1", "80"), "EPERM")
        for swapped in ("shop: {addresses: 10.10.3.0/24}", "shop: {addresses: [10.10.3.0/25, 10.10.3.128/25]}"):
            self.host.apply(POLICY.replace("shop: {addresses: 10.10.2.0/24}", swapped)
                            .replace("payments: {addresses: 10.10.3.0/24}", "payments: {addresses: 10.10.2.0/24}"),
                            check=False)
            self.assertEqual(self.host.python("web", "answer(attempt(lambda: socket.socket().close()))"), "EPERM")
            self.assertEqual(self.host.python(None, ASK_TCP, "10.10.3.1", "80"), "timeout")
        self.host.apply(POLICY)
        self.assertEqual(self.host.python(None, ASK_TCP, "10.10.3.1", "80")[1], "10.10.3.1")

    def test_sockets_of_an_earlier_attachment_are_closed(self):
        self.host.attach("web", "shop", "10.10.2.1")
        child = self.hold("web", "0")
        self.assertEqual(self.alive(child), [True, True])
        self.host.agent("detach", "web")
        self.host.apply(CLOSED)
        self.host.attach("web", "shop", "10.10.2.1")
        self.assertEqual(self.alive(child), [False, False])

    def test_sockets_of_a_removed_child_cgroup_are_cut(self):
        self.host.attach("web", "shop", "10.10.2.1")
        made = self.host.cgroup / "web" / "made"
        kept = self.host.cgroup / "web" / "kept"
        made.mkdir()
        kept.mkdir()
        child = self.hold("web", "0", str(made / "cgroup.procs"), str(kept / "cgroup.procs"))
        self.assertFalse(made.exists())
        self.assertEqual(self.alive(child), [True, True])
        self.host.apply(CLOSED)
        self.assertEqual(self.alive(child), [False, False])

    def test_no_choice_of_source_port_saves_a_revoked_connection(self):
        self.host.attach("web", "shop", "10.10.2.1")
        children = [self.hold("web", port) for port in ("1024", "40000", "0")]
        self.host.serve("web", TCP_WHO, "0.0.0.0", "8080")
        for child in children:
            self.assertEqual(self.alive(child), [True, True])
        self.host.apply(POLICY.replace("10.10.2.0/24}", "10.10.2.0/24, remote: {in: allow, out: deny}}"))
        for child in children:
            self.assertEqual(self.alive(child), [False, False])

    def test_accepted_connections_outlive_a_policy_that_never_let_them_out(self):
        self.host.apply(POLICY.replace("10.10.2.0/24}", "10.10.2.0/24, remote: {in: allow, out: deny}}"))
        self.host.attach("web", "shop", "10.10.2.1")
        self.host.serve("web", ECHO)
        stream = """
client = socket.create_connection(("10.10.2.1", 7000), 2)
ready()
for _ in sys.stdin:
    client.sendall(b"x")
    answer(client.recv(1).decode())
    sys.stdout.flush()
"""
        child = self.host.start(None, *PYTHON, "-u", "-c", PYTHON_PRELUDE + stream, stdin=subprocess.PIPE,
                                namespace=self.host.remote_namespace)
        self.assertEqual(child.stdout.readline().strip(), "ready")
        self.host.apply(POLICY.replace("10.10.2.0/24}", "10.10.2.0/25, remote: {in: allow, out: deny}}"))
        self.assertEqual(self.alive(child), "x")

    def test_a_name_cannot_write_to_the_administrators_terminal(self):
        self.host.attach("web", "shop", "10.10.2.1")
        follow = self.host.start(None, *self.host.agent_command("flows", "--follow", "--denied"))
        time.sleep(0.5)
        code = r"""
import ctypes
ctypes.CDLL(None).prctl(15, b"\x1b[2J\nEVIL", 0, 0, 0)
answer(attempt(lambda: socket.create_connection(("10.10.3.1", 80), 1)))
"""
        self.assertEqual(self.host.python("web", code), "EPERM")
        line = follow.stdout.readline()
        self.assertIn("EVIL", line, "the name is shown, on the denial's own line")
        self.assertNotIn("\x1b", line)

    def test_a_directory_that_somebody_else_made_is_no_instance(self):
        for name in (f"{self.host.instance}y", f"{self.host.instance}y:new"):
            path = f"/sys/fs/bpf/{name}"
            os.mkdir(path, 0o755)
            os.chown(path, 65534, 65534)
            try:
                policy = self.host.directory / "policy.yaml"
                refused = run(str(self.host.agent_command("apply")[0]), "apply", "--instance",
                              f"{self.host.instance}y", policy, check=False,
                              preexec_fn=self.host._enter(None, None))
                self.assertNotEqual(refused.returncode, 0)
                self.assertIn("not root's alone", refused.stderr)
            finally:
                os.rmdir(path)


if __name__ == "__main__":
    unittest.main()
