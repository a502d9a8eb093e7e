import Glibc
import PolicyModel

/// How much of the processor's time the work takes on this thread, whatever else a busy machine does.
func processorTime(_ work: () throws -> Void) rethrows -> Duration {
    func now() -> Duration {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
    let start = now()
    try work()
    return now() - start
}

/// An address in a test, which dies of one that is none.
func ip(_ text: String) -> IPAddress {
    guard let address = IPAddress(text) else { preconditionFailure("no address: \(text)") }
    return address
}

/// Application addresses in a test, which dies of those that are none.
func own(_ texts: String...) -> ApplicationAddresses {
    guard let addresses = ApplicationAddresses(texts.map { ip($0) }) else { preconditionFailure("not: \(texts)") }
    return addresses
}

/// Application addresses from their description.
func own(list: String) -> ApplicationAddresses {
    guard let addresses = ApplicationAddresses(list.split(separator: ", ").map { ip(String($0)) }) else {
        preconditionFailure("not: \(list)")
    }
    return addresses
}

/// The private loopback in a block, as an instance gives it.
func loopback(_ block: UInt32) -> PrivateLoopback {
    PrivateLoopback(
        ipv4: IPAddress(ipv4: 0x7f01_0000 + block << 8),
        ipv6: IPAddress(high: 0xfd56_4e45_0000_0000, low: UInt64(block)))
}

/// A prefix in a test, which dies of one that is none.
func net(_ text: String) -> IPPrefix {
    guard let prefix = IPPrefix(text) else { preconditionFailure("no prefix: \(text)") }
    return prefix
}

/// Rules for ports in a test, which dies of those that are none.
func ports(_ texts: String...) -> [PortRule] {
    texts.map { text in
        guard let rule = PortRule(text) else { preconditionFailure("no rule: \(text)") }
        return rule
    }
}

/// A file that uses every key.
let wholeFile = """
    addressSpace: [10.10.0.0/16, 10.20.0.0/16, "fd00:10::/32"]
    addressSpaceInterfaces: [eth0, wg0]
    loopback: {shared: ["127.0.0.1:11211", "[::1]:5353"]}
    environments:
      shop:
        addresses: [10.10.2.0/24, 10.20.2.1, "fd00:10:2::/64"]
        remote:
          in: deny
          out:
            allow:
              - 192.0.2.0/24 tcp/443 udp/53
              - {prefix: 198.51.100.0/24, ports: [tcp/80-90, tcp/8080]}
              - 0.0.0.0/0 tcp/25
              - 2001:db8::/32 tcp/443
            deny: [192.0.2.128/25, "2001:db8:1::/48"]
        host: deny
        linkLocal: true
        strict: true
        mode: audit
        permits:
          - {to: payments/db, ports: [tcp/5432]}
          - to: payments
            ports: [udp/5000-5010, ping]
          - {to: mail}
        protocols: [tcp, udp, ping]
      payments:
        addresses: 10.10.3.0/24
        remote: deny
        multicast: true
        protocols: [tcp, udp, ping]
      mail:
        addresses: ["10.10.4.1", 10.10.4.2, "fd00:10:4::1"]
        remote: {deny: [203.0.113.0/24]}
    applications:
      web:
        environment: shop
        address: [10.10.2.1, "fd00:10:2::1"]
        hostname: web.shop
        cgroup: system.slice/nginx.service
      db: {environment: payments, address: [10.10.3.1], cgroup: system.slice/postgresql.service}
      post: {environment: mail, address: auto}
    guard: {cgroups: [system.slice, user.slice], addresses: [192.0.2.10, "2001:db8::10"]}

    """
