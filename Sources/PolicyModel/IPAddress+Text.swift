extension IPAddress {
    /// An address from its text; nil unless `text` is nothing but one.
    ///
    /// IPv4 is dotted decimal: exactly four numbers of 0 to 255 without leading zeros. IPv6 is what RFC 4291 has,
    /// section 2.2, without a zone: groups of one to four hexadecimal digits, `::` once for one or more groups of
    /// zeros, the last two groups as dotted decimal if need be.
    public init?(_ text: some StringProtocol) {
        var reader = TextReader(text.utf8)
        guard let number = reader.address() else { return nil }
        self.init(rawValue: number)
    }

    /// Reads the bytes of one address, from left to right.
    private struct TextReader<Bytes: Collection<UInt8>> {
        var bytes: Bytes.SubSequence

        init(_ bytes: Bytes) {
            self.bytes = bytes[...]
        }

        mutating func address() -> UInt128? {
            bytes.contains(UInt8(ascii: ":")) ? groups() : dottedDecimal().map { IPAddress(ipv4: $0).rawValue }
        }

        /// Four decimal numbers, and then the end.
        mutating func dottedDecimal() -> UInt32? {
            var value: UInt32 = 0
            for part in 0..<4 {
                if part > 0, bytes.popFirst() != UInt8(ascii: ".") { return nil }
                guard let number = decimal() else { return nil }
                value = value << 8 | UInt32(number)
            }
            return bytes.isEmpty ? value : nil
        }

        private mutating func decimal() -> UInt8? {
            let first = bytes.first
            var value: UInt32 = 0
            var digits = 0
            while let byte = bytes.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
                bytes.removeFirst()
                value = value * 10 + UInt32(byte - UInt8(ascii: "0"))
                digits += 1
                guard digits <= 3 else { return nil }
            }
            guard digits > 0, digits == 1 || first != UInt8(ascii: "0") else { return nil }
            return UInt8(exactly: value)
        }

        /// Groups of 16 bits, and then the end.
        private mutating func groups() -> UInt128? {
            // What stands before and behind `::`; without one, all of it is in `value`.
            var before: UInt128 = 0
            var value: UInt128 = 0
            var count = 0
            var countBefore: Int?

            if bytes.first == UInt8(ascii: ":") {
                bytes.removeFirst()
                guard bytes.popFirst() == UInt8(ascii: ":") else { return nil }
                countBefore = 0
            }
            while !bytes.isEmpty {
                let rest = bytes
                guard let group = hexadecimal() else { return nil }
                if bytes.first == UInt8(ascii: ".") {
                    bytes = rest
                    guard let last = dottedDecimal() else { return nil }
                    value = value << 32 | UInt128(last)
                    count += 2
                    break
                }
                value = value << 16 | UInt128(group)
                count += 1
                guard count <= 8 else { return nil }
                guard !bytes.isEmpty else { break }
                guard bytes.popFirst() == UInt8(ascii: ":") else { return nil }
                if bytes.first == UInt8(ascii: ":") {
                    guard countBefore == nil else { return nil }
                    bytes.removeFirst()
                    (before, countBefore) = (value, count)
                    value = 0
                } else if bytes.isEmpty {
                    return nil
                }
            }
            guard let countBefore else { return count == 8 ? value : nil }
            // RFC 5952 calls `::` for one group bad style; RFC 4291 has it. For no group at all it has no meaning.
            guard count <= 7 else { return nil }
            return countBefore == 0 ? value : before << UInt128(16 * (8 - countBefore)) | value
        }

        private mutating func hexadecimal() -> UInt16? {
            var value: UInt16 = 0
            var digits = 0
            while let byte = bytes.first, let digit = Self.digit(byte) {
                guard digits < 4 else { return nil }
                bytes.removeFirst()
                value = value << 4 | digit
                digits += 1
            }
            return digits > 0 ? value : nil
        }

        private static func digit(_ byte: UInt8) -> UInt16? {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt16(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt16(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt16(byte - UInt8(ascii: "A") + 10)
            default: nil
            }
        }
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted decimal; for IPv6 as RFC 5952 recommends: lower case, no leading zeros, `::` for the longest run of two
    /// or more groups of zeros, the first of equally long ones.
    public var description: String {
        if let ipv4 {
            return "\(ipv4 >> 24).\(ipv4 >> 16 & 255).\(ipv4 >> 8 & 255).\(ipv4 & 255)"
        }
        let groups = stride(from: 112, through: 0, by: -16).map { UInt16(truncatingIfNeeded: rawValue >> UInt128($0)) }
        func text(_ groups: ArraySlice<UInt16>) -> String {
            groups.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard let zeros = Self.longestZeros(groups) else { return text(groups[...]) }
        return "\(text(groups[..<zeros.lowerBound]))::\(text(groups[zeros.upperBound...]))"
    }

    private static func longestZeros(_ groups: [UInt16]) -> Range<Int>? {
        var longest = 0..<1
        var start = 0
        for (index, group) in groups.enumerated() {
            if group != 0 {
                start = index + 1
            } else if index + 1 - start > longest.count {
                longest = start..<index + 1
            }
        }
        return longest.count > 1 ? longest : nil
    }
}
