/// An address of either family as one 128-bit number: an IPv4 address *is* its IPv4-mapped IPv6 address, so that the
/// two spellings are the same value everywhere. As `struct vne_address`.
public struct IPAddress: Hashable, Comparable, Sendable {
    /// The number in host byte order: 10.0.0.1 is 0xffff_0a00_0001.
    public var rawValue: UInt128

    /// An address from its number in host byte order.
    public init(rawValue: UInt128) {
        self.rawValue = rawValue
    }

    /// An IPv4 address from its number in host byte order: 10.0.0.1 is 0x0a00_0001.
    public init(ipv4: UInt32) {
        rawValue = 0xffff_0000_0000 | UInt128(ipv4)
    }

    /// An address from the members of `struct vne_address`, each in host byte order.
    public init(high: UInt64, low: UInt64) {
        rawValue = UInt128(high) << 64 | UInt128(low)
    }

    /// An address from its bytes in network byte order, four or sixteen; nil for another number of them.
    ///
    /// Inlinable, as a thousand of them are read at each look at a host.
    @inlinable public init?(networkBytes: some Collection<UInt8>) {
        var number: UInt128 = 0
        for byte in networkBytes { number = number << 8 | UInt128(byte) }
        switch networkBytes.count {
        case 4: self.init(ipv4: UInt32(truncatingIfNeeded: number))
        case 16: self.init(rawValue: number)
        default: return nil
        }
    }

    /// The upper 64 bits; 0 for IPv4.
    public var high: UInt64 { UInt64(truncatingIfNeeded: rawValue >> 64) }
    /// The lower 64 bits.
    public var low: UInt64 { UInt64(truncatingIfNeeded: rawValue) }

    /// The IPv4 address's number in host byte order; nil for an IPv6 address.
    public var ipv4: UInt32? {
        family == .ipv4 ? UInt32(truncatingIfNeeded: low) : nil
    }

    /// Which family it is of.
    public var family: AddressFamily {
        high == 0 && low >> 32 == 0xffff ? .ipv4 : .ipv6
    }

    /// Whether it is the wildcard of its family: 0.0.0.0 or ::.
    public var isUnspecified: Bool { rawValue == 0 || rawValue == 0xffff_0000_0000 }

    /// Its bytes in network byte order: four for IPv4, sixteen for IPv6.
    public var networkBytes: [UInt8] {
        stride(from: family.width - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: rawValue >> UInt128($0)) }
    }

    /// Orders addresses by their number: IPv4 as one block within IPv6.
    public static func < (left: Self, right: Self) -> Bool {
        left.rawValue < right.rawValue
    }
}

extension IPAddress: Codable {
    /// Reads an address as text.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let address = Self(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an IP address: \(text)")
        }
        self = address
    }

    /// Writes its ``description``.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension IPAddress {
    /// 127.0.0.1.
    static let loopback4 = IPAddress(ipv4: 0x7f00_0001)
    /// ::1.
    static let loopback6 = IPAddress(rawValue: 1)
}
