/// A set of addresses of both families as ranges of their numbers, for look-ups by the thousand.
package struct AddressRanges {
    /// Sorted, neither overlapping nor adjacent.
    private var ranges: [ClosedRange<UInt128>] = []

    /// The addresses of all these prefixes, which may overlap.
    package init(_ prefixes: some Sequence<IPPrefix>) {
        for prefix in prefixes.sorted() {
            let first = prefix.network.rawValue
            let last = prefix.last.rawValue
            if let previous = ranges.last, previous.upperBound == .max || first <= previous.upperBound + 1 {
                ranges[ranges.count - 1] = previous.lowerBound...max(previous.upperBound, last)
            } else {
                ranges.append(first...last)
            }
        }
    }

    /// Whether the address is in the set.
    func contains(_ address: IPAddress) -> Bool {
        range(holding: address.rawValue) != nil
    }

    /// Whether every address of the prefix is in the set.
    package func contains(_ prefix: IPPrefix) -> Bool {
        range(holding: prefix.network.rawValue).map { prefix.last.rawValue <= $0.upperBound } ?? false
    }

    private func range(holding value: UInt128) -> ClosedRange<UInt128>? {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < value {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low < ranges.count, ranges[low].contains(value) else { return nil }
        return ranges[low]
    }
}
