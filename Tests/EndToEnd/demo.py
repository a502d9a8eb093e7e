"""The main job on real applications: what `make demo` runs.

Builds one host of its own (a network namespace and an instance, so nothing of this machine is touched), starts real
servers that all listen on 0.0.0.0:80, tries who reaches whom, prints a table, and leaves nothing behind.
"""

import sys

from servers import nginx, redis
from world import AGENT, ASK_TCP, ASK_UDP, Host, TCP_WHO, UDP_WHO, kernel_objects, left_behind, sweep

POLICY = """
addressSpace: 10.10.0.0/16
environments:
  shop:
    addresses: 10.10.2.0/24
    permits:
      - {to: payments/db, ports: [tcp/6379]}
  payments:
    addresses: 10.10.3.0/24
  lab:
    addresses: 10.10.4.0/24
    remote: deny
    host: deny
applications:
  db: {environment: payments, address: 10.10.3.2}
"""

APPLICATIONS = [
    ("web", "shop", "10.10.2.1", "nginx on 0.0.0.0:80"),
    ("client", "shop", "10.10.2.2", "curl"),
    ("bank", "payments", "10.10.3.1", "nginx on 0.0.0.0:80"),
    ("db", "payments", "10.10.3.2", "redis on 0.0.0.0:6379"),
    ("lab", "lab", "10.10.4.1", "nginx on 0.0.0.0:80"),
]

REFUSED = "EPERM"
WORLD = "192.0.2.2"


def fetch(host, application, address, **options):
    """What curl says of http://ADDRESS/: the page, or the error."""
    result = host.run(application, "curl", "-sS", "-v", "--max-time", "2", f"http://{address}/", **options)
    if result.returncode == 0:
        return result.stdout.strip()
    if "Operation not permitted" in result.stderr:
        return REFUSED
    return "no answer" if result.returncode in (7, 28) else result.stderr.strip()


def tries(host):
    """From, to, what, expected, and the attempt itself."""
    remote = {"namespace": host.remote_namespace}

    def seen(application, ask, *arguments):
        answer = host.python(application, ask, *arguments)
        return answer if isinstance(answer, str) else f"source {answer[0]}"

    yield "client", "web 10.10.2.1:80", "same environment", "web", lambda: fetch(host, "client", "10.10.2.1")
    yield "web", "web 10.10.2.1:80", "itself", "web", lambda: fetch(host, "web", "10.10.2.1")
    yield "bank", "bank 10.10.3.1:80", "itself", "bank", lambda: fetch(host, "bank", "10.10.3.1")
    yield "host", "web 10.10.2.1:80", "the host", "web", lambda: fetch(host, None, "10.10.2.1")
    yield "host", "bank 10.10.3.1:80", "the host", "bank", lambda: fetch(host, None, "10.10.3.1")
    yield "host", "lab 10.10.4.1:80", "host: deny", "no answer", lambda: fetch(host, None, "10.10.4.1")
    yield "client", "bank 10.10.3.1:80", "other environment", REFUSED, lambda: fetch(host, "client", "10.10.3.1")
    yield "bank", "web 10.10.2.1:80", "other environment", REFUSED, lambda: fetch(host, "bank", "10.10.2.1")
    yield "lab", "web 10.10.2.1:80", "other environment", REFUSED, lambda: fetch(host, "lab", "10.10.2.1")
    yield ("client", "db 10.10.3.2:6379", "permit", "PONG",
           lambda: host.run("client", "redis-cli", "-h", "10.10.3.2", "ping").stdout.strip())
    yield ("db", "web 10.10.2.1:80", "permits go one way", REFUSED, lambda: fetch(host, "db", "10.10.2.1"))
    yield "web", "127.0.0.1:7000", "loopback of the host", "ECONNREFUSED", lambda: seen("web", ASK_TCP, "127.0.0.1", "7000")
    yield "outside", "web 10.10.2.1:80", "from outside", "web", lambda: fetch(host, None, "10.10.2.1", **remote)
    yield "outside", "lab 10.10.4.1:80", "remote: deny", "no answer", lambda: fetch(host, None, "10.10.4.1", **remote)
    yield "web", f"outside {WORLD}:7000", "TCP", "source 10.10.2.1", lambda: seen("web", ASK_TCP, WORLD, "7000")
    for how in ("plain", "connected", "pktinfo"):
        yield ("bank", f"outside {WORLD}:7000", f"UDP {how}", "source 10.10.3.1",
               lambda how=how: seen("bank", ASK_UDP, WORLD, "7000", how, "192.0.2.1"))
    yield "lab", f"outside {WORLD}:7000", "remote: deny", REFUSED, lambda: seen("lab", ASK_TCP, WORLD, "7000")


def main():
    if not AGENT.exists():
        sys.exit("bin/vne-agent is missing: run make build first")
    sweep()
    before = kernel_objects()
    wrong = 0
    with Host("demo", policy=POLICY) as host:
        print("One host, one kernel; no namespace, bridge, NAT or proxy between these:\n")
        for name, environment, address, what in APPLICATIONS:
            host.attach(name, environment, address)
            print(f"  {name:8} {environment:9} {address:11} {what}")
        for name, address in (("web", "10.10.2.1"), ("bank", "10.10.3.1"), ("lab", "10.10.4.1")):
            nginx(host, name, name)
            host.wait_for_port(name, address, 80)
        redis(host, "db")
        host.wait_for_port("db", "10.10.3.2", 6379)
        host.serve(None, TCP_WHO, "127.0.0.1", "7000")
        host.serve(None, TCP_WHO, "0.0.0.0", "7000", namespace=host.remote_namespace)
        host.serve(None, UDP_WHO, "0.0.0.0", "7000", namespace=host.remote_namespace)
        print(f"\n  {'from':8} {'to':22} {'why':21} {'expected':17} {'got':17}")
        for source, destination, why, expected, attempt in tries(host):
            got = attempt()
            wrong += got != expected
            print(f"  {source:8} {destination:22} {why:21} {expected:17} {got:17} {'ok' if got == expected else 'WRONG'}")
        print("\n" + host.agent("status").stdout)
    left = left_behind(before, 10)
    after = kernel_objects()
    for kind in before:
        print(f"  {kind:9} before {len(before[kind]):3}, after {len(after[kind]):3}")
    if left:
        sys.exit(f"demo: something was left behind: {left}")
    if wrong:
        sys.exit(f"demo: {wrong} tries did not go as expected")
    print("\nEverything as expected, nothing left behind.")


if __name__ == "__main__":
    main()
