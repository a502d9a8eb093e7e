internal import OverlayModel
internal import PolicyModel

/// This node of a network, as it runs: brought to what is kept, looked at, and taken down.
///
/// Everything is asked for as it should be, whatever is there: what is right already stays untouched, so that a connection
/// through the node does not notice. Nothing forwards before the filter and the routes are there that keep the network
/// closed.
public struct NetworkNode: Sendable {
    /// What is kept of it.
    public let kept: KeptNode

    /// A node from what is kept of it.
    public init(_ kept: KeptNode) {
        self.kept = kept
    }

    var place: NetworkPlace { kept.place }
    var running: RunningNode { RunningNode(place) }
    var tunnels: Tunnels { running.tunnels }
    var routing: Routing { running.routing }
    var probing: Probing { running.probing }
    var store: Store { running.store }
    /// Whether the network's namespace is there.
    public var isUp: Bool { running.isUp }

    /// Brings the node up, or to what is kept if it is up. Nobody else changes networks of the node meanwhile
    /// (``NetworkPlace/changing(_:)``).
    public func up() async throws(ManagerError) {
        do throws(ManagerError) {
            try await kept.settleKey()
        } catch {
            // Who is in the network no more has no tunnels into it.
            if isUp { try await tunnels.reconcile([]) }
            throw error
        }
        let configuration = try kept.configuration()
        let host = Batch(configuration.text("join/host.batch"))
        if isJoined { try await close(host) }
        try await reach(configuration)
        if isJoined {
            let carrier = Carrier(place: place)
            let isNew = try await carrier.make()
            try await Batch(configuration.text("join/network.batch")).apply(
                namespace: place.label, told: "\(place.applied)/network.batch")
            try await host.apply(namespace: nil, told: place.toldHost)
            if isNew { await carrier.gather(from: tunnels) }
        } else {
            try await running.removeJoin()
        }
        // Without what it says of applications these would be no applications any more.
        if kept.node.role == .host, !kept.isInvited {
            try NodeFiles.write(configuration.text("policy.yaml"), to: place.policy)
        }
        try await routing.reconcile(configuration.text("bird.conf"))
        try await probing.reconcile(configuration.text("probes.json"))
        try await leadToApplications()
        try await store.reconcile(configuration.text("etcd.env"))
    }

    /// Has the tunnels be there, in a namespace that is closed to all else.
    func reach(_ configuration: NodeConfiguration) async throws(ManagerError) {
        try await makeNamespace()
        let inside = Batch(configuration.text("addresses.batch"))
        try await inside.closed.apply(namespace: place.label)
        try await Program(["nft", "-f", "-"]).inside(namespace: place.label).run(
            input: configuration.text("filter.nft"))
        try await Program(["sysctl", "-qp", "-"]).inside(namespace: place.label).run(
            input: configuration.text("sysctl.conf"))
        try await tunnels.reconcile(configuration.devices)
        try await inside.apply(namespace: place.label, told: "\(place.applied)/addresses.batch")
    }

    /// The same, of a node that was taken down, too.
    public func bringUp() async throws(ManagerError) {
        try kept.takeDown(false)
        try await up()
    }

    /// Has the network lead to the applications that are ready on this host, and to no others.
    public func leadToApplications() async throws(ManagerError) {
        guard kept.node.role == .host else { return }
        let own = kept.node.applications
        let claimed = self.claimed
        let passing = self.passing
        let ready = try await addresses().filter { address in
            claimed.contains(address) || own.contains { $0.contains(address) }
        }.subtracting(passing)
        let (led, closed) = try await applicationRoutes()
        var lines = ready.subtracting(led).sorted().map {
            "route replace \(NodeConfiguration.applicationRoute(to: $0, in: kept.topology, isApart: kept.isApart))"
        }
        lines += passing.subtracting(closed).sorted().map {
            "route replace blackhole \($0)/32 proto \(NodeConfiguration.applicationRoutes)"
        }
        lines += led.union(closed).subtracting(ready).subtracting(passing).sorted().map {
            "route delete \($0)/32 proto \(NodeConfiguration.applicationRoutes)"
        }
        if !lines.isEmpty { try await Batch(lines.joined(separator: "\n")).apply(namespace: place.label) }
    }

    /// Has a manager's tunnels and routing believe of hosts what they claimed and have. Tunnels first: packets of what was handed
    /// over are lost until then.
    func believe(_ claims: Claims) async throws(ManagerError) {
        let before = try kept.claims
        guard isUp, !kept.isDown else { return try kept.keep(claims) }
        let configuration = try kept.configuration(claims)
        try await tunnels.tell(configuration.devices)
        if before != claims { try kept.keep(claims) }
        try await routing.reconcile(configuration.text("bird.conf"))
        let losers = kept.topology.hosts.filter { host in
            !Set(before.addresses(of: host)).isSubset(of: claims.addresses(of: host))
        }
        let tunnels = kept.tunnels.filter { tunnel in
            kept.carriesData(tunnel) && losers.contains { $0.name == tunnel.peer(of: kept.node).name }
        }
        try await routing.forgetReturning(tunnels.map { kept.topology.neighbour(over: $0, at: kept.node) })
    }

    /// The addresses of this host's applications that others may have, too: whose they are, the network's managers say.
    func wanted() async throws(ManagerError) -> Set<IPAddress> {
        let claims = kept.node.claims
        return try await addresses().filter { address in claims.contains { $0.contains(address) } }
    }

    /// What this host claimed and has, as far as the topology lets it.
    var claimed: Set<IPAddress> { claimable(in: place.claimed) }

    /// What this host may claim of a file of addresses, a line each.
    func claimable(in file: String) -> Set<IPAddress> {
        // What else a line says comes after the address.
        let words = ((try? NodeFiles.text(file)) ?? "").split(separator: "\n").map { $0.prefix { $0 != " " } }
        let claims = kept.node.claims
        return Set(words.compactMap { IPAddress(String($0)) }).filter { address in
            claims.contains { $0.contains(address) }
        }
    }

    /// What this host does not get, and why: lines of ``keep(claimed:refused:)``.
    var refused: [NodeStatus.Refusal] {
        ((try? NodeFiles.text(place.refused)) ?? "").split(separator: "\n").compactMap { line in
            let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
            return parts.count == 2 ? NodeStatus.Refusal(address: parts[0], reason: parts[1]) : nil
        }
    }

    /// Where managers answer: their ends of this host's tunnels.
    var managerEnds: [IPAddress] { kept.ends() }

    /// The addresses of applications that the network's namespace leads to.
    func applications() async throws(ManagerError) -> Set<IPAddress> { try await applicationRoutes().led }

    /// The addresses of applications that the network's namespace leads to, and those that it lets nothing through to.
    private func applicationRoutes() async throws(ManagerError) -> (led: Set<IPAddress>, closed: Set<IPAddress>) {
        let text = try await Program(
            ["ip", "-n", place.label, "-4", "route", "show", "proto", "\(NodeConfiguration.applicationRoutes)"]
        ).run()
        let routes = text.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        return (
            Set(routes.compactMap { $0.first.flatMap { IPAddress($0) } }),
            Set(routes.filter { $0.first == "blackhole" }.compactMap { $0.dropFirst().first.flatMap { IPAddress($0) } })
        )
    }

    // MARK: Namespaces

    private func makeNamespace() async throws(ManagerError) {
        if !isUp {
            // Engines of a namespace that lost its name hold on to it, and what they were told has to be told again.
            try await EngineProcess.end(running.engines)
            try NodeFiles.remove(place.running)
        }
        try NodeFiles.make(place.tunnelSockets)
        try NodeFiles.make(place.applied)
        if !isUp { try await Program(["ip", "netns", "add", place.label]).run() }
    }

    /// What keeps the host's own namespace closed, now and from the next boot on.
    private func close(_ host: Batch) async throws(ManagerError) {
        try NodeFiles.write(host.closed.lines.joined(separator: "\n") + "\n", to: place.closed)
        try await host.closed.apply(namespace: nil)
    }

    /// Whether the host's own namespace is joined with the network's.
    private var isJoined: Bool { kept.node.role == .host && !kept.isApart }

    /// The addresses where applications are.
    private func addresses() async throws(ManagerError) -> Set<IPAddress> {
        let namespace = kept.isApart ? ["-n", place.label] : []
        let text = try await Program(["ip"] + namespace + ["-4", "-br", "address", "show"]).run()
        // A name, a state, and addresses with their prefixes.
        return Set(
            text.split(whereSeparator: \.isWhitespace).compactMap { word in
                IPAddress(String(word.prefix { $0 != "/" }))
            })
    }

    /// Where addresses of applications come and go; nil for the caller's namespace.
    var namespaceOfApplications: String? {
        kept.isApart ? place.namespace : nil
    }
}
