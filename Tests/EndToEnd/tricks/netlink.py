"""AF_NETLINK: changes the host's addresses, routes and packet filters."""

import errno
import os
import subprocess

from common import have, report


def ip(*words):
    """By the usual program, in this process's cgroup."""
    def body():
        done = subprocess.run(["ip", *words], capture_output=True, text=True)
        if done.returncode:
            refused = "not permitted" in done.stderr or "Permission denied" in done.stderr
            raise OSError(errno.EPERM if refused else errno.EIO, done.stderr or os.strerror(errno.EIO))
    return body


have("an address", ip("address", "add", "198.51.100.77/32", "dev", "lo"))
have("a route", ip("route", "add", "203.0.113.0/24", "dev", "lo"))
have("a rule", ip("rule", "add", "pref", "77", "from", "198.51.100.77", "lookup", "77"))
report()
