import PolicyModel
import Testing

/// A policy file that a test is repeated with, told by its name.
struct PolicySample: CustomTestStringConvertible {
    var name: String
    var text: String
    var testDescription: String { name }
}

/// Policy files that several suites start from.
enum Samples {
    /// One family, one with a hook more, and both families.
    static let unattached = [
        PolicySample(name: "IPv4", text: shop), PolicySample(name: "ping", text: ping),
        PolicySample(name: "both families", text: dual),
    ]

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

    /// Two environments with addresses of both families, and applications without cgroups.
    static let dual = """
        addressSpace: [10.10.0.0/16, "fd00::/32"]
        environments:
          shop:
            addresses: [10.10.2.0/24, "fd00:0:2::/64"]
            permits:
              - {to: payments, ports: [tcp/5432, udp/53]}
          payments:
            addresses: [10.10.3.0/24, "fd00:0:3::/64"]
            remote: deny
            host: deny
        applications:
          web:
            environment: shop
            address: [10.10.2.1, "fd00:0:2::1"]
          db:
            environment: payments
            address: [10.10.3.1, "fd00:0:3::1"]

        """

    /// The same with cgroups.
    static let dualAttached =
        dual
        .replacing("\"fd00:0:2::1\"]", with: "\"fd00:0:2::1\"]\n    cgroup: shop/web")
        .replacing("\"fd00:0:3::1\"]", with: "\"fd00:0:3::1\"]\n    cgroup: payments/db")

    static func tcp(
        _ cookie: UInt64, _ local: String, _ localPort: UInt16, _ remote: String, _ remotePort: UInt16,
        cgroup: UInt64, state: UInt8 = 1, transport: TransportProtocol = .tcp
    ) -> ObservedSocket {
        ObservedSocket(
            family: local.contains(":") ? 10 : 2, transport: transport, cookie: cookie, state: state,
            local: IPAddress(local),
            localPort: localPort, remote: IPAddress(remote), remotePort: remotePort, cgroupID: cgroup, inode: cookie,
            interface: 0)
    }
}
