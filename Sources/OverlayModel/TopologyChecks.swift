import PolicyModel

/// Checks between the parts of a topology file that could be read: nothing is there twice, everything is where it
/// belongs, every name that is referred to exists, and whoever needs a tunnel has a way for it.
struct TopologyChecks {
    let draft: TopologyDraft
    var nearest: NearestWord
    private(set) var errors: [DocumentError] = []
    /// In the order of the file, with their ports.
    private(set) var underlays: [Underlay] = []
    /// By their numbers; without those that could not be read.
    private(set) var nodes: [Node] = []
    /// The names of the managers that keep the store.
    private(set) var store: [String] = []

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
        checkApplications()
        checkClaims()
        checkNamedApplications(isComplete: isComplete)
        let managers = draft.nodes.filter { $0.role == .manager }.map(\.name.value)
        nodes = draft.nodes.compactMap { node($0, managers: managers) }.sorted { $0.number < $1.number }
        joinDirectly()
        checkStore(managers: managers)
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
        let ownCount = owners.count
        for part in draft.policy.environments {
            add(part.addresses, of: "environment \(part.environment.name.quoted)")
        }
        // What environments have in common with each other is the policy's to say.
        for (later, earlier) in OverlapSweep().run(items) where min(later.owner, earlier.owner) < ownCount {
            let what = later.owner == earlier.owner ? "" : " of \(owners[earlier.owner])"
            report(
                later.mark,
                "\("\(later.prefix)".quoted) of \(owners[later.owner]) overlaps \("\(earlier.prefix)".quoted)\(what), "
                    + "line \(earlier.mark.line)")
        }
        guard let space = draft.space else { return }
        for item in items where item.owner < ownCount && !space.contains(where: { $0.value.contains(item.prefix) }) {
            report(
                item.mark, "\("\(item.prefix)".quoted) of \(owners[item.owner]) is outside the address space")
        }
    }

    /// The ends of tunnels have addresses of their own: as many for each underlay as there can be nodes.
    private mutating func checkLinkSubnet() {
        guard let nodes = draft.nodeSubnet, nodes.value.family == .ipv4 else { return }
        if let links = draft.linkSubnet { checkPlace(ofLinks: links) }
        // Each node needs a port of its own on an underlay.
        guard (17...30).contains(nodes.value.length) else {
            return report(nodes.mark, "expected a subnet for nodes from /17 to /30; found \("\(nodes.value)".quoted)")
        }
        let bits = 32 - nodes.value.length
        let links = draft.linkSubnet?.value ?? Topology.standardLinkSubnet
        let needed = draft.underlays.count << bits
        if links.family == .ipv4, needed > 1 << (32 - links.length) {
            let message =
                "a subnet for nodes of \(1 << bits) addresses needs as many for links over each underlay, \(needed) in "
                + "all, and \("\(links)".quoted) has \(1 << (32 - links.length))"
            report(nodes.mark, message)
        }
        givePorts(1 << bits)
    }

    private mutating func checkPlace(ofLinks links: Marked<IPPrefix>) {
        let name = "\(links.value)".quoted
        guard links.value.family == .ipv4 else {
            return report(links.mark, "expected an IPv4 prefix for links; found \(name)")
        }
        if let space = draft.space?.first(where: { $0.value.overlaps(links.value) }) {
            report(
                links.mark,
                "\(name) for links overlaps \("\(space.value)".quoted) of the address space, line \(space.mark.line)")
        }
        let isLinkLocal = Topology.standardLinkSubnet.contains(links.value)
        if !isLinkLocal, let fixed = AddressClass.fixed.first(where: { $0.prefix.overlaps(links.value) }) {
            report(links.mark, "\(name) for links overlaps \("\(fixed.prefix)".quoted), which means something else")
        }
        for node in draft.nodes {
            for (_, endpoint) in node.endpoints {
                guard case .address(let address) = endpoint.value, links.value.contains(address) else { continue }
                report(
                    endpoint.mark,
                    "\("\(address)".quoted) of \(node.title) is inside \(name) for links, line \(links.mark.line): the "
                        + "tunnels would have to go through themselves")
            }
        }
    }

    /// Each underlay has ports of its own, one for each number of a node.
    private mutating func givePorts(_ count: Int) {
        var taken: [(ports: Range<Int>, name: String)] = []
        func next() -> Int { taken.map(\.ports.upperBound).max() ?? 51_820 }
        for underlay in draft.underlays {
            let first = underlay.port.map(Int.init) ?? next()
            let ports = first..<first + count
            if ports.upperBound > 65_536 {
                report(
                    underlay.name.mark,
                    "the underlay \(underlay.name.value.quoted) needs a port for each of \(count) nodes from \(first) on, "
                        + "and there are not as many", suggestion: "port: \(65_536 - count)")
            } else if let other = taken.first(where: { $0.ports.overlaps(ports) }) {
                let free = next() + count <= 65_536 ? "port: \(next())" : nil
                report(
                    underlay.name.mark,
                    "the underlay \(underlay.name.value.quoted) needs \(count) ports from \(first) on, of which "
                        + "\(other.name.quoted) has some", suggestion: free)
            }
            taken.append((ports, underlay.name.value))
            underlays.append(
                Underlay(
                    name: underlay.name.value, use: underlay.use, mtu: underlay.mtu,
                    port: UInt16(truncatingIfNeeded: first), line: underlay.name.mark.line))
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
        guard subnet.family == .ipv4, subnet.length <= 30 else { return nil }
        var address = subnet.network.rawValue + 1
        while address < subnet.last.rawValue, taken.contains(IPAddress(rawValue: address)) { address += 1 }
        return address < subnet.last.rawValue ? "\(IPAddress(rawValue: address))" : nil
    }

    private mutating func checkEndpoints() {
        var holders: [Place: NodeDraft] = [:]
        for node in draft.nodes {
            for (underlay, endpoint) in node.endpoints {
                guard draft.underlayNames.contains(underlay.value) else {
                    report(
                        underlay.mark, "there is no underlay \(underlay.value.quoted)",
                        suggestion: nearest.find(underlay.value, in: draft.underlays.map(\.name.value)))
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

    /// An address has one place in the network at most, and is of an environment.
    private mutating func checkApplications() {
        var items: [OverlapSweep.Item] = []
        for (index, node) in draft.nodes.enumerated() {
            items += node.applications.map { OverlapSweep.Item(prefix: $0.value, mark: $0.mark, owner: index) }
        }
        for (later, earlier) in OverlapSweep().run(items) {
            report(
                later.mark,
                "\("\(later.prefix)".quoted) of \(draft.nodes[later.owner].title) overlaps "
                    + "\("\(earlier.prefix)".quoted) of \(draft.nodes[earlier.owner].title), line \(earlier.mark.line)")
        }
        let assigned = draft.policy.environments.flatMap(\.addresses).map(\.value)
        for item in items where !assigned.contains(where: { $0.contains(item.prefix) }) {
            report(
                item.mark,
                "\("\(item.prefix)".quoted) of \(draft.nodes[item.owner].title) is not inside an environment's prefix")
        }
    }

    /// Hosts may claim the same addresses, but none that is some host's for good.
    private mutating func checkClaims() {
        let assigned = draft.policy.environments.flatMap(\.addresses).map(\.value)
        let given = draft.nodes.flatMap { node in node.applications.map { (prefix: $0, node: node) } }
        for node in draft.nodes {
            for claim in node.claims {
                let name = "\("\(claim.value)".quoted) that \(node.title) may claim"
                if !assigned.contains(where: { $0.contains(claim.value) }) {
                    report(claim.mark, "\(name) is not inside an environment's prefix")
                } else if let other = given.first(where: { $0.prefix.value.overlaps(claim.value) }) {
                    report(
                        claim.mark,
                        "\(name) overlaps \("\(other.prefix.value)".quoted), which \(other.node.title) has for good, line "
                            + "\(other.prefix.mark.line)")
                }
            }
        }
    }

    /// An application that every host knows is somewhere: at an address, which some host may have.
    private mutating func checkNamedApplications(isComplete: Bool) {
        let held = AddressRanges(draft.nodes.flatMap { $0.applications + $0.claims }.map(\.value))
        for part in draft.policy.applications {
            let title = "application \(part.application.name.quoted)"
            if part.isChosen {
                report(
                    part.mark,
                    "\(title) of a network has an address: one that is chosen (auto) would be another one on each host")
            }
            // What is missing because it could not be read is no second mistake.
            for address in part.addresses where isComplete && !held.contains(IPPrefix(address.value)) {
                report(
                    address.mark,
                    "no host may have \("\(address.value)".quoted) of \(title): see “applications” and “claims” of hosts"
                )
            }
        }
    }

    /// Whatever is claimed is kept by an odd number of managers, so that the death of less than half of them is none of
    /// the store.
    private mutating func checkStore(managers: [String]) {
        guard let named = draft.store else {
            if let claim = draft.nodes.flatMap(\.claims).first {
                let some = managers.prefix(managers.count < 3 ? 1 : 3)
                report(
                    claim.mark, "what hosts may claim needs managers that keep it",
                    suggestion: "store: [\(some.joined(separator: ", "))]")
            }
            return
        }
        store = distinct(named.names) { checks, name in
            guard !managers.contains(name.value) else { return true }
            // One that could not be read is no second mistake.
            let isHost = checks.draft.nodes.contains { $0.name.value == name.value && $0.role == .host }
            guard isHost || !checks.draft.nodeNames.contains(name.value) else { return true }
            checks.report(
                name.mark, "there is no manager \(name.value.quoted)",
                suggestion: checks.nearest.find(name.value, in: managers))
            return false
        }
        guard store.count == named.names.count, ![1, 3, 5].contains(store.count) else { return }
        report(named.mark, "a store is kept by 1, 3 or 5 managers; found \(store.count)")
    }

    private struct Place: Hashable {
        var underlay: String
        var address: IPAddress
    }

    private mutating func node(_ draft: NodeDraft, managers: [String]) -> Node? {
        var own = draft.role == .host ? managers : []
        if let named = draft.managers {
            own = distinct(named) { checks, name in
                // One that could not be read is no second mistake.
                let isHost = checks.draft.nodes.contains { $0.name.value == name.value && $0.role == .host }
                guard !managers.contains(name.value) else { return true }
                if isHost || !checks.draft.nodeNames.contains(name.value) {
                    checks.report(
                        name.mark, "there is no manager \(name.value.quoted)",
                        suggestion: checks.nearest.find(name.value, in: managers))
                }
                return false
            }
            if named.count == 1, own.count == 1, managers.count > 1 {
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
            for underlay in self.draft.underlays { endpoints[underlay.name.value] = .dynamic }
        }
        return Node(
            name: draft.name.value, role: draft.role, address: address,
            number: UInt32(truncatingIfNeeded: address.rawValue - subnet.network.rawValue), endpoints: endpoints,
            managers: own, direct: directPeers(of: draft), applications: draft.applications.map(\.value),
            claims: draft.claims.map(\.value),
            line: draft.name.mark.line)
    }

    private mutating func directPeers(of draft: NodeDraft) -> [String] {
        guard !draft.direct.isEmpty else { return [] }
        let hosts = Set(self.draft.nodes.filter { $0.role == .host }.map(\.name.value))
        let managers = Set(self.draft.nodes.filter { $0.role == .manager }.map(\.name.value))
        return distinct(draft.direct) { checks, peer in
            guard peer.value != draft.name.value else {
                checks.report(peer.mark, "\(draft.title) needs no tunnel to itself")
                return false
            }
            guard !hosts.contains(peer.value) else { return true }
            if managers.contains(peer.value) || !checks.draft.nodeNames.contains(peer.value) {
                checks.report(
                    peer.mark, "there is no host \(peer.value.quoted)",
                    suggestion: checks.nearest.find(peer.value, in: hosts.sorted()))
            }
            return false
        }
    }

    /// The names of a list that are right, each once; says which are there twice.
    private mutating func distinct(
        _ names: [Marked<String>], where isRight: (inout Self, Marked<String>) -> Bool
    ) -> [String] {
        var found: [String] = []
        for name in names {
            if found.contains(name.value) {
                report(name.mark, "\(name.value.quoted) is there twice")
            } else if isRight(&self, name) {
                found.append(name.value)
            }
        }
        return found
    }

    /// A direct tunnel has two ends, whichever of them asks for it.
    private mutating func joinDirectly() {
        let indices = Dictionary(
            nodes.enumerated().map { ($0.element.name, $0.offset) }, uniquingKeysWith: { first, _ in first })
        for node in nodes {
            for peer in node.direct {
                guard let index = indices[peer], !nodes[index].direct.contains(node.name) else { continue }
                nodes[index].direct.append(node.name)
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
        let shared = underlays.filter { node.reaches(peer, over: $0.name) }
        func mark() -> YAMLMark {
            draft.nodes.first { $0.name.value == node.name }?.name.mark ?? YAMLMark(line: node.line, column: 1)
        }
        guard !shared.isEmpty else {
            return report(
                mark(),
                "\(node.title) and \(peer.title) are on no underlay together on which one of them has an address")
        }
        // Two hosts have nothing to say to each other.
        let isDirect = node.role == .host && peer.role == .host
        let needed: [(Underlay.Use, String)] = [(.data, "applications"), (.management, "the nodes' own talk")]
        for (use, what) in isDirect ? Array(needed.prefix(1)) : needed
        where !shared.contains(where: { $0.use == use || $0.use == .both }) {
            report(
                mark(),
                "no underlay that \(node.title) and \(peer.title) share carries \(what): see “use” of "
                    + TopologyReader.either(shared.map(\.name.quoted), "and"))
        }
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
