extension DocumentReader {
    /// A prefix, or a single address.
    package mutating func prefix(_ node: YAMLNode) -> Marked<IPPrefix>? {
        let what = "a prefix such as 10.10.2.0/24 or fd00:10:10::/48, or an address"
        guard let text = text(node, expected: what) else { return nil }
        return prefix(text, at: node, expected: what)
    }

    /// The prefix that a text of a node is.
    package mutating func prefix(_ text: String, at node: YAMLNode, expected what: String) -> Marked<IPPrefix>? {
        if let prefix = IPPrefix(text) { return Marked(value: prefix, mark: node.mark) }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(parts[0]) else {
            report(node.mark, "expected \(what); found \(text.quoted)", suggestion: withoutZone(text))
            return nil
        }
        // An IPv4-mapped address counts its length from the beginning of the IPv6 address that it is written as.
        let width = parts[0].contains(":") ? 128 : 32
        let mapped = width - address.family.width
        // IPPrefix says whether the length is one: every length of a wildcard is a prefix.
        let length = IPPrefix("\(width == 128 ? "::" : "0.0.0.0")/\(parts[1])")?.length
        guard let length, length >= mapped else {
            report(node.mark, "expected a prefix length from \(mapped) to \(width); found \(text.quoted)")
            return nil
        }
        let network = IPPrefix(holding: address, length: length - mapped)
        report(
            node.mark, "\(text.quoted) has bits set behind its prefix",
            suggestion: "\(network.network)/\(network.length)")
        return nil
    }

    /// A single address.
    package mutating func address(_ text: String, at node: YAMLNode, expected what: String) -> Marked<IPAddress>? {
        if let address = IPAddress(text) { return Marked(value: address, mark: node.mark) }
        let single = IPPrefix(text).flatMap { $0.isSingleAddress ? "\($0)" : nil }
        expected(what, at: node, suggestion: single ?? withoutZone(text) ?? nearest.find(text, in: ["auto"]))
        return nil
    }

    /// An address whose only mistake is its zone (`fe80::1%eth0`), which has no meaning in a policy.
    private func withoutZone(_ text: String) -> String? {
        guard let percent = text.firstIndex(of: "%") else { return nil }
        return IPAddress(text[..<percent]).map { "\($0)" }
    }

    /// The prefixes of the address space, which overlap neither each other nor what can never be in one; nil if some
    /// could not be read.
    package mutating func addressSpace(_ node: YAMLNode) -> [Marked<IPPrefix>]? {
        guard let items = items(node, expected: "a prefix or a list of prefixes") else { return nil }
        let prefixes = items.compactMap { prefix($0) }
        let reserved: [(IPPrefix, String)] = [
            (.thisNetwork, "0.0.0.0/8, which is no network"), (.loopback4, "127.0.0.0/8, which is loopback"),
            (.linkLocal4, "169.254.0.0/16, which is link-local"), (.multicast4, "224.0.0.0/4, which is multicast"),
            (.limitedBroadcast, "255.255.255.255, which is broadcast"),
            (.unspecified6, "::, which is no address"), (.loopback6, "::1, which is loopback"),
            (.linkLocal6, "fe80::/10, which is link-local"), (.multicast6, "ff00::/8, which is multicast"),
            (.privateLoopback6, "fd56:4e45::/32, which holds private loopbacks"),
        ]
        for prefix in prefixes {
            let found = reserved.filter { $0.0.overlaps(prefix.value) }.map(\.1)
            if !found.isEmpty {
                report(
                    prefix.mark,
                    "the address space cannot have \(String(describing: prefix.value).quoted): it overlaps "
                        + Self.either(found, "and"))
            }
        }
        for (later, earlier) in OverlapSweep().run(
            prefixes.map { OverlapSweep.Item(prefix: $0.value, mark: $0.mark, owner: 0) })
        {
            report(
                later.mark,
                "\(String(describing: later.prefix).quoted) overlaps \(String(describing: earlier.prefix).quoted) of "
                    + "line \(earlier.mark.line)")
        }
        return prefixes.count == items.count ? prefixes : nil
    }

    /// The name of an interface.
    package mutating func interface(_ node: YAMLNode) -> String? {
        guard let name = text(node, expected: "an interface") else { return nil }
        // IFNAMSIZ less one, and what dev_valid_name() of the kernel takes.
        let isName =
            name.utf8.count <= 15 && name != "." && name != ".."
            && name.utf8.allSatisfy { (33...126).contains($0) && $0 != 47 && $0 != 58 }
        guard isName else {
            expected("an interface's name of at most 15 bytes, without “/”, “:” and spaces", at: node)
            return nil
        }
        return name
    }
}
