"""A datagram whose sender no look-up by addresses and ports finds: the socket is connected to somebody else."""

from common import UDP_PORT, WITNESSES, family, new, reach, report


def connected(address, token):
    with new(address) as client:
        client.connect((next(witness for witness in WITNESSES if family(witness) == family(address)), UDP_PORT))
        client.sendto(token, (address, UDP_PORT))


reach("connected elsewhere", connected)
report()
