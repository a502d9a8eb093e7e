internal import VNEPrograms

/// The comparisons of an image while it is built: `struct vne_compare`, each kept once.
struct CompareTable {
    /// The bits of one `struct vne_compare`, without its reserved words.
    struct Compare: Hashable {
        var block: AddressBlock
        var matched: AddressEntry
        var otherwise: AddressEntry
    }

    private(set) var compares: [Compare] = []
    private var known: [Compare: AddressEntry] = [:]

    /// The entry that leads to a comparison.
    mutating func entry(_ compare: Compare) -> AddressEntry {
        if let entry = known[compare] { return entry }
        let entry = AddressEntry(VNE_ENTRY_COMPARE, UInt32(compares.count))
        compares.append(compare)
        known[compare] = entry
        return entry
    }
}

extension PolicyImage.Builder {
    /// The tree of IPv6 addresses that says what the runs do. A table stands where more than a few prefixes begin at
    /// the same byte, and the bytes in which nothing differs are compared at once; equal parts of a tree, and of two,
    /// are one.
    ///
    /// Each table takes another byte, and a comparison that leads to one skips a byte that then has no table: so a path
    /// has at most sixteen of both, and the chain of comparisons at its end.
    mutating func tree(_ runs: AddressRuns) throws(PolicyImageError) -> AddressEntry {
        try tree(runs.runs[...], of: .all, steps: 0)
    }

    /// The tree of a block that ends at a byte.
    /// - Parameter steps: how many lead here.
    private mutating func tree(
        _ runs: ArraySlice<AddressRuns.Run>, of block: AddressBlock, steps: Int
    ) throws(PolicyImageError) -> AddressEntry {
        if runs.count == 1, let only = runs.first { return only.entry }
        if let chain = PrefixChain(runs, in: block) {
            precondition(steps + chain.links.count <= Int(VNE_STEPS_MAX), "no tree is this deep")
            return chain.links.reversed().reduce(chain.otherwise) { otherwise, link in
                compare(link.block, matched: link.entry, otherwise: otherwise)
            }
        }
        if let (inner, otherwise) = Self.narrowed(runs, block) {
            let matched = try tree(runs.meeting(inner.first...inner.last), of: inner, steps: steps + 1)
            return compare(inner, matched: matched, otherwise: otherwise)
        }
        let byte = block.length / 8
        var page = [UInt32](repeating: 0, count: Int(VNE_PAGE_WORDS))
        var rest = runs
        for value in page.indices {
            let part = block.part(value)
            let inside = rest.meeting(part.first...part.last)
            page[value] = try tree(inside, of: part, steps: steps + 1).rawValue
            rest = rest[(inside.endIndex - 1)...]
        }
        return .table(page: try sharedPage(page), byte: byte)
    }

    private mutating func compare(
        _ block: AddressBlock, matched: AddressEntry, otherwise: AddressEntry
    ) -> AddressEntry {
        compares.entry(CompareTable.Compare(block: block, matched: matched, otherwise: otherwise))
    }

    /// The smaller block, one or more bytes deeper, in which all edges of a block lie, and what holds outside of it;
    /// nil if the block's next byte tells its addresses apart.
    private static func narrowed(
        _ runs: ArraySlice<AddressRuns.Run>, _ block: AddressBlock
    ) -> (inner: AddressBlock, otherwise: AddressEntry)? {
        guard let first = runs.first, let last = runs.last, runs.count > 1 else { return nil }
        let edge = runs[runs.startIndex + 1].first
        // Without what the first run says, without what the last one says, or without both if that is the same.
        let isSame = first.entry == last.entry
        let candidates = [
            (from: edge, to: isSame ? last.first - 1 : block.last, otherwise: first.entry),
            (from: isSame ? edge : block.first, to: last.first - 1, otherwise: last.entry),
        ]
        var best: (inner: AddressBlock, otherwise: AddressEntry)?
        for (from, to, otherwise) in candidates {
            let length = (from ^ to).leadingZeroBitCount & ~7
            guard length > best?.inner.length ?? block.length else { continue }
            best = (AddressBlock(holding: from, length: length), otherwise)
        }
        return best
    }

    /// The page with these words: the one that is there, or a new one.
    private mutating func sharedPage(_ page: [UInt32]) throws(PolicyImageError) -> UInt32 {
        let size = Int(VNE_PAGE_WORDS)
        var hasher = Hasher()
        hasher.combine(page)
        let hash = hasher.finalize()
        for number in treePages[hash, default: []] {
            let start = Int(number) * size
            if words[start..<start + size].elementsEqual(page) { return number }
        }
        let number = UInt32(words.count / size)
        words.append(contentsOf: page)
        treePages[hash, default: []].append(number)
        try checkSize()
        return number
    }
}
