"""A machine of the tests' own: this one's files, copied when they are written, and systemd as its first process.

It has namespaces, a BPF file system and a cgroup tree of its own, and starts none of this machine's services. So packages
are installed by the real dpkg and services run under the real systemd, and nothing of it is left when it ends.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from world import MOUNT, PREFIX, kill_cgroup, run, sweep_once

# Runs as the first process of the new namespaces, with the directory for the machine's files as its argument. Of the
# kernel's settings the machine may change none but its own: /sys and /proc/sys are for reading.
_BOOT = r"""
set -e
mount --make-rprivate /
mount -t tmpfs files "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay root -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
# Those of the network are its own.
mount --bind /proc/sys/net proc/sys/net
mount -t sysfs -o ro sysfs sys
mount -t bpf bpf sys/fs/bpf
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
for device in null zero full random urandom tty; do
	touch dev/$device
	mount --bind /dev/$device dev/$device
done
mkdir dev/shm dev/pts dev/net
touch dev/net/tun
mount --bind /dev/net/tun dev/net/tun
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd

# Of what this machine starts, only the journal is started there.
rm -rf etc/systemd/system/*.wants lib/systemd/system/*.wants usr/sbin/policy-rc.d
mkdir etc/systemd/system/sysinit.target.wants
ln -s /lib/systemd/system/systemd-journald.service etc/systemd/system/sysinit.target.wants/
ln -sf /lib/systemd/system/multi-user.target etc/systemd/system/default.target
echo 0123456789abcdef0123456789abcdef >etc/machine-id
ip link set lo up

mkdir outside
pivot_root . outside
exec env -i container=vne-test PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c '
	umount -l /outside
	rmdir /outside
	exec /lib/systemd/systemd'
"""
_NAMESPACES = ("--mount", "--pid", "--net", "--cgroup", "--uts", "--ipc")


class Machine:
    """Use as a context manager."""

    def __init__(self, name="machine"):
        self.cgroup = MOUNT / f"{PREFIX}{os.getpid()}{name}"

    def __enter__(self):
        sweep_once()
        self.cgroup.mkdir()
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.cgroup.name}."))
        self.log = open(self.directory.with_suffix(".log"), "w+")
        try:
            self._boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _boot(self):
        def enter():
            (self.cgroup / "cgroup.procs").write_text("0")
        self.process = subprocess.Popen(
            ["unshare", *_NAMESPACES, "--fork", "--kill-child", "sh", "-c", _BOOT, "boot", str(self.directory)],
            preexec_fn=enter, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while self._state() not in ("running", "degraded"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise AssertionError(f"the machine does not boot ({self._state()}):\n{self.log.read()}")
            time.sleep(0.1)

    def _state(self):
        if not Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().strip():
            return "not begun"
        return self.run("systemctl", "is-system-running", check=False).stdout.strip()

    def __exit__(self, *_):
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait()
        kill_cgroup(self.cgroup)
        self.log.close()
        os.unlink(self.log.name)
        self.directory.rmdir()

    @property
    def init(self):
        """The machine's first process, as this machine counts."""
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0]

    def run(self, *command, **options):
        """Runs a command there."""
        return run("nsenter", "--target", self.init, *_NAMESPACES, *command, **options)

    def write(self, path, text):
        """Writes a file there."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat > "$1"', "write", path, input=text)

    def read(self, path):
        return self.run("cat", path).stdout

    def carry(self, path):
        """Puts a file of this machine into /tmp there; returns its path."""
        with open(path, "rb") as source:
            subprocess.run(["nsenter", "--target", self.init, *_NAMESPACES, "sh", "-c", f"cat > /tmp/{path.name}"],
                           stdin=source, check=True)
        return f"/tmp/{path.name}"
