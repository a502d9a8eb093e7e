internal import PolicyModel

/// Addresses that agree in their upper bits, as 128-bit numbers of no family: what tables and comparisons tell apart.
struct AddressBlock: Hashable {
    /// The lowest address.
    let first: UInt128
    /// In how many bits they agree.
    let length: Int

    /// All addresses.
    static let all = AddressBlock(holding: 0, length: 0)

    /// The block of this length that holds an address.
    init(holding address: UInt128, length: Int) {
        self.first = address & .prefixMask(length)
        self.length = length
    }

    /// The addresses of a prefix.
    init(_ prefix: IPPrefix) {
        self.init(holding: prefix.network.rawValue, length: prefix.bits)
    }

    /// The largest block that begins at an address and ends at or before another.
    init(from first: UInt128, to last: UInt128) {
        let span = last - first
        // As many bits as the span counts, and as the first address has zeros at its end.
        let counted = span == .max ? 128 : 127 - (span + 1).leadingZeroBitCount
        self.init(holding: first, length: 128 - min(counted, first.trailingZeroBitCount))
    }

    var last: UInt128 { first | ~mask }
    var mask: UInt128 { .prefixMask(length) }

    func contains(_ address: UInt128) -> Bool { address & mask == first }
    func contains(_ other: AddressBlock) -> Bool { length <= other.length && contains(other.first) }

    /// Those of its addresses that are in a range; nil if none is.
    func addresses(in range: ClosedRange<UInt128>) -> ClosedRange<UInt128>? {
        let (first, last) = (max(first, range.lowerBound), min(last, range.upperBound))
        return first <= last ? first...last : nil
    }

    /// The part of a block that ends at a byte whose next byte has a value.
    func part(_ value: Int) -> AddressBlock {
        AddressBlock(holding: first | UInt128(value) << UInt128(120 - length), length: length + 8)
    }
}

extension AddressBlock: CustomStringConvertible {
    /// As an IPv6 prefix, also where it holds IPv4-mapped addresses.
    var description: String {
        let network = IPAddress(rawValue: first)
        return (network.family == .ipv4 ? "::ffff:" : "") + "\(network)/\(length)"
    }
}

extension UInt128 {
    /// The byte at a position, 0 being the most significant of the sixteen.
    func byte(_ position: Int) -> Int {
        Int(truncatingIfNeeded: self >> UInt128(120 - 8 * position)) & 0xff
    }

    /// The mask of the upper `length` of 128 bits.
    static func prefixMask(_ length: Int) -> UInt128 {
        length == 0 ? 0 : .max << UInt128(128 - length)
    }
}
