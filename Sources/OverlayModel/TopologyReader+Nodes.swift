import PolicyModel

/// What could be read of a topology, with the places that checks between parts need.
struct TopologyDraft {
    /// nil if some of it could not be read.
    var space: [Marked<IPPrefix>]?
    var nodeSubnet: Marked<IPPrefix>?
    var clientSubnet: Marked<IPPrefix>?
    /// nil: ``Topology/standardLinkSubnet``.
    var linkSubnet: Marked<IPPrefix>?
    var underlays: [UnderlayDraft] = []
    /// Also of those that could not be read.
    var underlayNames: Set<String> = []
    var policy = PolicySection()
    var nodes: [NodeDraft] = []
    /// Also of those that could not be read.
    var nodeNames: Set<String> = []
    /// nil if the file names none.
    var store: (names: [Marked<String>], mark: YAMLMark)?
}

/// An underlay of the file.
struct UnderlayDraft {
    var name: Marked<String>
    var use = Underlay.Use.both
    var mtu = 1500
    /// nil: behind the ports of the underlays before it.
    var port: UInt16?
}

/// A node of the file.
struct NodeDraft {
    var name: Marked<String>
    var role: Node.Role
    var address: Marked<IPAddress>?
    var endpoints: [(underlay: Marked<String>, endpoint: Marked<Node.Endpoint>)] = []
    /// nil: through every manager.
    var managers: [Marked<String>]?
    var direct: [Marked<String>] = []
    var applications: [Marked<IPPrefix>] = []
    var claims: [Marked<IPPrefix>] = []
}

extension TopologyReader {
    mutating func nodes(_ node: YAMLNode, _ role: Node.Role, into draft: inout TopologyDraft) {
        let ofHosts = ["managers", "direct", "applications", "claims"]
        let keys = ["address", "endpoints"] + (role == .host ? ofHosts : [])
        guard let entries = entries(node, expected: "\(role.rawValue)s by name") else { return }
        if role == .manager, entries.isEmpty { report(node.mark, "expected managers by name; found none") }
        for (key, value) in entries {
            let isKnown = !draft.nodeNames.insert(key.value).inserted
            if isKnown {
                let line = draft.nodes.first { $0.name.value == key.value }?.name.mark.line
                report(
                    key.mark,
                    "\(key.value.quoted) is a manager already" + (line.map { ", at line \($0)" } ?? ""))
            }
            guard isName(key),
                let fields = fields(
                    value, expected: "a \(role.rawValue): a mapping with address and endpoints", keys: keys)
            else { continue }
            var found = NodeDraft(name: key, role: role)
            require("address", in: fields, of: "the \(role.rawValue) \(key.value.quoted)", at: key.mark)
            if role == .manager {
                require("endpoints", in: fields, of: "the manager \(key.value.quoted)", at: key.mark)
            }
            if let node = fields["address"], let text = text(node, expected: "an address of the subnet for nodes") {
                found.address = address(text, at: node, expected: "an address of the subnet for nodes")
            }
            if let node = fields["endpoints"] { endpoints(node, of: &found) }
            if let node = fields["managers"] { found.managers = names(node, expected: "a manager or a list of them") }
            if let node = fields["direct"] { found.direct = names(node, expected: "a host or a list of them") ?? [] }
            if let node = fields["applications"] { found.applications = prefixes(node) }
            if let node = fields["claims"] { found.claims = prefixes(node) }
            if !isKnown { draft.nodes.append(found) }
        }
    }

    private mutating func endpoints(_ node: YAMLNode, of draft: inout NodeDraft) {
        let isManager = draft.role == .manager
        let what = isManager ? "an address of the underlay" : "an address of the underlay, or dynamic"
        guard let entries = entries(node, expected: "addresses by the name of an underlay") else { return }
        if entries.isEmpty { report(node.mark, "expected addresses by the name of an underlay; found none") }
        for (key, value) in entries {
            guard let text = text(value, expected: what) else { continue }
            if text == "dynamic", !isManager {
                draft.endpoints.append((key, Marked(value: .dynamic, mark: value.mark)))
            } else if let address = IPAddress(text) {
                draft.endpoints.append((key, Marked(value: .address(address), mark: value.mark)))
            } else {
                expected(what, at: value, suggestion: isManager ? nil : nearest.find(text, in: ["dynamic"]))
            }
        }
    }

    private mutating func prefixes(_ node: YAMLNode) -> [Marked<IPPrefix>] {
        (items(node, expected: "a prefix, an address, or a list of them") ?? []).compactMap { prefix($0) }
    }

    mutating func names(_ node: YAMLNode, expected what: String) -> [Marked<String>]? {
        items(node, expected: what)?.compactMap { item in
            text(item, expected: what).map { Marked(value: $0, mark: item.mark) }
        }
    }
}
