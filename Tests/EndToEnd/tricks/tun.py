"""A tun device: packets with any source come into the host as if from a link."""

import fcntl
import os
import struct
import subprocess

from common import VICTIMS, WORDS, reach, report, udp_packet

TUNSETIFF = 0x400454ca
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000


def inject(address, token):
    device = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"trick0", IFF_TUN | IFF_NO_PI))
        subprocess.run(["ip", "link", "set", "trick0", "up"], check=True)
        os.write(device, udp_packet(WORDS["source"], address, token))
    finally:
        os.close(device)


reach("tun", inject, VICTIMS[:1])
report()
