"""One end of the load of test_endurance.py: serves, and calls others, until it is told to stop by SIGTERM.

    python3 traffic.py REPORT CALL...

A CALL is KIND:ADDRESS:PORT, with a `!` before it if it must not get through. Kinds are `tcp` (a new connection each
time), `stream` (the same connection, for as long as it lasts), `udp` (a socket that is not connected) and
`udp-connected`.
Every half second the file REPORT becomes what came of it so far: the outcomes of each call, the longest time from one
answer to the next, and whose connections and datagrams arrived here.
"""

import collections
import json
import os
import signal
import socket
import sys
import threading
import time

PATIENCE = 0.3
PAUSE = 0.02
SERVED = (80, 81)


class Call:
    """One kind of call to one address, over and over."""

    def __init__(self, text):
        self.text = text
        self.denied = text.startswith("!")
        self.kind, address, port = text.lstrip("!").split(":")
        self.peer = (address, int(port))
        self.outcomes = collections.Counter()
        # The longest time without an answer, and what it was made of: turns, the longest of them, the longest pause.
        self.longest, self.about = 0.0, ""
        self.socket = None

    def repeat(self):
        # What it takes until the servers are there is nobody's failure.
        while not self.denied and self.once() != "answered":
            time.sleep(PAUSE)
        self.outcomes.clear()
        last = ended = time.monotonic()
        turns, turn, pause = 0, 0.0, 0.0
        while True:
            begun = time.monotonic()
            outcome = self.once()
            self.outcomes[outcome] += 1
            now = time.monotonic()
            turns, turn, pause = turns + 1, max(turn, now - begun), max(pause, begun - ended)
            ended = now
            if not self.denied and now - last > self.longest:
                self.longest = now - last
                self.about = f"{turns} turns, the longest {turn:.3f} s, the longest pause {pause:.3f} s"
            if outcome == "answered":
                last, turns, turn, pause = now, 0, 0.0, 0.0
            time.sleep(PAUSE)

    def once(self):
        try:
            if self.socket is None:
                self.socket = socket.socket(type=socket.SOCK_DGRAM if "udp" in self.kind else socket.SOCK_STREAM)
                self.socket.settimeout(PATIENCE)
                if self.kind != "udp":
                    self.socket.connect(self.peer)
            if self.kind == "udp":
                self.socket.sendto(b"x", self.peer)
            else:
                self.socket.sendall(b"x")
            outcome = "answered" if self.socket.recv(1) == b"x" else "closed"
        except OSError as problem:
            outcome = type(problem).__name__
        if self.socket is not None and (outcome != "answered" or self.kind != "stream"):
            self.socket.close()
            self.socket = None
        return outcome


class Clock(Call):
    """No call at all: how long a thread of this process had to wait for its turn."""

    def once(self):
        return "answered"


visitors = collections.Counter()


def serve_streams(port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen(128)

    def echo(client):
        with client:
            try:
                while data := client.recv(1):
                    client.sendall(data)
            except OSError:
                pass
    while True:
        client, peer = listener.accept()
        visitors[f"tcp/{port} {peer[0]}"] += 1
        threading.Thread(target=echo, args=(client,), daemon=True).start()


def serve_datagrams(port):
    server = socket.socket(type=socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", port))
    while True:
        data, peer = server.recvfrom(16)
        visitors[f"udp/{port} {peer[0]}"] += 1
        try:
            server.sendto(data, peer)
        except OSError:
            pass


def main(report, *texts):
    calls = [Clock("clock:-:0"), *map(Call, texts)]
    for port in SERVED:
        for serve in (serve_streams, serve_datagrams):
            threading.Thread(target=serve, args=(port,), daemon=True).start()
    for call in calls:
        threading.Thread(target=call.repeat, daemon=True).start()
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    while True:
        ended = stopped.wait(0.5)
        with open(f"{report}.new", "w") as file:
            told = {call.text: {"outcomes": dict(call.outcomes), "longest": call.longest, "about": call.about}
                    for call in calls}
            json.dump({"visitors": dict(visitors), "calls": told}, file)
        os.rename(f"{report}.new", report)
        if ended:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
