"""Replacing a policy of ten thousand environments while connections stream and denied calls are tried."""

import json
import subprocess
import time
import unittest

from world import Host, PYTHON, PYTHON_PRELUDE, SLOWNESS, TCP_WHO

ECHO = """
import threading
listener = socket.socket()
listener.bind(("0.0.0.0", 90))
listener.listen()
ready()
def serve(client):
    while data := client.recv(65536):
        client.sendall(data)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

# Sends bytes there and back until it is told to stop; says how often, and the longest time that one took.
STREAM = """
import select
client = socket.create_connection(("10.0.2.1", 90), 5)
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
ready()
count, longest = 0, 0.0
while not select.select([sys.stdin], [], [], 0)[0]:
    start = time.monotonic()
    client.sendall(b"x" * 1000)
    left = 1000
    while left:
        left -= len(client.recv(left))
    longest = max(longest, time.monotonic() - start)
    count += 1
answer([count, longest])
"""

DENIED = """
import select
through = tries = 0
ready()
while not select.select([sys.stdin], [], [], 0)[0]:
    tries += 1
    with socket.socket() as client:
        client.settimeout(0.2)
        try:
            client.connect(("10.0.3.1", 80))
            through += 1
        except PermissionError:
            pass
answer([through, tries])
"""


def policy(extra):
    environments = [f"  vne{number}: {{addresses: 10.{number // 256 + 1}.{number % 256}.0/24}}" for number in range(10_000)]
    return "\n".join(["addressSpace: 10.0.0.0/8", "environments:", "  shop: {addresses: 10.0.2.0/24}",
                      "  payments: {addresses: 10.0.3.0/24}", *environments, *extra]) + "\n"


class Reload(unittest.TestCase):
    def test_ten_thousand_environments_are_replaced_without_a_stall_or_a_gap(self):
        with Host("reload", policy=policy([]), remote=False) as host:
            host.attach("web", "shop", "10.0.2.1")
            host.attach("api", "shop", "10.0.2.2")
            host.attach("bank", "payments", "10.0.3.1")
            host.serve("web", ECHO)
            host.serve("bank", TCP_WHO, "0.0.0.0", "80")
            streams = [host.start("api", *PYTHON, "-u", "-c", PYTHON_PRELUDE + STREAM, stdin=subprocess.PIPE) for _ in range(4)]
            denied = host.start("api", *PYTHON, "-u", "-c", PYTHON_PRELUDE + DENIED, stdin=subprocess.PIPE)
            for child in (*streams, denied):
                self.assertEqual(child.stdout.readline().strip(), "ready")
            for turn in range(10):
                extra = [f"  extra: {{addresses: 10.200.{turn}.0/24}}"] if turn % 2 else []
                host.apply(policy(extra))
                time.sleep(0.1)
            for stream in streams:
                count, longest = json.loads(stream.communicate("stop\n", timeout=30)[0].splitlines()[-1])
                self.assertGreater(count, 50)
                # A stall would be a lost packet: TCP sends it again after 200 ms at the earliest.
                self.assertLess(longest, 0.2 * SLOWNESS, f"{count} round trips, the longest took {longest:.3f} s")
            # No packet of a stream was judged by half a policy, however long it took.
            for name in ("web", "api"):
                self.assertEqual(list(host.counts(name, "ingress")), ["own-environment"])
            through, tries = json.loads(denied.communicate("stop\n", timeout=30)[0].splitlines()[-1])
            self.assertEqual(through, 0)
            self.assertGreater(tries, 100)


if __name__ == "__main__":
    unittest.main()
