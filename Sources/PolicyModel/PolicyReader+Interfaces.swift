extension PolicyReader {
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
            guard let name = interface(item) else { continue }
            if let line = lines[name] {
                report(item.mark, "\(name.quoted) is there twice, first at line \(line)")
            } else {
                lines[name] = item.mark.line
            }
        }
        return items.compactMap { if case .scalar(let name, _) = $0.content { name } else { nil } }
    }
}
