/// The application addresses of one application: one of each family, at least one.
public struct ApplicationAddresses: Hashable, Sendable {
    /// Its IPv4 address.
    public let ipv4: IPAddress?
    /// Its IPv6 address.
    public let ipv6: IPAddress?

    /// Both addresses, or one of them; nil if there is none, or one is of the other family.
    public init?(ipv4: IPAddress?, ipv6: IPAddress?) {
        guard ipv4 != nil || ipv6 != nil, ipv4?.family != .ipv6, ipv6?.family != .ipv4 else { return nil }
        self.ipv4 = ipv4
        self.ipv6 = ipv6
    }

    /// The address of one family only.
    public init(_ only: IPAddress) {
        switch only.family {
        case .ipv4: (ipv4, ipv6) = (only, nil)
        case .ipv6: (ipv4, ipv6) = (nil, only)
        }
    }

    /// Addresses in any order, one of each family at most; nil for none, or for two of one family.
    public init?(_ addresses: some Sequence<IPAddress>) {
        var found: [AddressFamily: IPAddress] = [:]
        for address in addresses {
            guard found.updateValue(address, forKey: address.family) == nil else { return nil }
        }
        self.init(ipv4: found[.ipv4], ipv6: found[.ipv6])
    }

    /// Those that there are, IPv4 first.
    public var all: [IPAddress] { [ipv4, ipv6].compactMap { $0 } }

    /// The families in which there is one.
    public var families: Set<AddressFamily> { Set(all.map(\.family)) }

    /// The address of a family; nil if there is none.
    public subscript(family: AddressFamily) -> IPAddress? {
        switch family {
        case .ipv4: ipv4
        case .ipv6: ipv6
        }
    }

    /// Whether the address is one of these.
    public func contains(_ address: IPAddress) -> Bool {
        self[address.family] == address
    }
}

extension ApplicationAddresses {
    /// A hostname made from the IPv4 address, or from the IPv6 address where there is none: `10-10-2-1`,
    /// `fd00-10-10-2-0-0-0-1`.
    public var hostname: String {
        if let ipv4 { return "\(ipv4)".split(separator: ".").joined(separator: "-") }
        let number = ipv6?.rawValue ?? 0
        return (0..<8).map { String(UInt16(truncatingIfNeeded: number >> (112 - 16 * $0)), radix: 16) }
            .joined(separator: "-")
    }
}

extension ApplicationAddresses: CustomStringConvertible {
    /// `10.10.2.1, fd00::1`.
    public var description: String { all.map(\.description).joined(separator: ", ") }
}
