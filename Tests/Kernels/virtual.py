"""What a virtual machine of the tests has for a processor: this machine's, or an emulated one."""

import os
import re
from pathlib import Path

# How many times slower than a processor an emulated one is, at most: tests that measure time allow for it.
SLOWNESS_EMULATED = 20


def kvm_works():
    """Whether this machine lends its processor. /dev/kvm alone does not say so: there are hosts where it runs adapted
    kernels only, and their processors show no virtualisation."""
    return os.access("/dev/kvm", os.W_OK) and bool(re.search(r"\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text()))


def processor():
    """QEMU's options for it."""
    # A feature that some hosts show and do not grant ends QEMU at start; 5-level paging only slows emulation.
    return (["-accel", "kvm", "-cpu", "max,arch-capabilities=off"] if kvm_works() else
            ["-accel", "tcg,thread=multi", "-cpu", "max,la57=off"])
