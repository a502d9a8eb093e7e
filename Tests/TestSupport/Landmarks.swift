public import PolicyModel

/// The addresses and ports where a policy's answer changes: both sides of every edge that it or its host draws.
public struct Landmarks: Sendable {
    /// By what draws the edge; none is empty, so that the few of one kind are met as often as the many of another.
    public let addresses: [[IPAddress]]
    /// Sorted, without doubles.
    public let ports: [UInt16]

    /// The landmarks of a policy on a host.
    public init(of policy: Policy, on host: HostView) {
        var groups = policy.environments.map { $0.addresses.flatMap(Self.edges) }
        groups.append(policy.applications.compactMap(\.addresses).flatMap(\.all))
        groups.append(policy.addressSpace.flatMap(Self.edges))
        groups.append(host.addresses.sorted())
        groups.append(host.broadcasts.sorted())
        groups.append((host.sharedServices + policy.loopbackShared).map(\.address))
        groups.append(policy.environments.flatMap { $0.remoteIn.rules }.flatMap { Self.edges($0.prefix) })
        groups.append(policy.environments.flatMap { $0.remoteOut.rules }.flatMap { Self.edges($0.prefix) })
        groups.append(
            [
                "0.0.0.0", "0.0.0.1", "8.8.8.8", "126.255.255.255", "127.0.0.1", "127.0.0.53", "127.255.255.255",
                "128.0.0.0",
                "169.253.255.255", "169.254.0.0", "169.254.7.7", "169.254.255.255", "169.255.0.0", "192.0.2.1",
                "223.255.255.255", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.254", "255.255.255.255",
            ].compactMap { IPAddress($0) })
        groups.append(
            [
                "::", "::1", "::2", "::fffe:ffff:ffff", "::1:0:0:0", "2001:db8::1",
                "fd56:4e44:ffff:ffff:ffff:ffff:ffff:ffff", "fd56:4e45::", "fd56:4e45:ffff:ffff:ffff:ffff:ffff:ffff",
                "fd56:4e46::", "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::", "fe80::1",
                "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "ff00::", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ].compactMap { IPAddress($0) })
        addresses = groups.filter { !$0.isEmpty }

        let rules = policy.environments.flatMap { environment in
            environment.permits.flatMap(\.ports)
                + (environment.remoteIn.rules + environment.remoteOut.rules).flatMap(\.ports)
        }
        var ports: Set<UInt16> = [1, 53, 80, 65535]
        for bound in rules.flatMap({ [$0.ports.lowerBound, $0.ports.upperBound] }) {
            ports.formUnion([bound &- 1, bound, bound &+ 1])
        }
        self.ports = ports.sorted()
    }

    /// Outside, at the edge, inside; where the prefix ends at the end of its family's addresses, its other end is
    /// outside.
    private static func edges(_ prefix: IPPrefix) -> [IPAddress] {
        guard let first = prefix.network.ipv4, let last = prefix.last.ipv4 else {
            return edges(prefix.network.rawValue, prefix.last.rawValue).map { IPAddress(rawValue: $0) }
        }
        return edges(first, last).map { IPAddress(ipv4: $0) }
    }

    private static func edges<Number: FixedWidthInteger>(_ first: Number, _ last: Number) -> [Number] {
        [first &- 1, first, first + (last - first) / 2, last, last &+ 1]
    }
}
