import PolicyModel

/// An address in a test, which dies of one that is none.
func ip(_ text: String) -> IPv4Address {
    guard let address = IPv4Address(text) else { preconditionFailure("no address: \(text)") }
    return address
}

/// A prefix in a test, which dies of one that is none.
func net(_ text: String) -> IPv4Prefix {
    guard let prefix = IPv4Prefix(text) else { preconditionFailure("no prefix: \(text)") }
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
    addressSpace: [10.10.0.0/16, 10.20.0.0/16]
    addressSpaceInterfaces: [eth0, wg0]
    environments:
      shop:
        addresses: [10.10.2.0/24, 10.20.2.1]
        remote:
          in: deny
          out:
            allow:
              - 192.0.2.0/24 tcp/443 udp/53
              - {prefix: 198.51.100.0/24, ports: [tcp/80-90, tcp/8080]}
              - 0.0.0.0/0 tcp/25
            deny: [192.0.2.128/25]
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
        multicast: false
        protocols: [tcp, udp, ping]
      mail:
        addresses: ["10.10.4.1", 10.10.4.2]
        remote: {deny: [203.0.113.0/24]}
    applications:
      web:
        environment: shop
        address: 10.10.2.1
        hostname: web.shop
        cgroup: system.slice/nginx.service
      db: {environment: payments, address: [10.10.3.1], cgroup: system.slice/postgresql.service}
      post: {environment: mail, address: auto}

    """
