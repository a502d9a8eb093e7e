"""A daemon of a test's own, and the service manager that it tells how it is."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from world import SLOWNESS, run, setns


def eventually(condition, message, seconds=5):
    """Waits until a condition holds, and says what it was if it never does."""
    deadline = time.monotonic() + seconds * SLOWNESS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(message() if callable(message) else message)
        time.sleep(0.005)


class Daemon:
    """`vne-agent run` on a host of the tests, as a service manager starts it. Use as a context manager."""

    def __init__(self, host, policy=None, watchdog=None, abstract=False):
        self.host = host
        self.file = host.directory / "policy.yaml"
        if policy is not None:
            self.file.write_text(policy)
        name = f"{host.directory}/notify"
        self.told = []
        self.address = f"@{name}" if abstract else name
        # An abstract name is one of a network namespace.
        maker = threading.Thread(target=self._listen, args=(f"\0{name}" if abstract else name,))
        maker.start()
        maker.join()
        self.watchdog = watchdog
        self.log = host.directory / "daemon.log"

    def _listen(self, name):
        setns(self.host.namespace)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name)
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        while True:
            try:
                self.told += self.socket.recv(4096).decode().split("\n")
            except OSError:
                return

    def __enter__(self):
        self.start()
        try:
            self.wait_for("READY=1")
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        environment = dict(os.environ, NOTIFY_SOCKET=self.address)
        environment.pop("JOURNAL_STREAM", None)
        if self.watchdog:
            environment["WATCHDOG_USEC"] = str(int(self.watchdog * 1e6))
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                self.host.agent_command("run", self.file), stderr=log, env=environment,
                preexec_fn=lambda: setns(self.host.namespace))

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for path in (self.address, f"/run/vne/{self.host.instance}.daemon", f"/run/vne/{self.host.instance}.socket"):
            Path(path).unlink(missing_ok=True)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10 * SLOWNESS)

    def wait_for(self, assignment, seconds=20):
        """Waits until the daemon has told something that begins like this, and takes all up to it."""
        deadline = time.monotonic() + seconds * SLOWNESS
        while True:
            for position, told in enumerate(list(self.told)):
                if told.startswith(assignment):
                    del self.told[:position + 1]
                    return told
            if self.process.poll() is not None and assignment not in ("STOPPING=1",):
                raise AssertionError(f"the daemon ended with {self.process.returncode}\n{self.log.read_text()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{assignment} was never told: {self.told}\n{self.log.read_text()}")
            time.sleep(0.005)

    def wait_until_attached(self, *names):
        """Waits until `list` says that the applications are attached."""
        def attached():
            listed = self.host.applications()
            return all(listed.get(name, {}).get("state") == "attached" for name in names)
        eventually(attached, lambda: f"{names}: {self.host.applications()}\n{self.log.read_text()}")

    def resident(self):
        """Its resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def processor_seconds(self):
        """How long it ran on a processor since it was started."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def addresses(host):
    """The addresses on the host's interfaces, without their lengths."""
    listed = run("ip", "-n", host.name, "-o", "address").stdout.splitlines()
    return {line.split()[3].split("/")[0] for line in listed}
