/// An IPv4 address as a value.
public struct IPv4Address: Hashable, Comparable, Sendable {
    /// The address in host byte order: 10.0.0.1 is 0x0a00_0001.
    public var rawValue: UInt32

    /// An address from its number in host byte order.
    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// An address from dotted decimal; nil unless `text` is exactly four numbers of 0 to 255 without leading zeros.
    public init?(_ text: some StringProtocol) {
        var value: UInt32 = 0
        var parts = 0
        for part in text.split(separator: ".", omittingEmptySubsequences: false) {
            guard parts < 4, (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }),
                let number = UInt8(part), part.utf8.count == 1 || part.utf8.first != 48
            else { return nil }
            value = value << 8 | UInt32(number)
            parts += 1
        }
        guard parts == 4 else { return nil }
        self.init(rawValue: value)
    }

    /// Orders addresses by their number.
    public static func < (left: Self, right: Self) -> Bool {
        left.rawValue < right.rawValue
    }
}

extension IPv4Address: CustomStringConvertible {
    /// Dotted decimal.
    public var description: String {
        "\(rawValue >> 24).\(rawValue >> 16 & 255).\(rawValue >> 8 & 255).\(rawValue & 255)"
    }
}

extension IPv4Address: Codable {
    /// Reads dotted decimal.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let address = Self(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an IPv4 address: \(text)")
        }
        self = address
    }

    /// Writes dotted decimal.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
