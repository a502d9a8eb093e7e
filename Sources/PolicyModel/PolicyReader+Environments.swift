/// An environment of the file, with the places that checks between parts need.
struct EnvironmentDraft {
    var environment: Environment
    var mark: YAMLMark
    /// Those that could be read.
    var addresses: [Marked<IPPrefix>] = []
    /// Whether all of them could, so that what is not in them is outside.
    var hasAllAddresses = false
    /// Whether `protocols` could be read.
    var hasProtocols = true
    /// In the order of `environment.permits`.
    var permitMarks: [PermitMarks] = []
    /// Every rule of `remote`, for the check against the address space and the protocols.
    var remoteRules: [(prefix: Marked<IPPrefix>, ports: [Marked<PortRule>])] = []

    /// Where a permit has its parts.
    struct PermitMarks {
        var target: YAMLMark
        var ports: [Marked<PortRule>]
    }
}

extension PolicyReader {
    private static let environmentKeys = [
        "addresses", "remote", "host", "linkLocal", "permits", "protocols", "strict", "multicast", "mode", "unix",
        "require",
    ]

    /// What `host` says.
    private enum Access: String, CaseIterable {
        case allow
        case deny
    }

    /// What `unix` says.
    private enum UnixSockets: String, CaseIterable {
        case shared
        case `private`
    }

    /// The environment of a name; nil only if it is neither a mapping nor addresses.
    mutating func environment(_ name: Marked<String>, _ node: YAMLNode) -> EnvironmentDraft? {
        var draft = EnvironmentDraft(
            environment: Environment(name: name.value, addresses: [], line: name.mark.line), mark: name.mark)
        let what = "an environment: a mapping with addresses, or its addresses alone"
        if isAddresses(node) {
            addresses(node, into: &draft)
            return draft
        }
        guard let fields = fields(node, expected: what, keys: Self.environmentKeys) else { return nil }
        require("addresses", in: fields, of: "environment \(name.value.quoted)", at: name.mark)
        if let node = fields["addresses"] { addresses(node, into: &draft) }
        if let node = fields["host"], let access = word(node, of: Access.self) {
            draft.environment.host = access == .allow
        }
        if let node = fields["linkLocal"], let flag = flag(node) {
            draft.environment.linkLocal = flag
        }
        if let node = fields["strict"], let flag = flag(node) {
            draft.environment.strict = flag
        }
        if let node = fields["multicast"], let flag = flag(node) {
            draft.environment.multicast = flag
        }
        if let node = fields["unix"], let sockets = word(node, of: UnixSockets.self) {
            draft.environment.unixPrivate = sockets == .private
        }
        if let node = fields["mode"], let mode = word(node, of: Mode.self) {
            draft.environment.mode = mode
        }
        if let node = fields["require"] {
            draft.environment.requires = protections(node)
        }
        if let node = fields["protocols"] {
            let protocols = protocols(node)
            draft.hasProtocols = protocols != nil
            draft.environment.protocols = protocols ?? []
        }
        if let node = fields["remote"] {
            remote(node, into: &draft)
        }
        if let node = fields["permits"] {
            permits(node, into: &draft)
        }
        return draft
    }

    /// Whether a node was meant to be addresses, and not a mapping with them.
    private func isAddresses(_ node: YAMLNode) -> Bool {
        switch node.content {
        case .sequence: true
        case .scalar(let text, _): text.contains { ".:/".contains($0) }
        default: false
        }
    }

    private mutating func addresses(_ node: YAMLNode, into draft: inout EnvironmentDraft) {
        guard let items = items(node, expected: "a prefix, an address, or a list of them") else { return }
        draft.addresses = items.compactMap { prefix($0) }
        draft.hasAllAddresses = draft.addresses.count == items.count
        draft.environment.addresses = draft.addresses.map(\.value)
    }

    private mutating func protocols(_ node: YAMLNode) -> Set<TransportProtocol>? {
        guard let items = items(node, expected: "a protocol or a list of tcp, udp and ping") else { return nil }
        var protocols: Set<TransportProtocol> = []
        var complete = true
        for item in items {
            if case .scalar(let text, _) = item.content, ["raw", "udplite"].contains(text) {
                report(item.mark, "\(text.quoted) is not built in this version, which has tcp, udp and ping")
                complete = false
            } else if let transport = word(item, of: TransportProtocol.self) {
                protocols.insert(transport)
            } else {
                complete = false
            }
        }
        return complete ? protocols : nil
    }

    private mutating func protections(_ node: YAMLNode) -> Set<Protection> {
        let words = Self.either(Protection.allCases.map(\.rawValue), "and")
        guard let items = items(node, expected: "a protection or a list of \(words)") else { return [] }
        var protections: Set<Protection> = []
        for item in items {
            guard let protection = word(item, of: Protection.self) else { continue }
            if !protections.insert(protection).inserted {
                report(item.mark, "\(protection.rawValue.quoted) is there twice")
            }
        }
        return protections
    }

    private mutating func permits(_ node: YAMLNode, into draft: inout EnvironmentDraft) {
        let what = "a permit such as {to: payments, ports: [tcp/5432]}"
        guard let items = items(node, expected: "a list of permits", orMapping: true) else { return }
        for item in items {
            guard let fields = fields(item, expected: what, keys: ["to", "ports"]) else { continue }
            require("to", in: fields, of: "the permit")
            // With ports that could not be read the target still can be checked; there will be no policy.
            let ports = fields["ports"].map { portRules($0) ?? [] } ?? []
            guard let node = fields["to"], let target = text(node, expected: "an environment") else {
                continue
            }
            let parts = target.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            draft.environment.permits.append(
                Permit(
                    to: parts[0], application: parts.count == 2 ? parts[1] : nil,
                    ports: ports.isEmpty ? [PortRule(nil)] : ports.map(\.value), line: item.mark.line))
            draft.permitMarks.append(EnvironmentDraft.PermitMarks(target: node.mark, ports: ports))
        }
    }

    /// A list of protocols and ports; nil if some could not be read.
    mutating func portRules(_ node: YAMLNode) -> [Marked<PortRule>]? {
        let what = "ports such as tcp/5432, udp/5000-5010 or ping"
        guard let items = items(node, expected: what) else { return nil }
        let rules = items.compactMap { item in text(item, expected: what).flatMap { portRule($0, at: item.mark) } }
        return rules.count == items.count ? rules : nil
    }

    mutating func portRule(_ text: String, at mark: YAMLMark) -> Marked<PortRule>? {
        do {
            return Marked(value: try PortRule(parsing: text), mark: mark)
        } catch {
            report(mark, error.message, suggestion: error.suggestion)
            return nil
        }
    }
}
