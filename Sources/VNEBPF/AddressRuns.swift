internal import PolicyModel

/// Every IPv6 address's entry, as runs of neighbours that have the same one: what blocks that were painted over each
/// other come to.
struct AddressRuns: Hashable {
    /// Addresses from `first` to where the next run begins.
    struct Run: Hashable {
        var first: UInt128
        var entry: AddressEntry
    }

    /// A block and what is said of it.
    struct Stroke {
        var block: AddressBlock
        var entry: AddressEntry
    }

    /// Ascending; the first begins at 0, and neighbours differ.
    private(set) var runs: [Run]

    /// Runs that are ascending already, begin at 0, and of which no neighbours have the same entry.
    init(_ runs: [Run]) {
        self.runs = runs
    }

    /// Paints blocks in their order, so that of those that hold an address the last one decides.
    init(over base: AddressEntry, painting strokes: [Stroke]) {
        // Blocks overlap only where one holds the other. In this order each comes after those that hold it, and only
        // those are on the stack when it is met.
        let order = strokes.indices.sorted {
            let (one, other) = (strokes[$0].block, strokes[$1].block)
            return (one.first, one.length, $0) < (other.first, other.length, $1)
        }
        runs = [Run(first: 0, entry: base)]
        runs.reserveCapacity(strokes.count * 2 + 1)
        // What decides inside of each: the last stroke of it and of those that hold it.
        var open: [(last: UInt128, stroke: Int, entry: AddressEntry)] = []
        func close(before address: UInt128?) {
            while let inner = open.last, address.map({ inner.last < $0 }) ?? true {
                open.removeLast()
                guard inner.last < .max else { continue }
                append(Run(first: inner.last + 1, entry: open.last?.entry ?? base))
            }
        }
        for index in order {
            let block = strokes[index].block
            close(before: block.first)
            var decides = (stroke: index, entry: strokes[index].entry)
            if let outer = open.last, outer.stroke > index { decides = (outer.stroke, outer.entry) }
            open.append((block.last, decides.stroke, decides.entry))
            append(Run(first: block.first, entry: decides.entry))
        }
        close(before: nil)
    }

    private mutating func append(_ run: Run) {
        // What is said later of the same address holds.
        if let last = runs.last, last.first == run.first { runs.removeLast() }
        if let last = runs.last, last.entry == run.entry { return }
        runs.append(run)
    }

    /// The entry of an address.
    subscript(_ address: UInt128) -> AddressEntry {
        var low = 0
        var high = runs.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if runs[middle].first <= address { low = middle } else { high = middle }
        }
        return runs[low].entry
    }
}

extension AddressRuns {
    /// Paints prefixes.
    init(over base: AddressEntry, painting strokes: [PolicyImage.Builder.PrefixStroke]) {
        self.init(over: base, painting: strokes.map { Stroke(block: AddressBlock($0.prefix), entry: $0.entry) })
    }
}
