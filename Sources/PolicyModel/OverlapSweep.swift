/// Finds prefixes that overlap, in the time that sorting takes.
package struct OverlapSweep {
    /// A prefix, where the file has it, and whose it is.
    package struct Item {
        package var prefix: IPPrefix
        package var mark: YAMLMark
        /// An index of the caller's.
        package var owner: Int

        package init(prefix: IPPrefix, mark: YAMLMark, owner: Int) {
            self.prefix = prefix
            self.mark = mark
            self.owner = owner
        }
    }

    package init() {}

    /// For every prefix that lies in another one: it and the smallest such, the one that the file has later first.
    package func run(_ items: [Item]) -> [(later: Item, earlier: Item)] {
        var found: [(later: Item, earlier: Item)] = []
        // Two prefixes that overlap lie one in the other, so that those around the present one are a stack. Each
        // family for itself, as the numbers of IPv4 lie amidst those of IPv6.
        var around: [Item] = []
        let sorted = items.sorted { left, right in
            let (isLeft6, isRight6) = (left.prefix.family == .ipv6, right.prefix.family == .ipv6)
            return isLeft6 == isRight6 ? (left.prefix, left.mark) < (right.prefix, right.mark) : isRight6
        }
        for item in sorted {
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
