"""Writing cgroup.procs: leaves the own cgroup for `to`."""

from common import WORDS, datagram, have, reach, report, stream


def leave():
    with open(f"{WORDS['to']}/cgroup.procs", "w") as procs:
        procs.write("0")


have("another cgroup", leave)
reach("TCP", stream)
reach("UDP", datagram)
report()
