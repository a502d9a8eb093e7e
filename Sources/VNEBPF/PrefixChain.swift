/// Few prefixes, the special before the general, that say of a block of addresses what its runs do: what a chain of
/// comparisons can hold.
struct PrefixChain {
    /// The first that holds an address decides.
    private(set) var links: [(block: AddressBlock, entry: AddressEntry)] = []
    /// What holds where none does.
    private(set) var otherwise: AddressEntry

    /// The longest chain: with three comparisons a look-up ends no later than with a table, which a comparison may have
    /// to lead to and another one to follow, and an image has fewer pages.
    static let most = 3

    /// A shortest chain of at most `most` links; nil if there is none.
    /// - Parameter runs: those that the block meets, at least one; the first may begin before it.
    init?(_ runs: ArraySlice<AddressRuns.Run>, in block: AddressBlock, most: Int = PrefixChain.most) {
        // Each prefix adds at most two edges.
        guard runs.count <= 2 * most + 1 else { return nil }
        var best: PrefixChain?
        var tried: [AddressEntry] = []
        for run in runs where !tried.contains(run.entry) {
            tried.append(run.entry)
            let budget = best.map { $0.links.count - 1 } ?? most
            guard let chain = PrefixChain(runs, in: block, otherwise: run.entry, most: budget) else { continue }
            best = chain
        }
        guard let best else { return nil }
        self = best
    }

    /// A shortest chain that ends in `otherwise`.
    private init?(
        _ runs: ArraySlice<AddressRuns.Run>, in block: AddressBlock, otherwise: AddressEntry, most: Int
    ) {
        self.otherwise = otherwise
        var start = runs.startIndex
        while start < runs.endIndex {
            guard runs[start].entry != otherwise else {
                start += 1
                continue
            }
            let end = runs[start...].firstIndex { $0.entry == otherwise } ?? runs.endIndex
            let last = end < runs.endIndex ? runs[end].first - 1 : block.last
            var address = max(runs[start].first, block.first)
            while true {
                let part = AddressBlock(from: address, to: last)
                let budget = most - links.count - 1
                let inside = runs[start..<end].meeting(part.first...part.last)
                guard budget >= 0, let inner = PrefixChain(inside, in: part, most: budget) else { return nil }
                links += inner.links + [(part, inner.otherwise)]
                guard part.last < last else { break }
                address = part.last + 1
            }
            start = end
        }
    }
}

extension ArraySlice<AddressRuns.Run> {
    /// Those that meet a range of addresses, which lies in what they cover.
    func meeting(_ addresses: ClosedRange<UInt128>) -> Self {
        let after = partitioningIndex { $0.first > addresses.upperBound }
        let from = partitioningIndex { $0.first > addresses.lowerBound }
        return self[Swift.max(from - 1, startIndex)..<after]
    }

    /// The first index from which on the condition holds.
    private func partitioningIndex(where holds: (Element) -> Bool) -> Int {
        var low = startIndex
        var high = endIndex
        while low < high {
            let middle = (low + high) / 2
            if holds(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
