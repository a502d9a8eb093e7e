/// An IPv4 prefix: a network without host bits and its length.
public struct IPv4Prefix: Hashable, Comparable, Sendable {
    /// The first address; its host bits are zero.
    public let network: IPv4Address
    /// 0 to 32.
    public let length: Int

    /// The prefix of this length that holds `address`: host bits are cleared.
    ///
    /// - Precondition: `length` is 0 to 32.
    public init(holding address: IPv4Address, length: Int) {
        precondition((0...32).contains(length))
        self.length = length
        self.network = IPv4Address(rawValue: address.rawValue & Self.mask(length))
    }

    /// A prefix from `a.b.c.d/n`, or `a.b.c.d` for /32; nil if it is not one or has host bits set.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPv4Address(first) else { return nil }
        var length = 32
        if parts.count == 2 {
            guard (1...2).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (48...57).contains($0) }),
                let number = Int(parts[1]), number <= 32, parts[1].utf8.count == 1 || parts[1].utf8.first != 48
            else { return nil }
            length = number
        }
        self.init(holding: address, length: length)
        guard network == address else { return nil }
    }

    /// The netmask of a length, host byte order.
    public static func mask(_ length: Int) -> UInt32 {
        length == 0 ? 0 : UInt32.max << UInt32(32 - length)
    }

    /// The netmask, host byte order.
    public var mask: UInt32 { Self.mask(length) }

    /// The last address.
    public var last: IPv4Address { IPv4Address(rawValue: network.rawValue | ~mask) }

    /// How many addresses it has.
    public var count: Int { 1 << (32 - length) }

    /// Whether the address lies in this prefix.
    public func contains(_ address: IPv4Address) -> Bool {
        address.rawValue & mask == network.rawValue
    }

    /// Whether all of `other` lies in this prefix.
    public func contains(_ other: IPv4Prefix) -> Bool {
        length <= other.length && contains(other.network)
    }

    /// Whether some address lies in both.
    public func overlaps(_ other: IPv4Prefix) -> Bool {
        contains(other) || other.contains(self)
    }

    /// Orders by network, then the shorter prefix first.
    public static func < (left: Self, right: Self) -> Bool {
        (left.network, left.length) < (right.network, right.length)
    }
}

extension IPv4Prefix: CustomStringConvertible {
    /// `a.b.c.d/n`; a single address without its length.
    public var description: String { length == 32 ? "\(network)" : "\(network)/\(length)" }
}
