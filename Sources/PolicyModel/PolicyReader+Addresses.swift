extension PolicyReader {
    /// A prefix, or a single address.
    mutating func prefix(_ node: YAMLNode) -> Marked<IPv4Prefix>? {
        let what = "an IPv4 prefix such as 10.10.2.0/24, or an address"
        guard let text = text(node, expected: what) else { return nil }
        return prefix(text, at: node, expected: what)
    }

    /// The prefix that a text of a node is.
    mutating func prefix(_ text: String, at node: YAMLNode, expected what: String) -> Marked<IPv4Prefix>? {
        if let prefix = IPv4Prefix(text) { return Marked(value: prefix, mark: node.mark) }
        guard !isIPv6(text, at: node) else { return nil }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPv4Address(first), parts.count == 2 else {
            report(node.mark, "expected \(what); found \(text.quoted)")
            return nil
        }
        // IPv4Prefix says whether the length is one: every length of 0.0.0.0 is a prefix.
        guard let length = IPv4Prefix("0.0.0.0/\(parts[1])")?.length else {
            report(node.mark, "expected a prefix length from 0 to 32; found \(text.quoted)")
            return nil
        }
        let network = IPv4Prefix(holding: address, length: length)
        report(node.mark, "\(text.quoted) has bits set behind its prefix", suggestion: "\(network.network)/\(length)")
        return nil
    }

    /// A single address.
    mutating func address(_ text: String, at node: YAMLNode) -> Marked<IPv4Address>? {
        if let address = IPv4Address(text) { return Marked(value: address, mark: node.mark) }
        guard !isIPv6(text, at: node) else { return nil }
        let suggestion = IPv4Prefix(text).flatMap { $0.length == 32 ? "\($0.network)" : nil }
        expected("an IPv4 address, or auto", at: node, suggestion: suggestion ?? nearest.find(text, in: ["auto"]))
        return nil
    }

    /// Reports what looks like an IPv6 address or prefix.
    private mutating func isIPv6(_ text: String, at node: YAMLNode) -> Bool {
        let isHexadecimal = text.utf8.allSatisfy {
            (48...58).contains($0) || (65...70).contains($0) || (97...102).contains($0) || $0 == 46 || $0 == 47
        }
        guard isHexadecimal, text.utf8.count(where: { $0 == 58 }) >= 2 else { return false }
        report(
            node.mark,
            "\(text.quoted) is IPv6; this version isolates IPv4, and native IPv6 is refused inside every environment")
        return true
    }

    /// The prefixes of the address space, which overlap neither each other nor what can never be in one; nil if some
    /// could not be read.
    mutating func addressSpace(_ node: YAMLNode) -> [Marked<IPv4Prefix>]? {
        guard let items = items(node, expected: "a prefix or a list of prefixes") else { return nil }
        let prefixes = items.compactMap { prefix($0) }
        let reserved: [(IPv4Prefix, String)] = [
            (.thisNetwork, "0.0.0.0/8, which is no network"), (.loopback, "127.0.0.0/8, which is loopback"),
            (.linkLocal, "169.254.0.0/16, which is link-local"), (.multicast, "224.0.0.0/4, which is multicast"),
            (.limitedBroadcast, "255.255.255.255, which is broadcast"),
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

    /// Interfaces that carry the address space.
    mutating func interfaces(_ node: YAMLNode) -> [String] {
        // Empty is the default, and the one list that may say so.
        if case .sequence([]) = node.content { return [] }
        guard let items = items(node, expected: "an interface or a list of interfaces") else { return [] }
        // VNE_INTERFACES_MAX of vne_abi.h.
        if items.count > 16 {
            report(node.mark, "expected at most 16 interfaces; found \(items.count)")
        }
        var lines: [String: Int] = [:]
        for item in items {
            guard let name = text(item, expected: "an interface") else { continue }
            // IFNAMSIZ less one, and what dev_valid_name() of the kernel takes.
            let isName =
                name.utf8.count <= 15 && name != "." && name != ".."
                && name.utf8.allSatisfy { (33...126).contains($0) && $0 != 47 && $0 != 58 }
            if !isName {
                expected("an interface's name of at most 15 bytes, without “/”, “:” and spaces", at: item)
            } else if let line = lines[name] {
                report(item.mark, "\(name.quoted) is there twice, first at line \(line)")
            } else {
                lines[name] = item.mark.line
            }
        }
        return items.compactMap { if case .scalar(let name, _) = $0.content { name } else { nil } }
    }
}
