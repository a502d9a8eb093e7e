import PolicyModel

/// Policy files that several suites start from.
enum Samples {
    /// Two environments; `shop` may reach the database of `payments`, and `web` has a reserved address.
    static let shop = """
        addressSpace: [10.10.0.0/16]
        environments:
          shop:
            addresses: [10.10.2.0/24]
            permits:
              - {to: payments, ports: [tcp/5432, udp/53]}
          payments:
            addresses: [10.10.3.0/24]
            remote: deny
            host: deny
        applications:
          web:
            environment: shop
            address: 10.10.2.1
            hostname: web.shop

        """

    /// The same with a protocol that needs the egress hook.
    static let ping = shop.replacing("    permits:", with: "    protocols: [tcp, udp, ping]\n    permits:")

    /// The same with cgroups for its applications.
    static let attached = """
        addressSpace: [10.10.0.0/16]
        environments:
          shop:
            addresses: [10.10.2.0/24]
            permits:
              - {to: payments, ports: [tcp/5432, udp/53]}
          payments:
            addresses: [10.10.3.0/24]
            remote: deny
            host: deny
        applications:
          web:
            environment: shop
            address: 10.10.2.1
            hostname: web.shop
            cgroup: shop/web
          db:
            environment: payments
            address: 10.10.3.1
            cgroup: payments/db

        """

    static func tcp(
        _ cookie: UInt64, _ local: String, _ localPort: UInt16, _ remote: String, _ remotePort: UInt16,
        cgroup: UInt64, state: UInt8 = 1, transport: TransportProtocol = .tcp
    ) -> ObservedSocket {
        ObservedSocket(
            family: 2, transport: transport, cookie: cookie, state: state, local: IPv4Address(local),
            localPort: localPort, remote: IPv4Address(remote), remotePort: remotePort, cgroupID: cgroup, inode: cookie,
            interface: 0)
    }
}
