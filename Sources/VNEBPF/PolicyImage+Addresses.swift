internal import PolicyModel
internal import VNEPrograms

extension PolicyImage.Builder {
    /// A prefix and what is said of it.
    typealias PrefixStroke = (prefix: IPPrefix, entry: AddressEntry)

    /// Gives every address of an IPv4 prefix this entry, in a table whose root takes `rootBits` of the address and
    /// whose pages take eight bits each. Later calls win, so the general prefix comes before the special one.
    mutating func paint(
        _ prefix: IPPrefix, with entry: AddressEntry, root: UInt32, rootBits: Int
    ) throws(PolicyImageError) {
        var page = Int(root)
        var consumed = 0
        var bits = rootBits
        let network = UInt32(truncatingIfNeeded: prefix.network.rawValue)
        while true {
            let index = Int(network >> UInt32(32 - consumed - bits)) & (1 << bits - 1)
            let slot = page * Int(VNE_PAGE_WORDS) + index
            if prefix.length <= consumed + bits {
                let count = 1 << (consumed + bits - prefix.length)
                for slot in slot..<slot + count { words[slot] = entry.rawValue }
                return
            }
            let current = AddressEntry(rawValue: words[slot])
            consumed += bits
            bits = 8
            if current.kind == VNE_ENTRY_TABLE {
                page = Int(current.tablePage)
            } else {
                page = Int(addPage(filledWith: current.rawValue))
                try checkSize()
                words[slot] = AddressEntry.table(page: UInt32(page), byte: 12 + consumed / 8).rawValue
            }
        }
    }

    /// Classifies every address of both families, in the precedence of the decision: an environment over unassigned
    /// over loopback, multicast, broadcast, host, link-local and remote.
    mutating func paintOwners() throws(PolicyImageError) {
        let root = addPages(Int(VNE_ROOT_PAGES), filledWith: AddressEntry(VNE_ENTRY_REMOTE).rawValue)
        header.owner_page = root
        for stroke in ownerStrokes(.ipv4) { try paint(stroke.prefix, with: stroke.entry, root: root, rootBits: 16) }
        for (address, id) in applicationAddresses(.ipv4)
        where self.entry(of: address, root: root) == AddressEntry(VNE_ENTRY_ENVIRONMENT, id) {
            try paint(IPPrefix(address), with: AddressEntry(VNE_ENTRY_RESERVED, id), root: root, rootBits: 16)
        }

        let remote = AddressEntry(VNE_ENTRY_REMOTE)
        var strokes = ownerStrokes(.ipv6)
        let unreserved = AddressRuns(over: remote, painting: strokes)
        for (address, id) in applicationAddresses(.ipv6)
        where unreserved[address.rawValue] == AddressEntry(VNE_ENTRY_ENVIRONMENT, id) {
            strokes.append((IPPrefix(address), AddressEntry(VNE_ENTRY_RESERVED, id)))
        }
        header.owner6 = try tree(AddressRuns(over: remote, painting: strokes)).rawValue
    }

    /// What is said of a family's addresses, from the weakest to the strongest.
    private func ownerStrokes(_ family: AddressFamily) -> [PrefixStroke] {
        var strokes: [PrefixStroke] = []
        func paint(_ prefixes: some Sequence<IPPrefix>, _ kind: vne_entry_kind, _ index: UInt32 = 0) {
            let entry = AddressEntry(kind, index)
            for prefix in prefixes where prefix.family == family {
                strokes.append((prefix, entry))
            }
        }
        func paint(fixed class: AddressClass, _ kind: vne_entry_kind) {
            paint(AddressClass.fixed.filter { $0.class == `class` }.map(\.prefix), kind)
        }
        paint(fixed: .linkLocal, VNE_ENTRY_LINK_LOCAL)
        paint(host.addresses.sorted().map { IPPrefix($0) }, VNE_ENTRY_HOST)
        paint(host.broadcasts.sorted().map { IPPrefix($0) }, VNE_ENTRY_BROADCAST)
        paint(fixed: .broadcast, VNE_ENTRY_BROADCAST)
        paint(fixed: .multicast, VNE_ENTRY_MULTICAST)
        paint(fixed: .loopback, VNE_ENTRY_LOOPBACK)
        paint(policy.addressSpace, VNE_ENTRY_UNASSIGNED)
        for environment in policy.environments {
            guard let id = ids[environment.name] else { continue }
            paint(environment.addresses, VNE_ENTRY_ENVIRONMENT, id)
        }
        return strokes
    }

    /// The addresses that the policy gives to applications, with the ids of their environments.
    private func applicationAddresses(_ family: AddressFamily) -> [(address: IPAddress, id: UInt32)] {
        policy.applications.compactMap { application in
            guard let address = application.addresses?[family], let id = ids[application.environment] else {
                return nil
            }
            return (address, id)
        }
    }

    /// The entry of an IPv4 address in a table whose root takes sixteen bits.
    private func entry(of address: IPAddress, root: UInt32) -> AddressEntry {
        let number = address.rawValue
        let slot = Int(root) * Int(VNE_PAGE_WORDS) + number.byte(12) << 8 + number.byte(13)
        var entry = AddressEntry(rawValue: words[slot])
        while entry.kind == VNE_ENTRY_TABLE {
            let slot = Int(entry.tablePage) * Int(VNE_PAGE_WORDS) + number.byte(entry.tableByte)
            entry = AddressEntry(rawValue: words[slot])
        }
        return entry
    }
}
