internal import PolicyModel
internal import VNEPrograms

/// An entry of an address table: `enum vne_entry_kind` in the upper four bits, an index in the others.
struct AddressEntry: Hashable {
    let rawValue: UInt32

    init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    init(_ kind: vne_entry_kind, _ index: UInt32 = 0) {
        rawValue = UInt32(kind.rawValue) << UInt32(VNE_ENTRY_SHIFT) | index
    }

    var kind: vne_entry_kind { vne_entry_kind(rawValue: rawValue >> UInt32(VNE_ENTRY_SHIFT)) }
    var index: UInt32 { rawValue & VNE_ENTRY_INDEX_MASK }
}

extension PolicyImage.Builder {
    /// Gives every address of a prefix this entry, in a table whose root takes `rootBits` of the address and whose pages
    /// take eight bits each. Later calls win, so the general prefix comes before the special one.
    mutating func paint(_ prefix: IPv4Prefix, with entry: AddressEntry, root: UInt32, rootBits: Int) {
        var page = Int(root)
        var consumed = 0
        var bits = rootBits
        let network = prefix.network.rawValue
        while true {
            let index = Int(network >> UInt32(32 - consumed - bits)) & (1 << bits - 1)
            let slot = page * Int(VNE_PAGE_WORDS) + index
            if prefix.length <= consumed + bits {
                let count = 1 << (consumed + bits - prefix.length)
                for slot in slot..<slot + count { words[slot] = entry.rawValue }
                return
            }
            let current = AddressEntry(rawValue: words[slot])
            if current.kind == VNE_ENTRY_TABLE {
                page = Int(current.index)
            } else {
                page = Int(addPage(filledWith: current.rawValue))
                words[slot] = AddressEntry(VNE_ENTRY_TABLE, UInt32(page)).rawValue
            }
            consumed += bits
            bits = 8
        }
    }

    /// Classifies every IPv4 address, in the precedence of the decision: an environment over unassigned over loopback,
    /// multicast, broadcast, host, link-local and remote.
    mutating func paintOwners() throws(PolicyImageError) {
        let root = addPages(Int(VNE_ROOT_PAGES), filledWith: AddressEntry(VNE_ENTRY_REMOTE).rawValue)
        header.owner_page = root
        func single(_ address: UInt32) -> IPv4Prefix {
            IPv4Prefix(holding: IPv4Address(rawValue: address), length: 32)
        }
        var painting: [(IPv4Prefix, AddressEntry)] = [
            (IPv4Prefix(holding: IPv4Address(rawValue: 0xa9fe_0000), length: 16), AddressEntry(VNE_ENTRY_LINK_LOCAL))
        ]
        painting += host.addresses.sorted().map { (single($0.rawValue), AddressEntry(VNE_ENTRY_HOST)) }
        painting += host.broadcasts.sorted().map { (single($0.rawValue), AddressEntry(VNE_ENTRY_BROADCAST)) }
        painting += [
            (single(0xffff_ffff), AddressEntry(VNE_ENTRY_BROADCAST)),
            (IPv4Prefix(holding: IPv4Address(rawValue: 0xe000_0000), length: 4), AddressEntry(VNE_ENTRY_MULTICAST)),
            (single(0), AddressEntry(VNE_ENTRY_LOOPBACK)),
            (IPv4Prefix(holding: IPv4Address(rawValue: 0x7f00_0000), length: 8), AddressEntry(VNE_ENTRY_LOOPBACK)),
        ]
        painting += policy.addressSpace.map { ($0, AddressEntry(VNE_ENTRY_UNASSIGNED)) }
        for (prefix, entry) in painting {
            paint(prefix, with: entry, root: root, rootBits: 16)
        }
        for environment in policy.environments {
            guard let id = ids[environment.name] else { continue }
            let entry = AddressEntry(VNE_ENTRY_ENVIRONMENT, id)
            for prefix in environment.addresses {
                paint(prefix, with: entry, root: root, rootBits: 16)
            }
            try checkSize()
        }
        for application in policy.applications {
            guard let address = application.address, let id = ids[application.environment],
                self.entry(of: address, root: root) == AddressEntry(VNE_ENTRY_ENVIRONMENT, id)
            else { continue }
            paint(
                single(address.rawValue), with: AddressEntry(VNE_ENTRY_RESERVED, id), root: root, rootBits: 16)
        }
    }

    private func entry(of address: IPv4Address, root: UInt32) -> AddressEntry {
        var entry = AddressEntry(
            rawValue: words[Int(root) * Int(VNE_PAGE_WORDS) + Int(address.rawValue >> 16)])
        for shift in [UInt32(8), 0] where entry.kind == VNE_ENTRY_TABLE {
            let slot = Int(entry.index) * Int(VNE_PAGE_WORDS) + Int(address.rawValue >> shift & 0xff)
            entry = AddressEntry(rawValue: words[slot])
        }
        return entry
    }

    /// The table of a remote policy: at each address the list compiled from all prefixes that hold it.
    mutating func remoteEntry(_ remote: RemotePolicy) throws(PolicyImageError) -> AddressEntry {
        let base: Traffic = remote.otherwise ? .all : .none
        let otherwise = AddressEntry(
            VNE_ENTRY_RULES, remote.otherwise ? VNE_RULES_ALLOW_ALL : VNE_RULES_DENY_ALL)
        guard !remote.rules.isEmpty else { return otherwise }
        // Environments that say the same share one table, whatever lines they say it on.
        var key = remote
        key.otherwiseLine = nil
        for index in key.rules.indices { key.rules[index].line = 0 }
        if let known = remoteTables[key] { return known }

        let root = addPage(filledWith: otherwise.rawValue)
        // Sorted, a prefix comes after those that hold it, and what was said of the narrowest of them holds but for what
        // is said of itself: so the longest prefix decides.
        var enclosing: [(prefix: IPv4Prefix, traffic: Traffic)] = []
        let sorted = remote.rules.sorted { $0.prefix < $1.prefix }
        var start = 0
        while start < sorted.count {
            let prefix = sorted[start].prefix
            let end = sorted[start...].firstIndex { $0.prefix != prefix } ?? sorted.count
            while let last = enclosing.last, !last.prefix.contains(prefix) { enclosing.removeLast() }
            var traffic = enclosing.last?.traffic ?? base
            // Denials last: of rules for one prefix, they win.
            for rule in sorted[start..<end] where rule.allows { rule.ports.forEach { traffic.insert($0) } }
            for rule in sorted[start..<end] where !rule.allows { rule.ports.forEach { traffic.remove($0) } }
            let list = try rules.list(traffic, source: policy.source, line: sorted[end - 1].line)
            paint(prefix, with: AddressEntry(VNE_ENTRY_RULES, list), root: root, rootBits: 8)
            enclosing.append((prefix, traffic))
            start = end
        }
        try checkSize()
        let entry = AddressEntry(VNE_ENTRY_TABLE, root)
        remoteTables[key] = entry
        return entry
    }
}
