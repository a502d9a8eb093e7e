"""Small programs of socket calls whose answers an unmodified program relies on, each a sentence and what came of it.

Prints one JSON object: sentence → result. Run on a host that has ADDRESS4 and ADDRESS6 and inside an application with
these addresses, it prints the same. Ports are the kernel's choice and are printed as words.

    python3 socket_calls.py ADDRESS4 ADDRESS6
"""

import array
import errno
import json
import os
import socket
import struct
import sys
import tempfile

V4, V6, LOOP4, LOOP6 = sys.argv[1], sys.argv[2], "127.0.0.1", "::1"
IP_PKTINFO, IP_RECVERR, IP_RECVORIGDSTADDR = 8, 11, 20
IPV6_RECVPKTINFO, IPV6_PKTINFO = socket.IPV6_RECVPKTINFO, socket.IPV6_PKTINFO
CALLS = {}


def call(sentence):
    def register(body):
        CALLS[sentence] = body
        return body
    return register


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def sock(address, kind=socket.SOCK_STREAM, only6=None):
    made = socket.socket(family(address), kind)
    made.settimeout(2)
    if only6 is not None:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only6)
    return made


def listener(address, only6=None):
    made = sock(address, only6=only6)
    made.bind((address, 0))
    made.listen()
    return made


def host(name):
    return name[0]


def stream(server_address, client_address, only6=None, bind=None):
    """All four names of a connection, and bytes both ways."""
    with listener(server_address, only6) as server, sock(client_address) as client:
        if bind is not None:
            client.bind((bind, 0))
        client.connect((client_address, server.getsockname()[1]))
        child, peer = server.accept()
        with child:
            child.settimeout(2)
            client.sendall(b"question")
            asked = child.recv(100)
            child.sendall(b"answer")
            return {"listener": host(server.getsockname()), "accept": host(peer),
                    "server": [host(child.getsockname()), host(child.getpeername())],
                    "client": [host(client.getsockname()), host(client.getpeername())],
                    "same": peer == client.getsockname() and child.getsockname()[1] == client.getpeername()[1],
                    "bytes": [asked.decode(), client.recv(100).decode()]}


def datagrams(server_address, client_address, bind=None, connect=False, only6=None):
    """Where a question came from, and where the answer came from."""
    with sock(server_address, socket.SOCK_DGRAM, only6) as server, sock(client_address, socket.SOCK_DGRAM) as client:
        server.bind((server_address, 0))
        if bind is not None:
            client.bind((bind, 0))
        to = (client_address, server.getsockname()[1])
        if connect:
            client.connect(to)
            client.send(b"question")
        else:
            client.sendto(b"question", to)
        _, source = server.recvfrom(100)
        server.sendto(b"answer", source)
        _, answered = client.recvfrom(100)
        return {"source": host(source), "answered": host(answered), "port": answered[1] == to[1],
                "server": host(server.getsockname()), "client": host(client.getsockname())}


# ---------------------------------------------------------------------- names of connections

for where in (LOOP4, LOOP6, V4, V6):
    any_address = "::" if ":" in where else "0.0.0.0"
    call(f"a stream to a listener on {where}")(lambda where=where: stream(where, where))
    call(f"a stream to {where}, the listener on the wildcard")(
        lambda where=where, a=any_address: stream(a, where, only6=1 if ":" in a else None))
    call(f"a stream to {where} from a client bound to the wildcard")(
        lambda where=where, a=any_address: stream(where, where, bind=a))
    call(f"a stream to {where} from a client bound to it")(lambda where=where: stream(where, where, bind=where))
    call(f"datagrams to {where}")(lambda where=where: datagrams(where, where))
    call(f"datagrams to {where}, the server on the wildcard")(
        lambda where=where, a=any_address: datagrams(a, where, only6=1 if ":" in a else None))
    call(f"datagrams to {where} from a client bound to the wildcard")(
        lambda where=where, a=any_address: datagrams(where, where, bind=a))
    call(f"datagrams to {where} from a client bound to it")(lambda where=where: datagrams(where, where, bind=where))
    call(f"connected datagrams to {where}")(lambda where=where: datagrams(where, where, connect=True))

for where in (LOOP4, LOOP6, V4, V6):
    call(f"a stream to {where}, the listener on a dual-stack wildcard")(lambda where=where: stream("::", where, only6=0))

for where in (LOOP4, V4):
    call(f"datagrams to {where}, the server on a dual-stack wildcard")(
        lambda where=where: datagrams("::", where, only6=0))
    call(f"a stream to ::ffff:{where} from an IPv6 socket")(lambda where=where: stream(where, f"::ffff:{where}"))
    call(f"datagrams to ::ffff:{where} from an IPv6 socket")(lambda where=where: datagrams(where, f"::ffff:{where}"))
    call(f"a stream to a listener on ::ffff:{where}")(lambda where=where: stream(f"::ffff:{where}", where, only6=0))

call("a stream to 0.0.0.0 means the loopback")(lambda: stream(LOOP4, "0.0.0.0"))
call("a stream to :: means the loopback")(lambda: stream(LOOP6, "::"))
call("datagrams to 0.0.0.0 mean the loopback")(lambda: datagrams(LOOP4, "0.0.0.0"))
call("a stream to the own address from a client bound to the loopback")(lambda: stream(V4, V4, bind=LOOP4))
call("a stream to another address of the loopback")(lambda: stream("127.0.0.2", "127.0.0.2"))


# ---------------------------------------------------------------------- refusals

for where in (LOOP4, LOOP6, V4, V6):
    @call(f"nobody listens on {where}")
    def _(where=where):
        with sock(where) as held, sock(where) as client:
            held.bind((where, 0))
            client.connect(held.getsockname())

    @call(f"a datagram to a closed port of {where}")
    def _(where=where):
        with sock(where, socket.SOCK_DGRAM) as held, sock(where, socket.SOCK_DGRAM) as client:
            held.bind((where, 0))
            to = held.getsockname()
            held.close()
            client.connect(to)
            client.send(b"x")
            client.recv(10)

    @call(f"the same address and port of {where} twice")
    def _(where=where):
        with listener(where) as first, sock(where) as second:
            second.bind(first.getsockname())

call("a listener on the loopback is not on the own address")(lambda: stream(LOOP4, V4))
call("a listener on the own address is not on the loopback")(lambda: stream(V4, LOOP4))


@call("a wildcard listener and the loopback's port collide")
def _():
    with listener("0.0.0.0") as first, sock(LOOP4) as second:
        second.bind((LOOP4, first.getsockname()[1]))


@call("an IPv4 and an IPv6-only wildcard listener share a port")
def _():
    with listener("0.0.0.0") as first, sock("::", only6=1) as second:
        second.bind(("::", first.getsockname()[1]))
        second.listen()
        return "both"


@call("an IPv4 and a dual-stack wildcard listener collide")
def _():
    with listener("0.0.0.0") as first, sock("::", only6=0) as second:
        second.bind(("::", first.getsockname()[1]))


@call("an address of nobody's cannot be bound")
def _():
    with sock(V4) as made:
        made.bind(("198.51.100.1", 0))


# ---------------------------------------------------------------------- names of sockets that are not connected

@call("a new socket has the name of nothing")
def _():
    with sock(V4) as four, sock(V6) as six:
        return [four.getsockname(), six.getsockname()]


for where in ("0.0.0.0", "::", LOOP4, LOOP6, V4, V6):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        @call(f"the name of a {kind.name} bound to {where}")
        def _(where=where, kind=kind):
            with sock(where, kind) as made:
                made.bind((where, 0))
                return [made.getsockname()[0], made.getsockname()[2:]]


@call("listen without bind is reached over the loopback")
def _():
    with sock(V4) as server, sock(V4) as client:
        server.listen()
        client.connect((LOOP4, server.getsockname()[1]))
        return [host(server.getsockname()), host(server.accept()[1])]


@call("a datagram socket connects again, and to nothing")
def _():
    with sock(V4, socket.SOCK_DGRAM) as first, sock(V4, socket.SOCK_DGRAM) as second, \
            sock(V4, socket.SOCK_DGRAM) as client:
        first.bind((LOOP4, 0))
        second.bind((V4, 0))
        seen = []
        for server in (first, second, first):
            client.connect(server.getsockname())
            client.send(b"x")
            seen.append([host(server.recvfrom(10)[1]), host(client.getpeername())])
        unspec = struct.pack("H14x", socket.AF_UNSPEC)
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        seen.append(libc.connect(client.fileno(), unspec, 16))
        client.sendto(b"x", first.getsockname())
        seen.append(host(first.recvfrom(10)[1]))
        return seen


@call("a socket that has sent connects afterwards")
def _():
    with sock(V4, socket.SOCK_DGRAM) as server, sock(V4, socket.SOCK_DGRAM) as client:
        server.bind((LOOP4, 0))
        client.sendto(b"x", server.getsockname())
        client.connect(server.getsockname())
        client.send(b"y")
        return [server.recv(10).decode(), server.recv(10).decode(), host(client.getsockname())]


@call("an IPv6 socket connects to an AF_INET address, as getaddrinfo does when it sorts")
def _():
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    with sock(V6, socket.SOCK_DGRAM) as made:
        to = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(9), socket.inet_aton(LOOP4))
        if libc.connect(made.fileno(), to, 16):
            raise OSError(ctypes.get_errno(), "connect")
        return host(made.getsockname())


@call("getaddrinfo of localhost")
def _():
    return sorted({(entry[0].name, entry[4][0]) for entry in socket.getaddrinfo("localhost", 80)})


# ---------------------------------------------------------------------- control messages, flags, options

def pktinfo(server_address, to):
    """The destination that a server is told, and an answer with just that as its source."""
    level, ask, kind = (socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, IPV6_PKTINFO) if ":" in to else \
        (socket.IPPROTO_IP, IP_PKTINFO, IP_PKTINFO)
    with sock(server_address, socket.SOCK_DGRAM, 1 if ":" in to else None) as server, \
            sock(to, socket.SOCK_DGRAM) as client:
        server.setsockopt(level, ask, 1)
        server.bind((server_address, 0))
        client.sendto(b"question", (to, server.getsockname()[1]))
        _, control, _, source = server.recvmsg(100, 200)
        data = next(data for _, found, data in control if found == kind)
        told = [socket.inet_ntop(socket.AF_INET6, data[:16])] if ":" in to else \
            [socket.inet_ntoa(data[4:8]), socket.inet_ntoa(data[8:12])]
        server.sendmsg([b"answer"], [(level, kind, data)], 0, source)
        return {"told": told, "source": host(source), "answered": host(client.recvfrom(100)[1])}


for where in (LOOP4, LOOP6, V4, V6):
    call(f"packet information for a wildcard server, asked on {where}")(
        lambda where=where: pktinfo("::" if ":" in where else "0.0.0.0", where))


@call("hop limit and traffic class of IPv6 datagrams")
def _():
    with sock(LOOP6, socket.SOCK_DGRAM) as server, sock(LOOP6, socket.SOCK_DGRAM) as client:
        server.bind((LOOP6, 0))
        for option in (socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVTCLASS):
            server.setsockopt(socket.IPPROTO_IPV6, option, 1)
        number = lambda n: array.array("i", [n]).tobytes()
        client.sendmsg([b"x"], [(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, number(4)),
                                (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, number(2))], 0, server.getsockname())
        _, control, flags, source = server.recvmsg(10, 200)
        return [sorted((kind, struct.unpack("i", data)[0]) for _, kind, data in control), flags, source[0], source[2:]]


@call("time to live and type of service of IPv4 datagrams")
def _():
    with sock(LOOP4, socket.SOCK_DGRAM) as server, sock(LOOP4, socket.SOCK_DGRAM) as client:
        server.bind((LOOP4, 0))
        server.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
        server.setsockopt(socket.IPPROTO_IP, 13, 1)  # IP_RECVTOS
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 3)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 16)
        client.sendto(b"x", server.getsockname())
        _, control, _, source = server.recvmsg(10, 200)
        return [sorted((kind, data[0]) for _, kind, data in control), host(source)]


@call("the original destination of a datagram")
def _():
    with sock(LOOP4, socket.SOCK_DGRAM) as server, sock(LOOP4, socket.SOCK_DGRAM) as client:
        server.setsockopt(socket.IPPROTO_IP, IP_RECVORIGDSTADDR, 1)
        server.bind((LOOP4, 0))
        client.sendto(b"x", server.getsockname())
        _, control, _, _ = server.recvmsg(10, 200)
        return [socket.inet_ntoa(data[4:8]) for _, kind, data in control if kind == IP_RECVORIGDSTADDR]


@call("the error queue names who refused")
def _():
    with sock(LOOP4, socket.SOCK_DGRAM) as held, sock(LOOP4, socket.SOCK_DGRAM) as client:
        held.bind((LOOP4, 0))
        to = held.getsockname()
        held.close()
        client.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        client.connect(to)
        client.send(b"x")
        _, control, flags, name = client.recvmsg(10, 200, socket.MSG_ERRQUEUE)
        (_, _, data), = control
        code, origin = struct.unpack_from("IB", data)
        return {"errno": code, "origin": origin, "offender": socket.inet_ntoa(data[20:24]), "destination": host(name)}


@call("two listeners share a port by SO_REUSEPORT, and both are reached")
def _():
    made = []
    for port in (0, None):
        server = sock(LOOP4)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((LOOP4, made[0].getsockname()[1] if made else 0))
        server.listen()
        server.setblocking(False)
        made.append(server)
    for _ in range(64):
        with sock(LOOP4) as client:
            client.connect(made[0].getsockname())
    accepted = []
    for server in made:
        count = 0
        try:
            while True:
                server.accept()[0].close()
                count += 1
        except BlockingIOError:
            accepted.append(count > 0)
        server.close()
    return accepted


@call("peek, truncation and out-of-band data over the loopback")
def _():
    with listener(LOOP4) as server, sock(LOOP4) as client:
        client.connect(server.getsockname())
        child, _ = server.accept()
        with child, sock(LOOP4, socket.SOCK_DGRAM) as receiver, sock(LOOP4, socket.SOCK_DGRAM) as sender:
            child.settimeout(None)
            client.send(b"ab")
            peeked = child.recv(10, socket.MSG_PEEK).decode()
            client.send(b"!", socket.MSG_OOB)
            receiver.bind((LOOP4, 0))
            sender.sendto(b"long", receiver.getsockname())
            short = receiver.recvmsg(2)
            return [peeked, child.recv(2).decode(), child.recv(1, socket.MSG_OOB).decode(), short[0].decode(),
                    bool(short[2] & socket.MSG_TRUNC), host(short[3])]


@call("TCP_FASTOPEN by sendto")
def _():
    with listener(LOOP4) as server, sock(LOOP4) as client:
        client.settimeout(None)
        client.sendto(b"early", 0x20000000, server.getsockname())
        child, peer = server.accept()
        with child:
            return [child.recv(10).decode(), host(peer), host(client.getpeername())]


@call("MPTCP over the loopback")
def _():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as server, \
            socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as client:
        server.bind((LOOP4, 0))
        server.listen()
        client.settimeout(2)
        client.connect(server.getsockname())
        child, peer = server.accept()
        with child:
            return [host(peer), host(child.getsockname()), host(client.getsockname())]


@call("SO_PEERNAME")
def _():
    with listener(LOOP4) as server, sock(LOOP4) as client:
        client.connect(server.getsockname())
        return socket.inet_ntoa(client.getsockopt(socket.SOL_SOCKET, 28, 16)[4:8])


@call("SO_BINDTODEVICE lo")
def _():
    with listener(LOOP4) as server, sock(LOOP4) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        client.connect(server.getsockname())
        return host(server.accept()[1])


@call("the source of the way to the loopback is the loopback")
def _():
    with sock(LOOP4, socket.SOCK_DGRAM) as four, sock(LOOP6, socket.SOCK_DGRAM) as six:
        four.connect((LOOP4, 9))
        six.connect((LOOP6, 9))
        return [host(four.getsockname()), host(six.getsockname())]


# ---------------------------------------------------------------------- what is not IP

@call("descriptors over a Unix socket, and a listener among them")
def _():
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with left, right, listener(LOOP4) as server:
        socket.send_fds(left, [b"x"], [server.fileno()])
        _, received, _, _ = socket.recv_fds(right, 10, 4)
        with socket.socket(fileno=received[0]) as passed, sock(LOOP4) as client:
            client.connect(passed.getsockname())
            passed.settimeout(2)
            return [host(passed.getsockname()), host(passed.accept()[1])]


@call("abstract Unix names")
def _():
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(b"\0vne" + str(os.getpid()).encode())
        server.listen()
        client.connect(server.getsockname())
        child, _ = server.accept()
        with child:
            return struct.unpack("3i", child.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0] == os.getpid()


@call("Unix names in the file system")
def _():
    with tempfile.TemporaryDirectory() as home, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        server.bind(f"{home}/server")
        client.sendto(b"x", f"{home}/server")
        return server.recv(10).decode()


@call("netlink lists interfaces")
def _():
    return "lo" in [name for _, name in socket.if_nameindex()]


def outcome(body):
    try:
        return body()
    except TimeoutError:
        return "timeout"
    except OSError as problem:
        return errno.errorcode.get(problem.errno, str(problem))


if __name__ == "__main__":
    print(json.dumps({sentence: outcome(body) for sentence, body in CALLS.items()}))
