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

    private var place: NetworkPlace { kept.place }
    var tunnels: Tunnels { Tunnels(place: place, key: NodeKey(place)) }
    var routing: Routing { Routing(place: place) }

    /// Brings the node up, or to what is kept if it is up. Nobody else changes networks of the node meanwhile
    /// (``NetworkPlace/changing(_:)``).
    public func up() async throws(ManagerError) {
        let configuration = try kept.configuration()
        let host = Batch(configuration.text("join/host.batch"))
        if isJoined { try await close(host) }
        try await makeNamespace()
        let inside = Batch(configuration.text("addresses.batch"))
        try await inside.closed.apply(namespace: place.label)
        try await Program(["nft", "-f", "-"]).inside(namespace: place.label).run(
            input: configuration.text("filter.nft"))
        try await Program(["sysctl", "-qp", "-"]).inside(namespace: place.label).run(
            input: configuration.text("sysctl.conf"))
        try await tunnels.reconcile(configuration.devices)
        try await inside.apply(namespace: place.label, told: "\(place.applied)/addresses.batch")
        if isJoined {
            try await makeJoin()
            try await Batch(configuration.text("join/network.batch")).apply(
                namespace: place.label, told: "\(place.applied)/network.batch")
            try await host.apply(namespace: nil, told: place.toldHost)
        } else {
            try await removeJoin()
        }
        if kept.node.role == .host { try NodeFiles.write(configuration.text("policy.yaml"), to: place.policy) }
        try await routing.reconcile(configuration.text("bird.conf"))
        try await leadToApplications()
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
        let ready = try await addresses().filter { address in own.contains { $0.contains(address) } }
        let led = try await applications()
        var lines = ready.subtracting(led).sorted().map {
            "route replace \(NodeConfiguration.applicationRoute(to: $0, in: kept.topology, isApart: kept.isApart))"
        }
        lines += led.subtracting(ready).sorted().map {
            "route delete \($0)/32 proto \(NodeConfiguration.applicationRoutes)"
        }
        if !lines.isEmpty { try await Batch(lines.joined(separator: "\n")).apply(namespace: place.label) }
    }

    /// Takes the node down, until somebody brings it up: its tunnels, its routing, its namespace. What is kept stays, and so
    /// do the host's routes that lead nowhere: applications do not find another way into the address space.
    public func down() async throws(ManagerError) {
        let inside = try await strangers()
        guard inside.isEmpty else {
            throw ManagerError(
                .failed,
                "processes run in the namespace \(place.label), and would lose their network: end them first ("
                    + "\(inside.map(String.init).joined(separator: ", ")))")
        }
        try kept.takeDown(true)
        if isUp {
            // Applications first: what they send from here on goes nowhere.
            _ = try await Program(["ip", "-n", place.label, "link", "delete", NodeConfiguration.carrier]).finish()
        }
        try await EngineProcess.end(engines)
        if isUp {
            try await tunnels.remove()
            try await Program(["ip", "netns", "delete", place.label]).run()
        }
        try NodeFiles.remove(place.running)
    }

    /// Takes the node down and forgets the network, its key included.
    public func leave() async throws(ManagerError) {
        try await down()
        try await removeJoin()
        try kept.forget()
    }

    /// Whether the network's namespace is there.
    public var isUp: Bool { NodeFiles.names(in: NetworkPlace.namespaces).contains(place.label) }

    /// The addresses of applications that the network's namespace leads to.
    func applications() async throws(ManagerError) -> Set<IPAddress> {
        let text = try await Program(
            ["ip", "-n", place.label, "-4", "route", "show", "proto", "\(NodeConfiguration.applicationRoutes)"]
        ).run()
        return Set(
            text.split(separator: "\n").compactMap { $0.split(separator: " ").first.flatMap { IPAddress(String($0)) } })
    }

    /// Processes that the node needs: each was started by some ``up()`` and goes on by itself.
    var engines: [EngineProcess] { tunnels.processes + [routing.process].compactMap { $0 } }

    /// Processes in the network's namespace that are no engines.
    private func strangers() async throws(ManagerError) -> [Int32] {
        guard isUp else { return [] }
        let own = Set(engines.map(\.id))
        return try await Program(["ip", "netns", "pids", place.label]).run().split(separator: "\n").compactMap {
            Int32($0)
        }.filter { !own.contains($0) }
    }

    // MARK: Namespaces

    private func makeNamespace() async throws(ManagerError) {
        if !isUp {
            // Engines of a namespace that lost its name hold on to it, and what they were told has to be told again.
            try await EngineProcess.end(engines)
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

    private func makeJoin() async throws(ManagerError) {
        guard try await !Self.has(NodeConfiguration.carrier, place.label) else { return }
        try await Self.refuseSecondJoin(place)
        try await Program(
            ["ip", "link", "add", NodeConfiguration.carrier, "type", "veth", "peer", "name", NodeConfiguration.carrier]
                + ["netns", place.label]
        ).run()
    }

    /// Of a node that is not joined with the host's namespace, or no more.
    private func removeJoin() async throws(ManagerError) {
        if isUp {
            _ = try await Program(["ip", "-n", place.label, "link", "delete", NodeConfiguration.carrier]).finish()
        }
        if let told = try NodeFiles.text(place.toldHost) { try await Batch(told).undo(namespace: nil) }
        for file in [place.toldHost, place.closed] { try NodeFiles.remove(file) }
    }

    /// The host's namespace is joined with one network only.
    static func refuseSecondJoin(_ place: NetworkPlace) async throws(ManagerError) {
        if NodeFiles.names(in: NetworkPlace.namespaces).contains(place.label),
            try await has(NodeConfiguration.carrier, place.label)
        {
            return
        }
        guard try await has(NodeConfiguration.carrier, nil) else { return }
        throw ManagerError(
            .failed,
            "the applications of this machine are in another network, as \(NodeConfiguration.carrier) shows: leave that one, or "
                + "join this one with --apart")
    }

    private static func has(_ link: String, _ namespace: String?) async throws(ManagerError) -> Bool {
        try await Program(["ip"] + (namespace.map { ["-n", $0] } ?? []) + ["link", "show", link]).succeeds()
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
