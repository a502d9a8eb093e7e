"""A virtual machine with a stock Debian 12: its kernel, its systemd, a disk of its own that outlives a reboot.

Commands run there through QEMU's guest agent, which is Debian's own package. Nothing else of the tests' is in it.
"""

import base64
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT / "Tests" / "Kernels")]

from virtual import processor  # noqa: E402

CACHE = PROJECT / ".build" / "guest"
# How long the emulated machine may take to start, or to end a command.
PATIENCE = 600


class Guest:
    """Use as a context manager."""

    def __enter__(self):
        self.image = Path(subprocess.run([Path(__file__).with_name("build-image"), CACHE], stdout=subprocess.PIPE,
                                         text=True, check=True).stdout.strip())
        self.directory = tempfile.TemporaryDirectory(prefix="vne-guest-")
        self.disk, self.console = (Path(self.directory.name) / name for name in ("disk", "console"))
        self.process = self.channel = None
        try:
            subprocess.run(["cp", "--sparse=always", "--reflink=auto", self.image / "disk", self.disk], check=True)
            self._boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _boot(self):
        socket_path = Path(self.directory.name) / "agent"
        socket_path.unlink(missing_ok=True)
        # The machine ends with this process, whatever ends that, and when it is to start again.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", *processor(), "-smp", "2", "-m", "2048",
             "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{self.console}",
             "-drive", f"file={self.disk},format=raw,if=virtio,cache=unsafe",
             "-device", "virtio-serial", "-chardev", f"socket,id=agent,path={socket_path},server=on,wait=off",
             "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
             "-kernel", self.image / "kernel", "-initrd", self.image / "initrd",
             "-append", "root=/dev/vda ro console=ttyS0 quiet"], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not socket_path.exists():
            self._require(time.monotonic() < deadline, "QEMU does not start")
            time.sleep(0.1)
        self.channel = socket.socket(socket.AF_UNIX)
        self.channel.connect(str(socket_path))
        self.received = b""
        self._wait_for_agent()

    def __exit__(self, *_):
        if self.channel:
            self.channel.close()
        if self.process:
            self.process.kill()
            self.process.wait()
        self.directory.cleanup()

    def _require(self, condition, message):
        if not condition or self.process.poll() is not None:
            tail = self.console.read_text(errors="replace")[-4000:] if self.console.exists() else ""
            raise AssertionError(f"{message}\n{tail}")

    # ------------------------------------------------------------------ the agent's protocol

    def _answer(self, seconds):
        """The next line that the agent sends; None if none comes in time."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.received:
            self.channel.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self.channel.recv(1 << 16)
            except TimeoutError:
                return None
            self._require(data, "the machine ended")
            self.received += data
        line, _, self.received = self.received.partition(b"\n")
        return json.loads(line.lstrip(b"\xff"))

    def _send(self, command, **arguments):
        self.channel.settimeout(PATIENCE)
        self.channel.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")

    def _call(self, command, **arguments):
        self._send(command, **arguments)
        answer = self._answer(PATIENCE)
        self._require(answer is not None, f"no answer to {command}")
        self._require("return" in answer, f"{command}: {answer}")
        return answer["return"]

    def _wait_for_agent(self):
        """Waits until the agent hears, and takes what it answers to all questions but the last."""
        deadline = time.monotonic() + PATIENCE
        number, answered = 0, None
        while answered != number:
            self._require(time.monotonic() < deadline, "the guest does not start")
            number += 1
            self._send("guest-sync", id=number)
            while (answer := self._answer(10)) and (answered := answer.get("return")) != number:
                pass

    # ------------------------------------------------------------------ what tests do

    def run(self, *command, check=True, input=None):
        """Runs a command as root, in no service of the tests'."""
        how = {"path": str(command[0]), "arg": [str(part) for part in command[1:]], "capture-output": True,
               "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"]}
        if input is not None:
            how["input-data"] = base64.b64encode(input if isinstance(input, bytes) else input.encode()).decode()
        process = self._call("guest-exec", **how)["pid"]
        while not (state := self._call("guest-exec-status", pid=process))["exited"]:
            time.sleep(0.05)
        out, err = (base64.b64decode(state.get(name, "")).decode(errors="replace") for name in ("out-data", "err-data"))
        result = subprocess.CompletedProcess(command, state.get("exitcode", -state.get("signal", 0)), out, err)
        if check and result.returncode:
            raise AssertionError(f"{' '.join(map(str, command))}: status {result.returncode}\n{out}{err}")
        return result

    def shell(self, script, check=True):
        return self.run("sh", "-c", script, check=check)

    def python(self, code, *arguments):
        """What Python code prints."""
        return self.run("python3", "-c", code, *arguments).stdout

    def write(self, path, text):
        """Writes a file."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat > "$1"', "write", path, input=text)

    def carry(self, path):
        """Puts a file into /root; returns its path."""
        handle = self._call("guest-file-open", path=f"/root/{path.name}", mode="w")
        data = path.read_bytes()
        for start in range(0, len(data), 1 << 20):
            part = base64.b64encode(data[start:start + (1 << 20)]).decode()
            self._call("guest-file-write", handle=handle, **{"buf-b64": part})
        self._call("guest-file-close", handle=handle)
        return f"/root/{path.name}"

    def wait_until_up(self):
        """Waits until everything that starts at boot has."""
        return self.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()

    def reboot(self):
        """Reboots as an administrator does, and returns once commands run again."""
        self._send("guest-exec", path="systemctl", arg=["reboot"])
        self.process.wait(PATIENCE)
        self.channel.close()
        self._boot()
