"""NAT rules of the host: connections to `published`, an address that may be reached, which they lead to the victim."""

from common import VICTIMS, WORDS, attempt, datagram, report, stream

attempt(f"reach TCP {VICTIMS[0]}", lambda token: stream(WORDS["published"], token))
attempt(f"reach UDP {VICTIMS[0]}", lambda token: datagram(WORDS["published"], token))
report()
