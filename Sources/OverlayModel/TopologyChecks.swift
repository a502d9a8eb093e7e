import PolicyModel

/// Checks between the parts of a topology file that could be read: nothing is there twice, everything is where it
/// belongs, every name that is referred to exists, and whoever needs a tunnel has a way for it.
struct TopologyChecks {
    let draft: TopologyDraft
    var nearest: NearestWord
    private(set) var errors: [DocumentError] = []
    /// By their numbers; without those that could not be read.
    private(set) var nodes: [Node] = []

    init(draft: TopologyDraft, nearest: NearestWord) {
        self.draft = draft
        self.nearest = nearest
    }

    /// Does all checks.
    /// - Parameter isComplete: whether all of the file could be read.
    mutating func run(isComplete: Bool) {
        checkSubnets()
        checkLinkSubnet()
        checkAddresses()
        checkEndpoints()
        nodes = draft.nodes.compactMap { node($0) }.sorted { $0.number < $1.number }
        joinDirectly()
        // What is missing because it could not be read is no second mistake.
        if isComplete, errors.isEmpty { checkWays() }
    }

    private mutating func report(_ mark: YAMLMark, _ message: String, suggestion: String? = nil) {
        errors.append(DocumentError(at: mark, message, suggestion: suggestion))
    }

    // MARK: Subnets

    private mutating func checkSubnets() {
        var owners: [String] = []
        var items: [OverlapSweep.Item] = []
        func add(_ prefixes: [Marked<IPPrefix>], of owner: String) {
            for prefix in prefixes {
                items.append(OverlapSweep.Item(prefix: prefix.value, mark: prefix.mark, owner: owners.count))
            }
            owners.append(owner)
        }
        add(draft.nodeSubnet.map { [$0] } ?? [], of: "the subnet for nodes")
        add(draft.clientSubnet.map { [$0] } ?? [], of: "the subnet for clients")
        for environment in draft.environments {
            add(environment.addresses, of: "environment \(environment.name.value.quoted)")
        }
        for (later, earlier) in OverlapSweep().run(items) {
            let what = later.owner == earlier.owner ? "" : " of \(owners[earlier.owner])"
            report(
                later.mark,
                "\("\(later.prefix)".quoted) of \(owners[later.owner]) overlaps \("\(earlier.prefix)".quoted)\(what), "
                    + "line \(earlier.mark.line)")
        }
        guard let space = draft.space else { return }
        for item in items where !space.contains(where: { $0.value.contains(item.prefix) }) {
            report(
                item.mark, "\("\(item.prefix)".quoted) of \(owners[item.owner]) is outside the address space")
        }
    }

    /// The ends of tunnels have addresses of their own: as many for each underlay as there can be nodes.
    private mutating func checkLinkSubnet() {
        guard let nodes = draft.nodeSubnet else { return }
        let links = draft.linkSubnet
        guard nodes.value.family == .ipv4 else { return }
        guard links.value.family == .ipv4 else {
            return report(links.mark, "expected an IPv4 prefix for links; found \("\(links.value)".quoted)")
        }
        if let space = draft.space?.first(where: { $0.value.overlaps(links.value) }) {
            report(
                links.mark,
                "\("\(links.value)".quoted) for links overlaps \("\(space.value)".quoted) of the address space, line "
                    + "\(space.mark.line)")
        }
        // Each node needs a port of its own on an underlay.
        guard (17...30).contains(nodes.value.length) else {
            return report(nodes.mark, "expected a subnet for nodes from /17 to /30; found \("\(nodes.value)".quoted)")
        }
        let bits = 32 - nodes.value.length
        let needed = draft.underlays.count << bits
        guard needed <= 1 << (32 - links.value.length) else {
            let message =
                "a subnet for nodes of \(1 << bits) addresses needs as many for links over each underlay, \(needed) in "
                + "all, and \("\(links.value)".quoted) has \(1 << (32 - links.value.length))"
            return report(nodes.mark, message)
        }
        for (underlay, mark) in draft.underlays where Int(underlay.port) + 1 << bits > 65_536 {
            report(
                mark,
                "the underlay \(underlay.name.quoted) needs a port for each of \(1 << bits) nodes from \(underlay.port) "
                    + "on, and there are not as many", suggestion: "port: \(65_536 - 1 << bits)")
        }
    }

    // MARK: Nodes

    private mutating func checkAddresses() {
        guard let subnet = draft.nodeSubnet?.value else { return }
        var holders: [IPAddress: NodeDraft] = [:]
        let wanted = Set(draft.nodes.compactMap(\.address?.value))
        for node in draft.nodes {
            guard let address = node.address else { continue }
            guard subnet.contains(address.value) else {
                report(
                    address.mark,
                    "\("\(address.value)".quoted) of \(node.title) is outside the subnet for nodes, \(subnet)",
                    suggestion: free(in: subnet, besides: wanted))
                continue
            }
            guard address.value != subnet.network, address.value != subnet.last else {
                report(
                    address.mark,
                    "\("\(address.value)".quoted) of \(node.title) is the first or last of \(subnet), which is nobody's",
                    suggestion: free(in: subnet, besides: wanted))
                continue
            }
            if let holder = holders[address.value] {
                report(
                    address.mark,
                    "\("\(address.value)".quoted) of \(node.title) is the address of \(holder.title), line "
                        + "\(holder.name.mark.line)", suggestion: free(in: subnet, besides: wanted))
            } else {
                holders[address.value] = node
            }
        }
    }

    /// The least address of the subnet that no node asks for.
    private func free(in subnet: IPPrefix, besides taken: Set<IPAddress>) -> String? {
        var address = subnet.network.rawValue + 1
        while taken.contains(IPAddress(rawValue: address)) { address += 1 }
        return address < subnet.last.rawValue ? "\(IPAddress(rawValue: address))" : nil
    }

    private mutating func checkEndpoints() {
        var holders: [Place: NodeDraft] = [:]
        for node in draft.nodes {
            for (underlay, endpoint) in node.endpoints {
                guard draft.underlayNames.contains(underlay.value) else {
                    report(
                        underlay.mark, "there is no underlay \(underlay.value.quoted)",
                        suggestion: nearest.find(underlay.value, in: draft.underlayNames))
                    continue
                }
                guard case .address(let address) = endpoint.value else { continue }
                if draft.space?.contains(where: { $0.value.contains(address) }) == true {
                    report(
                        endpoint.mark,
                        "\("\(address)".quoted) is inside the address space: tunnels would have to go through themselves"
                    )
                } else if AddressClass.fixed.contains(where: { $0.prefix.contains(address) }) {
                    report(
                        endpoint.mark,
                        "\("\(address)".quoted) is loopback, link-local, multicast or broadcast: nobody else can send "
                            + "there")
                }
                let place = Place(underlay: underlay.value, address: address)
                if let holder = holders[place], holder.name.value != node.name.value {
                    report(
                        endpoint.mark,
                        "\("\(address)".quoted) of \(node.title) is the endpoint of \(holder.title), line "
                            + "\(holder.name.mark.line)")
                }
                holders[place] = node
            }
        }
    }

    private struct Place: Hashable {
        var underlay: String
        var address: IPAddress
    }

    private mutating func node(_ draft: NodeDraft) -> Node? {
        let managers = self.draft.nodes.filter { $0.role == .manager }.map(\.name.value)
        var own = draft.role == .host ? managers : []
        if let named = draft.managers {
            let known = errors.count
            own = []
            for name in named {
                if own.contains(name.value) {
                    report(name.mark, "\(name.value.quoted) is there twice")
                } else if managers.contains(name.value) {
                    own.append(name.value)
                } else if !self.draft.nodeNames.contains(name.value)
                    || self.draft.nodes.contains(where: {
                        $0.name.value == name.value && $0.role == .host
                    })
                {
                    report(
                        name.mark, "there is no manager \(name.value.quoted)",
                        suggestion: nearest.find(name.value, in: managers))
                }
            }
            if own.count == 1, managers.count > 1, errors.count == known {
                report(
                    draft.name.mark,
                    "\(draft.title) joins through one manager only, and is cut off when that one fails",
                    suggestion: "managers: [\(managers.joined(separator: ", "))]")
            }
        }
        guard let subnet = self.draft.nodeSubnet?.value, let address = draft.address?.value, subnet.contains(address)
        else { return nil }
        var endpoints = Dictionary(
            draft.endpoints.map { ($0.underlay.value, $0.endpoint.value) }, uniquingKeysWith: { first, _ in first })
        if endpoints.isEmpty {
            for (underlay, _) in self.draft.underlays { endpoints[underlay.name] = .dynamic }
        }
        return Node(
            name: draft.name.value, role: draft.role, address: address,
            number: UInt32(truncatingIfNeeded: address.rawValue - subnet.network.rawValue), endpoints: endpoints,
            managers: own, direct: draft.direct.map(\.value), line: draft.name.mark.line)
    }

    /// A direct tunnel has two ends, whichever of them asks for it.
    private mutating func joinDirectly() {
        let hosts = draft.nodes.filter { $0.role == .host }.map(\.name.value)
        for node in draft.nodes {
            for peer in node.direct {
                guard hosts.contains(peer.value), peer.value != node.name.value else {
                    report(
                        peer.mark,
                        peer.value == node.name.value
                            ? "\(node.title) needs no tunnel to itself" : "there is no host \(peer.value.quoted)",
                        suggestion: peer.value == node.name.value ? nil : nearest.find(peer.value, in: hosts))
                    continue
                }
                if let index = nodes.firstIndex(where: { $0.name == peer.value }),
                    !nodes[index].direct.contains(node.name.value)
                {
                    nodes[index].direct.append(node.name.value)
                }
            }
        }
    }

    // MARK: Ways

    private mutating func checkWays() {
        let byName = Dictionary(nodes.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let managers = nodes.filter { $0.role == .manager }
        for node in nodes {
            let peers: [Node] =
                switch node.role {
                case .manager: managers.filter { $0.number < node.number }
                case .host:
                    node.managers.compactMap { byName[$0] }
                        + node.direct.compactMap { byName[$0] }.filter { $0.number < node.number }
                }
            for peer in peers { checkWay(node, peer) }
        }
    }

    private mutating func checkWay(_ node: Node, _ peer: Node) {
        let shared = draft.underlays.map(\.underlay).filter { node.reaches(peer, over: $0.name) }
        let mark = draft.nodes.first { $0.name.value == node.name }?.name.mark ?? YAMLMark(line: node.line, column: 1)
        guard !shared.isEmpty else {
            return report(
                mark,
                "\(node.title) and \(peer.title) are on no underlay together on which one of them has an address")
        }
        for (use, what) in [(Underlay.Use.data, "applications"), (.management, "the nodes' own talk")]
        where !shared.contains(where: { $0.use == use || $0.use == .both }) {
            report(
                mark,
                "no underlay that \(node.title) and \(peer.title) share carries \(what): see “use” of "
                    + Self.either(shared.map(\.name.quoted), "and"))
        }
    }

    private static func either(_ words: [String], _ conjunction: String) -> String {
        TopologyReader.either(words, conjunction)
    }
}

extension NodeDraft {
    fileprivate var title: String { "the \(role.rawValue) \(name.value.quoted)" }
}

extension Node {
    fileprivate var title: String { "the \(role.rawValue) \(name.quoted)" }

    /// Whether a tunnel to another node can begin: both are on the underlay, and one of them at an address.
    func reaches(_ other: Node, over underlay: String) -> Bool {
        guard let own = endpoints[underlay], let others = other.endpoints[underlay] else { return false }
        return own != .dynamic || others != .dynamic
    }
}
