extension PolicyReader {
    /// What `remote` says: one policy for both directions, or one for each.
    mutating func remote(_ node: YAMLNode, into draft: inout EnvironmentDraft) {
        let what = "allow, deny, {allow: […], deny: […]} or {in: …, out: …}"
        guard case .mapping(let entries) = node.content else {
            guard let access = access(node, expected: what) else { return }
            draft.environment.remoteIn = access
            draft.environment.remoteOut = access
            return
        }
        guard !entries.isEmpty else {
            report(node.mark, "expected \(what); found an empty mapping")
            return
        }
        let hasDirections = entries.contains { entry in
            if case .scalar(let key, _) = entry.key.content { key == "in" || key == "out" } else { false }
        }
        guard hasDirections else {
            guard let policy = remotePolicy(node, expected: what, into: &draft) else { return }
            draft.environment.remoteIn = policy
            draft.environment.remoteOut = policy
            return
        }
        guard let fields = fields(node, expected: what, keys: ["in", "out"]) else { return }
        let one = "allow, deny or {allow: […], deny: […]}"
        if let node = fields["in"], let policy = remotePolicy(node, expected: one, into: &draft) {
            draft.environment.remoteIn = policy
        }
        if let node = fields["out"], let policy = remotePolicy(node, expected: one, into: &draft) {
            draft.environment.remoteOut = policy
        }
    }

    private mutating func access(_ node: YAMLNode, expected what: String) -> RemotePolicy? {
        switch node.content {
        case .scalar("allow", _):
            return .allow(line: node.mark.line)
        case .scalar("deny", _):
            return .deny(line: node.mark.line)
        case .scalar(let text, _):
            expected(what, at: node, suggestion: nearest.find(text, in: ["allow", "deny"]))
        default:
            expected(what, at: node)
        }
        return nil
    }

    /// One direction. With a list of what is allowed, the rest is denied; with one of what is denied only, the rest is
    /// allowed.
    private mutating func remotePolicy(
        _ node: YAMLNode, expected what: String, into draft: inout EnvironmentDraft
    ) -> RemotePolicy? {
        guard case .mapping(let entries) = node.content else { return access(node, expected: what) }
        guard !entries.isEmpty else {
            report(node.mark, "expected \(what); found an empty mapping")
            return nil
        }
        guard let fields = fields(node, expected: what, keys: ["allow", "deny"]) else { return nil }
        var rules: [RemoteRule] = []
        for (key, allows) in [("allow", true), ("deny", false)] {
            guard let list = fields[key] else { continue }
            rules += remoteRules(list, allows: allows, into: &draft)
        }
        let line = (fields.marks["allow"] ?? fields.marks["deny"])?.line
        return RemotePolicy(
            otherwise: fields["allow"] == nil && fields["deny"] != nil, otherwiseLine: line,
            rules: rules.sorted { $0.line < $1.line })
    }

    private mutating func remoteRules(
        _ node: YAMLNode, allows: Bool, into draft: inout EnvironmentDraft
    ) -> [RemoteRule] {
        let what =
            "a list of prefixes, with ports as in “192.0.2.0/24 tcp/443” or {prefix: 192.0.2.0/24, ports: [tcp/443]}"
        guard let items = items(node, expected: what, orMapping: true) else { return [] }
        var rules: [RemoteRule] = []
        for item in items {
            let prefix: Marked<IPPrefix>?
            let ports: [Marked<PortRule>]
            switch item.content {
            case .mapping:
                guard let fields = fields(item, expected: what, keys: ["prefix", "ports"]) else { continue }
                require("prefix", in: fields, of: "the entry")
                prefix = fields["prefix"].flatMap { self.prefix($0) }
                ports = fields["ports"].map { portRules($0) ?? [] } ?? []
            default:
                let one = "a prefix, with ports as in “192.0.2.0/24 tcp/443”"
                guard let text = text(item, expected: one) else { continue }
                let words = text.split(separator: " ").map(String.init)
                prefix = self.prefix(words.first ?? "", at: item, expected: one)
                ports = words.dropFirst().compactMap { portRule($0, at: item.mark) }
            }
            guard let prefix else { continue }
            draft.remoteRules.append((prefix, ports))
            rules.append(
                RemoteRule(
                    prefix: prefix.value, ports: ports.isEmpty ? [PortRule(nil)] : ports.map(\.value), allows: allows,
                    line: item.mark.line))
        }
        return rules
    }
}
