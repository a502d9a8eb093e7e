"""The package that `make deb` made, and others like it: of another version, or with other programs for the kernel."""

import re
import tempfile
from pathlib import Path

from world import PROJECT, run

OBJECT = PROJECT / "bpf" / ".output" / "vne.bpf.o"


def package(name="vne"):
    """The package that `make deb` made."""
    made = list((PROJECT / "bin").glob(f"{name}_*.deb"))
    if len(made) != 1:
        raise AssertionError(f"bin/ has {len(made)} packages {name}: run make deb")
    return made[0]


def another_package(directory, version, change=lambda root: None):
    """Makes the package over again in a directory, as one of another version; `change` may change its files before."""
    with tempfile.TemporaryDirectory() as unpacked:
        root = Path(unpacked) / "root"
        run("dpkg-deb", "--raw-extract", package(), root)
        control = root / "DEBIAN/control"
        control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.MULTILINE))
        change(root)
        made = Path(directory) / f"vne_{version}.deb"
        run("dpkg-deb", "--root-owner-group", "-Znone", "--build", root, made)
    return made


def with_other_programs(root):
    """Gives the agent below `root` programs that do the same in other instructions: the compiler's for small size.

    Nothing else of it differs, so the place of the object that it carries is taken by the other one.
    """
    with tempfile.TemporaryDirectory() as output:
        run("make", "-C", PROJECT, f"{output}/vne.bpf.o", f"BPF_OUTPUT={output}", "BPF_OPTIMIZE=-Os")
        other = (Path(output) / "vne.bpf.o").read_bytes()
    agent, own = root / "usr/bin/vne-agent", OBJECT.read_bytes()
    binary = agent.read_bytes()
    if binary.count(own) != 1 or len(other) > len(own) or other == own[:len(other)]:
        raise AssertionError("the agent carries another object than bpf/.output has: run make deb")
    agent.write_bytes(binary.replace(own, other.ljust(len(own), b"\0")))
