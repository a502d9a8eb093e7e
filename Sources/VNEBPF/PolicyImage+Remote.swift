internal import PolicyModel
internal import VNEPrograms

extension PolicyImage.Builder {
    /// What a remote table says, whatever the lines that say it.
    struct RemoteKey: Hashable {
        private let policy: RemotePolicy
        private let family: AddressFamily

        init(_ policy: RemotePolicy, _ family: AddressFamily) {
            var policy = policy
            policy.otherwiseLine = nil
            policy.rules.removeAll { $0.prefix.family != family }
            for index in policy.rules.indices { policy.rules[index].line = 0 }
            self.policy = policy
            self.family = family
        }
    }

    /// The table of a remote policy for one family: at each address the list compiled from all prefixes that hold it.
    mutating func remoteEntry(_ remote: RemotePolicy, _ family: AddressFamily) throws(PolicyImageError) -> AddressEntry
    {
        let otherwise = AddressEntry(
            VNE_ENTRY_RULES, remote.otherwise ? VNE_RULES_ALLOW_ALL : VNE_RULES_DENY_ALL)
        let rules = remote.rules.filter { $0.prefix.family == family }
        guard !rules.isEmpty else { return otherwise }
        // Environments that say the same share one table.
        let key = RemoteKey(remote, family)
        if let known = remoteTables[key] { return known }
        let strokes = try strokes(of: rules, otherwise: remote.otherwise)
        let entry: AddressEntry
        switch family {
        case .ipv4:
            let root = addPage(filledWith: otherwise.rawValue)
            for stroke in strokes { try paint(stroke.prefix, with: stroke.entry, root: root, rootBits: 8) }
            entry = .table(page: root, byte: 12)
        case .ipv6: entry = try tree(AddressRuns(over: otherwise, painting: strokes))
        }
        remoteTables[key] = entry
        return entry
    }

    /// Each prefix with the list that holds for its addresses, the general before the special.
    private mutating func strokes(
        of remote: [RemoteRule], otherwise: Bool
    ) throws(PolicyImageError) -> [PrefixStroke] {
        let base: Traffic = otherwise ? .all : .none
        var strokes: [PrefixStroke] = []
        // Sorted, a prefix comes after those that hold it, and what was said of the narrowest of them holds but for what
        // is said of itself: so the longest prefix decides.
        var enclosing: [(prefix: IPPrefix, traffic: Traffic)] = []
        let sorted = remote.sorted { $0.prefix < $1.prefix }
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
            strokes.append((prefix, AddressEntry(VNE_ENTRY_RULES, list)))
            enclosing.append((prefix, traffic))
            start = end
        }
        return strokes
    }
}
