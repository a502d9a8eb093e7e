/// Finds prefixes that overlap, in the time that sorting takes.
struct OverlapSweep {
    /// A prefix, where the file has it, and whose it is.
    struct Item {
        var prefix: IPv4Prefix
        var mark: YAMLMark
        /// An index of the caller's.
        var owner: Int
    }

    /// For every prefix that lies in another one: it and the smallest such, the one that the file has later first.
    func run(_ items: [Item]) -> [(later: Item, earlier: Item)] {
        var found: [(later: Item, earlier: Item)] = []
        // Two prefixes that overlap lie one in the other, so that those around the present one are a stack.
        var around: [Item] = []
        for item in items.sorted(by: { ($0.prefix, $0.mark) < ($1.prefix, $1.mark) }) {
            while let last = around.last, !last.prefix.contains(item.prefix) {
                around.removeLast()
            }
            if let last = around.last {
                found.append(last.mark < item.mark ? (item, last) : (last, item))
            }
            around.append(item)
        }
        return found
    }
}
