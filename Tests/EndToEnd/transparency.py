"""Two places that an unmodified program should not tell apart: a plain cgroup on a host that owns the application's
addresses, and an application of a VNE that allows what a host's programs may do."""

import os
import subprocess
import time

from world import Host, run

ADDRESS4 = "10.10.2.1"
ADDRESS6 = "fd00:10:10:2::1"
REMOTE4 = "192.0.2.2"

POLICY = """
addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
environments:
  shop:
    addresses: [10.10.2.0/24, "fd00:10:10:2::/64"]
    remote: {in: allow, out: allow}
    host: allow
    protocols: [tcp, udp, ping]
applications:
  app: {environment: shop, address: [10.10.2.1, "fd00:10:10:2::1"], cgroup: CGROUP}
"""

POLICY_OF_IPV4 = """
addressSpace: 10.10.0.0/16
environments:
  shop: {addresses: 10.10.2.0/24, remote: {in: allow, out: allow}, host: allow, protocols: [tcp, udp, ping]}
applications:
  app: {environment: shop, address: 10.10.2.1, cgroup: CGROUP}
"""

CLEAN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Place:
    """A host with one cgroup, `app`. `inside`: it is an application; otherwise the host itself has its addresses."""

    def __init__(self, name, inside):
        self.inside = inside
        self.host = Host(name)

    def __enter__(self):
        self.host.__enter__()
        try:
            run("ip", "netns", "exec", self.host.name, "sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647")
            self.host.make("app")
            if self.inside:
                policy = POLICY.replace("CGROUP", f"{self.host.cgroup.name}/app")
                if self.host.agent("check", self.host.write_policy(policy), check=False).returncode:
                    policy = POLICY_OF_IPV4.replace("CGROUP", f"{self.host.cgroup.name}/app")
                self.host.apply(policy)
            else:
                run("ip", "-n", self.host.name, "address", "add", f"{ADDRESS4}/32", "dev", "lo")
                run("ip", "-n", self.host.name, "address", "add", f"{ADDRESS6}/128", "dev", "lo", "nodad")
        except BaseException:
            self.host.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.host.__exit__()

    @property
    def home(self):
        return self.host.directory

    def environment(self):
        return {**CLEAN, "HOME": str(self.home), "TMPDIR": str(self.home)}

    def say(self, *command, timeout=20, **options):
        """What a command says: its status and its output, without white space at the ends."""
        try:
            result = self.host.run("app", *command, timeout=timeout, env=self.environment(), **options)
        except subprocess.TimeoutExpired:
            return "timeout"
        return [result.returncode, (result.stdout + result.stderr).strip()]

    def start(self, name, *command, **options):
        """Starts a server; what it says goes to a file called after it."""
        with open(self.home / f"{name}.log", "w") as log:
            return self.host.start("app", *command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, **options)

    def until(self, *command, seconds=10):
        """Repeats a command until it succeeds, or the time is up: a server that never comes is a result too."""
        deadline = time.monotonic() + seconds
        while True:
            said = self.say(*command)
            if said[0] == 0 or time.monotonic() > deadline:
                return said
            time.sleep(0.1)

    def log(self, name):
        return (self.home / f"{name}.log").read_text()[-2000:]
