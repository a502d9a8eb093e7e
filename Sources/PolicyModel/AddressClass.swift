/// What an address is to the decision.
public enum AddressClass: Hashable, Sendable {
    /// In the environment of this name.
    case environment(String)
    /// In the address space, in no environment.
    case unassigned
    /// 127.0.0.0/8, and 0.0.0.0, which a connect takes as loopback.
    case loopback
    /// 224.0.0.0/4.
    case multicast
    /// 255.255.255.255, or the broadcast address of one of the host's networks.
    case broadcast
    /// An address of the host.
    case host
    /// 169.254.0.0/16.
    case linkLocal
    /// The rest of the world.
    case remote
}

extension IPv4Prefix {
    // What is never in an address space, and most of it never a remote either.

    /// Hosts of "this network" (RFC 791).
    static let thisNetwork = IPv4Prefix(holding: IPv4Address(rawValue: 0), length: 8)
    static let unspecified = IPv4Prefix(holding: IPv4Address(rawValue: 0), length: 32)
    static let loopback = IPv4Prefix(holding: IPv4Address(rawValue: 0x7f00_0000), length: 8)
    static let linkLocal = IPv4Prefix(holding: IPv4Address(rawValue: 0xa9fe_0000), length: 16)
    static let multicast = IPv4Prefix(holding: IPv4Address(rawValue: 0xe000_0000), length: 4)
    static let limitedBroadcast = IPv4Prefix(holding: IPv4Address(rawValue: .max), length: 32)
}
