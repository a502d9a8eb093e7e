public import PolicyModel
internal import VNEPrograms

extension PolicyImageReader {
    /// What an address is.
    public enum AddressOwner: Hashable, Sendable {
        case remote, host, loopback, linkLocal, multicast, broadcast
        /// Inside the address space, in no environment.
        case unassigned
        /// In the environment with this id; `reserved` where the policy gives it to an application by name.
        case environment(UInt32, reserved: Bool)
    }

    /// What the owner tables say of an address.
    public func owner(of address: IPAddress) throws(BPFError) -> AddressOwner {
        try owner(of: try leaf(under: root(of: address), of: address))
    }

    /// The entry at which the search for an address's owner starts.
    private func root(of address: IPAddress) -> AddressEntry {
        guard let number = address.ipv4 else { return AddressEntry(rawValue: header.owner6) }
        return .table(page: header.owner_page + number >> 24, byte: 13)
    }

    /// Follows tables and comparisons as the programs do, to the entry that says something of the address.
    func leaf(under entry: AddressEntry, of address: IPAddress) throws(BPFError) -> AddressEntry {
        var entry = entry
        for _ in 0...VNE_STEPS_MAX {
            switch entry.kind {
            case VNE_ENTRY_TABLE:
                let page = try existingPage(entry.tablePage)
                entry = AddressEntry(rawValue: page[address.rawValue.byte(entry.tableByte)])
            case VNE_ENTRY_COMPARE:
                let comparison = try comparison(entry.index)
                entry =
                    comparison.block.contains(address.rawValue) ? comparison.matchedEntry : comparison.otherwiseEntry
            default: return entry
            }
        }
        throw .damagedImage("the search for \(address) does not end")
    }

    private func owner(of entry: AddressEntry) throws(BPFError) -> AddressOwner {
        switch entry.kind {
        case VNE_ENTRY_REMOTE: .remote
        case VNE_ENTRY_HOST: .host
        case VNE_ENTRY_LOOPBACK: .loopback
        case VNE_ENTRY_LINK_LOCAL: .linkLocal
        case VNE_ENTRY_MULTICAST: .multicast
        case VNE_ENTRY_BROADCAST: .broadcast
        case VNE_ENTRY_UNASSIGNED: .unassigned
        case VNE_ENTRY_ENVIRONMENT: .environment(entry.index, reserved: false)
        case VNE_ENTRY_RESERVED: .environment(entry.index, reserved: true)
        default: throw .damagedImage("an address has the entry \(entry.rawValue)")
        }
    }

    // MARK: - Runs

    /// A run of addresses that are all the same.
    public struct OwnedRange: Hashable, Sendable {
        /// The first and the last address, of one family.
        public var addresses: ClosedRange<IPAddress>
        /// What they are.
        public var owner: AddressOwner
    }

    /// The owner tables as runs of addresses, IPv4 first, ascending, neighbours that are the same as one. Remote
    /// addresses are left out.
    public func ownedRanges() throws(BPFError) -> [OwnedRange] {
        var ranges: [OwnedRange] = []
        func add(_ runs: [AddressRuns.Run], to last: UInt128) throws(BPFError) {
            for (index, run) in runs.enumerated() where run.entry.kind != VNE_ENTRY_REMOTE {
                let last = index + 1 < runs.count ? runs[index + 1].first - 1 : last
                let addresses = IPAddress(rawValue: run.first)...IPAddress(rawValue: last)
                ranges.append(OwnedRange(addresses: addresses, owner: try owner(of: run.entry)))
            }
        }
        try add(try runs4(), to: IPAddress(ipv4: .max).rawValue)
        try add(try runs(of: AddressEntry(rawValue: header.owner6)).runs, to: .max)
        return ranges
    }

    /// The IPv4 owner table as runs.
    private func runs4() throws(BPFError) -> [AddressRuns.Run] {
        var runs: [AddressRuns.Run] = []
        var seen: Set<UInt32> = []
        func walk(page number: UInt32, from start: UInt128, byte: Int) throws(BPFError) {
            // No two entries of a compiled IPv4 table lead to one page, so the walk is no longer than the image.
            guard seen.insert(number).inserted else { throw .damagedImage("page \(number) is in two tables") }
            for (index, word) in try existingPage(number).enumerated() {
                let entry = AddressEntry(rawValue: word)
                let first = start | UInt128(index) << UInt128(120 - 8 * byte)
                if entry.kind == VNE_ENTRY_TABLE {
                    guard entry.tableByte == byte + 1, byte < 15 else {
                        throw .damagedImage("a table of byte \(entry.tableByte) follows one of byte \(byte)")
                    }
                    try walk(page: entry.tablePage, from: first, byte: byte + 1)
                } else if runs.last?.entry != entry {
                    runs.append(AddressRuns.Run(first: first, entry: entry))
                }
            }
        }
        for upper in 0..<UInt32(VNE_ROOT_PAGES) {
            try walk(page: header.owner_page + upper, from: IPAddress(ipv4: upper << 24).rawValue, byte: 13)
        }
        return runs
    }

    /// A tree of IPv6 addresses as runs.
    ///
    /// Equal parts of a tree are one, so the size of the image is no bound of the walk: one that damage made endless is
    /// told by what a million prefixes do not take.
    func runs(of root: AddressEntry, most: Int = 1 << 22) throws(BPFError) -> AddressRuns {
        var runs: [AddressRuns.Run] = []
        var entries = 0
        /// Walks those addresses of a block that are in a range, in their order.
        func walk(
            _ entry: AddressEntry, of block: AddressBlock, in range: ClosedRange<UInt128>, steps: Int
        ) throws(BPFError) {
            guard steps <= Int(VNE_STEPS_MAX) else { throw .damagedImage("a path of the tree does not end") }
            entries += 1
            guard entries <= 16 * most, runs.count <= most else {
                throw .damagedImage("its tree has more than \(16 * most) entries or \(most) runs")
            }
            switch entry.kind {
            case VNE_ENTRY_TABLE:
                // What leads to a table says all bytes before its own: by tables, or by one comparison with them.
                guard block.length == entry.tableByte * 8 else {
                    throw .damagedImage("a table of byte \(entry.tableByte) tells the addresses of \(block) apart")
                }
                for (value, word) in try existingPage(entry.tablePage).enumerated() {
                    let part = block.part(value)
                    guard let range = part.addresses(in: range) else { continue }
                    try walk(AddressEntry(rawValue: word), of: part, in: range, steps: steps + 1)
                }
            case VNE_ENTRY_COMPARE:
                let comparison = try comparison(entry.index)
                let matched = comparison.block
                guard block.contains(matched) else {
                    throw .damagedImage("a comparison with \(comparison.prefix) tells the addresses of \(block) apart")
                }
                // What is before the matched block, the block, and what is behind it.
                if range.lowerBound < matched.first {
                    try walk(
                        comparison.otherwiseEntry, of: block,
                        in: range.lowerBound...min(range.upperBound, matched.first - 1), steps: steps + 1)
                }
                if let range = matched.addresses(in: range) {
                    try walk(comparison.matchedEntry, of: matched, in: range, steps: steps + 1)
                }
                if range.upperBound > matched.last {
                    try walk(
                        comparison.otherwiseEntry, of: block,
                        in: max(range.lowerBound, matched.last + 1)...range.upperBound, steps: steps + 1)
                }
            default:
                if runs.last?.entry != entry { runs.append(AddressRuns.Run(first: range.lowerBound, entry: entry)) }
            }
        }
        try walk(root, of: .all, in: 0...UInt128.max, steps: 0)
        return AddressRuns(runs)
    }

    // MARK: - Comparisons

    /// A comparison of the IPv6 trees: addresses of the prefix are told from all others.
    public struct Comparison: Hashable, Sendable {
        /// Index of the record.
        public var id: UInt32
        let block: AddressBlock
        let matchedEntry: AddressEntry
        let otherwiseEntry: AddressEntry

        /// The prefix, as `network/length`.
        public var prefix: String { block.description }
        /// What leads on, or is said, where the address is in the prefix: `environment 3`, `compare 17`,
        /// `table 812 byte 6`.
        public var matched: String { matchedEntry.description }
        /// The same for all other addresses.
        public var otherwise: String { otherwiseEntry.description }
    }

    /// All comparisons, by id.
    public func comparisons() throws(BPFError) -> [Comparison] {
        var comparisons: [Comparison] = []
        guard header.name_page >= header.compare_page else { throw .damagedImage("its comparisons have no end") }
        for page in header.compare_page..<header.name_page {
            for index in 0..<UInt32(VNE_COMPARES_PER_PAGE) {
                let record: vne_compare = try record(index, ofPage: page)
                // No comparison has a mask of zero: what follows is free.
                guard IPAddress.present(record.mask) != nil else { return comparisons }
                comparisons.append(try comparison(UInt32(comparisons.count)))
            }
        }
        return comparisons
    }

    private func comparison(_ id: UInt32) throws(BPFError) -> Comparison {
        let record: vne_compare = try record(id, ofPage: header.compare_page)
        return Comparison(
            id: id, block: try block(record.network, mask: record.mask),
            matchedEntry: AddressEntry(rawValue: record.matched),
            otherwiseEntry: AddressEntry(rawValue: record.otherwise))
    }

    /// A block from its network and mask.
    private func block(_ network: vne_address, mask: vne_address) throws(BPFError) -> AddressBlock {
        let (first, mask) = (IPAddress(network).rawValue, IPAddress(mask).rawValue)
        let block = AddressBlock(holding: first, length: mask.nonzeroBitCount)
        guard block.mask == mask, block.first == first else {
            throw .damagedImage("\(IPAddress(network)) and \(IPAddress(rawValue: mask)) are no network and mask")
        }
        return block
    }

    /// A prefix of a family from its network and mask.
    func prefix(
        _ family: AddressFamily, network: vne_address, mask: vne_address
    ) throws(BPFError) -> IPPrefix {
        let block = try block(network, mask: mask)
        let first = IPAddress(rawValue: block.first)
        let length = block.length - (128 - family.width)
        guard first.family == family, length >= 0 else { throw .damagedImage("\(block) is no \(family.name) prefix") }
        return IPPrefix(holding: first, length: length)
    }
}
