/// A prefix of either family: a network without host bits and its length. It holds addresses of its family only.
public struct IPPrefix: Hashable, Comparable, Sendable {
    /// The first address; its host bits are zero.
    public let network: IPAddress
    /// In the family's own terms: 0 to 32, or 0 to 128.
    public let length: Int

    /// The prefix of this length that holds `address`: host bits are cleared.
    ///
    /// - Precondition: `length` is 0 to 32 for an IPv4 address, 0 to 128 for an IPv6 one.
    public init(holding address: IPAddress, length: Int) {
        let width = address.family.width
        precondition((0...width).contains(length))
        self.length = length
        self.network = IPAddress(rawValue: address.rawValue & Self.mask(bits: 128 - width + length))
    }

    /// The prefix that holds this one address only.
    public init(_ address: IPAddress) {
        network = address
        length = address.family.width
    }

    /// A prefix from `address/length`, or an address alone; nil if it is not one or has host bits set.
    ///
    /// `::ffff:10.0.0.0/104` is 10.0.0.0/8.
    public init?(_ text: some StringProtocol) {
        let utf8 = text.utf8
        guard let slash = utf8.firstIndex(of: UInt8(ascii: "/")) else {
            guard let address = IPAddress(text) else { return nil }
            self.init(address)
            return
        }
        guard let address = IPAddress(text[..<slash]),
            let number = Self.length(utf8[utf8.index(after: slash)...])
        else { return nil }
        let isMapped = address.family == .ipv4 && utf8[..<slash].contains(UInt8(ascii: ":"))
        let length = isMapped ? number - 96 : number
        guard (0...address.family.width).contains(length) else { return nil }
        self.init(holding: address, length: length)
        guard network == address else { return nil }
    }

    /// A number of one to three digits without leading zeros.
    private static func length(_ digits: some Collection<UInt8>) -> Int? {
        guard (1...3).contains(digits.count), digits.count == 1 || digits.first != UInt8(ascii: "0") else { return nil }
        var value = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            value = value * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return value
    }

    private static func mask(bits: Int) -> UInt128 {
        bits == 0 ? 0 : UInt128.max << UInt128(128 - bits)
    }

    /// Which family it is of.
    public var family: AddressFamily { network.family }

    /// Its length in terms of the 128-bit number: an IPv4 /24 has 96 bits more.
    public var bits: Int { 128 - family.width + length }

    /// The mask of the 128-bit number, host byte order: an IPv4 /24 has 96 + 24 bits.
    public var mask: UInt128 { Self.mask(bits: bits) }

    /// The last address.
    public var last: IPAddress { IPAddress(rawValue: network.rawValue | ~mask) }

    /// Whether it holds one address only: a /32, or a /128.
    public var isSingleAddress: Bool { length == family.width }

    /// Whether the address lies in this prefix. IPv4 addresses lie in no IPv6 prefix, not even in ::/0.
    public func contains(_ address: IPAddress) -> Bool {
        (address.rawValue ^ network.rawValue) & mask == 0 && address.family == family
    }

    /// Whether all of `other` lies in this prefix.
    public func contains(_ other: IPPrefix) -> Bool {
        length <= other.length && contains(other.network)
    }

    /// Whether some address lies in both.
    public func overlaps(_ other: IPPrefix) -> Bool {
        contains(other) || other.contains(self)
    }

    /// Orders by network, then the shorter prefix first. What lies in a prefix follows it.
    public static func < (left: Self, right: Self) -> Bool {
        left.network == right.network ? left.bits < right.bits : left.network < right.network
    }
}

extension IPPrefix: CustomStringConvertible {
    /// `address/length`; a single address without its length.
    public var description: String { isSingleAddress ? "\(network)" : "\(network)/\(length)" }
}
