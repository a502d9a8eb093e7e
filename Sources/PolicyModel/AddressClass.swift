/// What an address is to the decision.
public enum AddressClass: Hashable, Sendable {
    /// In the environment of this name.
    case environment(String)
    /// In the address space, in no environment.
    case unassigned
    /// 127.0.0.0/8 and ::1; 0.0.0.0 and ::, which a connect takes as loopback; fd56:4e45::/32, the private loopbacks.
    case loopback
    /// 224.0.0.0/4 and ff00::/8.
    case multicast
    /// 255.255.255.255, or the broadcast address of one of the host's networks.
    case broadcast
    /// An address of the host.
    case host
    /// 169.254.0.0/16 and fe80::/10.
    case linkLocal
    /// The rest of the world.
    case remote
}

extension AddressClass {
    /// What is the same on every host. The order of precedence is: environment, unassigned, loopback, multicast,
    /// broadcast, host, link-local, remote.
    public static let fixed: [(prefix: IPPrefix, class: AddressClass)] = [
        (.linkLocal4, .linkLocal), (.linkLocal6, .linkLocal), (.limitedBroadcast, .broadcast),
        (.multicast4, .multicast), (.multicast6, .multicast), (.unspecified4, .loopback), (.unspecified6, .loopback),
        (.loopback4, .loopback), (.loopback6, .loopback), (.privateLoopback6, .loopback),
    ]
}

extension IPPrefix {
    // What is never in an address space, and most of it never a remote either.

    /// Hosts of "this network" (RFC 791).
    static let thisNetwork = IPPrefix(holding: IPAddress(ipv4: 0), length: 8)
    /// 0.0.0.0, and ::.
    static let unspecified4 = IPPrefix(IPAddress(ipv4: 0))
    static let unspecified6 = IPPrefix(IPAddress(rawValue: 0))
    static let loopback4 = IPPrefix(holding: .loopback4, length: 8)
    static let loopback6 = IPPrefix(.loopback6)
    /// What ::1 is in truth to an application: "VN" and "NE" behind the prefix of local addresses (RFC 4193).
    static let privateLoopback6 = IPPrefix(holding: IPAddress(high: 0xfd56_4e45_0000_0000, low: 0), length: 32)
    static let linkLocal4 = IPPrefix(holding: IPAddress(ipv4: 0xa9fe_0000), length: 16)
    static let linkLocal6 = IPPrefix(holding: IPAddress(high: 0xfe80_0000_0000_0000, low: 0), length: 10)
    static let multicast4 = IPPrefix(holding: IPAddress(ipv4: 0xe000_0000), length: 4)
    static let multicast6 = IPPrefix(holding: IPAddress(high: 0xff00_0000_0000_0000, low: 0), length: 8)
    static let limitedBroadcast = IPPrefix(IPAddress(ipv4: .max))
}
