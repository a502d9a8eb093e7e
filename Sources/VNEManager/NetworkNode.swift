internal import OverlayModel
public import PolicyModel
internal import VNEHost

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

    /// Brings the node up, or to what is kept if it is up.
    public func up() async throws(ManagerError) {
        let lock = try changing()
        defer { withExtendedLifetime(lock) {} }
        let configuration = try kept.configuration()
        func text(_ path: String) -> String { configuration.files.first { $0.path == path }?.text ?? "" }

        let host = Batch(text("join/host.batch"))
        try await host.closed.apply(namespace: nil)
        try await makeNamespace()
        let inside = Batch(text("addresses.batch"))
        try await inside.closed.apply(namespace: place.label)
        try await Program(["sysctl", "-qp", "-"]).inside(namespace: place.label).run(input: text("sysctl.conf"))
        try await Program(["nft", "-f", "-"]).inside(namespace: place.label).run(input: text("filter.nft"))
        try await tunnels.reconcile(configuration.devices)
        try await inside.apply(namespace: place.label, told: "\(place.applied)/addresses.batch")
        if isJoined {
            try await makeJoin()
            try await Batch(text("join/network.batch")).apply(
                namespace: place.label, told: "\(place.applied)/network.batch")
            try await host.apply(namespace: nil, told: "\(place.applied)/host.batch")
        }
        if kept.node.role == .host { try NodeFiles.write(text("policy.yaml"), to: place.policy) }
        try await routing.reconcile(text("bird.conf"))
        try await leadToApplications()
    }

    /// Has the network lead to the applications that are ready on this host, and to no others. Returns their addresses.
    @discardableResult public func leadToApplications() async throws(ManagerError) -> [IPAddress] {
        guard kept.node.role == .host else { return [] }
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
        return ready.sorted()
    }

    /// Takes the node down: its tunnels, its routing, its namespace. What is kept stays, and so do the host's routes that
    /// lead nowhere: applications do not find another way into the address space.
    public func down() async throws(ManagerError) {
        let lock = try changing()
        defer { withExtendedLifetime(lock) {} }
        // Applications first: what they send from here on goes nowhere.
        if isUp, isJoined {
            _ = try await Program(["ip", "-n", place.label, "link", "delete", NodeConfiguration.carrier]).finish()
        }
        await EngineProcess.end(engines)
        if isUp { try await Program(["ip", "netns", "delete", place.label]).run() }
        try NodeFiles.remove(place.running)
    }

    /// Takes the node down and forgets the network, its key included.
    public func leave() async throws(ManagerError) {
        try await down()
        let closed = Batch(try kept.configuration().files.first { $0.path == "join/host.batch" }?.text ?? "").closed
        for line in closed.lines { _ = try await Program(["ip"] + Batch.undoing(line)).finish() }
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

    // MARK: Namespaces

    private func makeNamespace() async throws(ManagerError) {
        try NodeFiles.make(place.tunnelSockets)
        try NodeFiles.make(place.applied)
        guard !isUp else { return }
        // What was told to engines of a namespace that is gone has to be told again.
        try NodeFiles.remove(place.applied)
        try NodeFiles.make(place.applied)
        try await Program(["ip", "netns", "add", place.label]).run()
    }

    private func makeJoin() async throws(ManagerError) {
        let name = NodeConfiguration.carrier
        let isThere = try await Program(["ip", "-n", place.label, "link", "show", name]).succeeds()
        guard !isThere else { return }
        guard try await !Program(["ip", "link", "show", name]).succeeds() else {
            throw ManagerError(
                .failed,
                "the applications of this machine are in another network, as \(name) shows: leave that one, or join this one "
                    + "with --apart")
        }
        try await Program(
            ["ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", place.label]
        ).run()
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

    /// One command at a time changes networks of a node: for a moment their devices are in one namespace.
    private func changing() throws(ManagerError) -> RunLock {
        do throws(HostError) {
            return try RunLock(waitingFor: .network, instance: place.instance)
        } catch {
            throw ManagerError(.failed, "\(error)")
        }
    }
}
