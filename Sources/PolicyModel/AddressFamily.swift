/// The two address families that applications have addresses in.
public enum AddressFamily: String, CaseIterable, Hashable, Sendable, Codable {
    /// `AF_INET`.
    case ipv4
    /// `AF_INET6`; an IPv4-mapped address (::ffff:a.b.c.d) is of ``ipv4``.
    case ipv6

    /// Bits of an address: the greatest length of a prefix.
    public var width: Int {
        switch self {
        case .ipv4: 32
        case .ipv6: 128
        }
    }

    /// As people write it: `IPv4`, `IPv6`.
    public var name: String {
        switch self {
        case .ipv4: "IPv4"
        case .ipv6: "IPv6"
        }
    }
}
