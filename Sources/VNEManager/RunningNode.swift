internal import OverlayModel

/// What of a network runs on this node, and is left of it when it ends. It needs nothing that is kept to be read: a topology
/// that this version does not understand is no reason not to end.
public struct RunningNode: Sendable {
    let place: NetworkPlace

    /// What runs at a place.
    public init(_ place: NetworkPlace) {
        self.place = place
    }

    var tunnels: Tunnels { Tunnels(place: place, key: NodeKey(place)) }
    var routing: Routing { Routing(place: place) }
    var probing: Probing { Probing(place: place) }
    var store: Store { Store(place: place) }

    /// Whether the network's namespace is there.
    var isUp: Bool { NodeFiles.names(in: NetworkPlace.namespaces).contains(place.label) }

    /// Processes that the node needs: each was started by some ``NetworkNode/up()`` and goes on by itself.
    var engines: [EngineProcess] {
        tunnels.processes + [routing.process, probing.process, store.process].compactMap { $0 }
    }

    /// Processes in the network's namespace that are not the network's own, as `nginx (4711)`. One that is about to become
    /// another program, or to end, looks like a stranger for a moment.
    private func strangers() async throws(ManagerError) -> [String] {
        var found: [Int32] = []
        for look in 0..<10 where isUp {
            if look > 0 { try await Program.pause() }
            let own = Set(engines.map(\.id))
            found = try await Program(["ip", "netns", "pids", place.label]).run().split(separator: "\n").compactMap {
                Int32($0)
            }.filter { !own.contains($0) && !EngineProcess.isMarked($0, place) }
            if found.isEmpty { break }
        }
        return found.map { id in
            let name = (try? NodeFiles.text("/proc/\(id)/comm"))?.split(separator: "\n").first.map(String.init)
            return "\(name ?? "process") (\(id))"
        }
    }

    /// Takes the node down, until somebody brings it up: its tunnels, its routing, its namespace. What is kept stays, and so
    /// do the host's routes that lead nowhere: applications do not find another way into the address space.
    public func down() async throws(ManagerError) {
        guard NodeFiles.names(in: place.kept).contains(KeptNode.topologyFile) else {
            throw KeptNode.missing(KeptNode.topologyFile, place)
        }
        let inside = try await strangers()
        guard inside.isEmpty else {
            throw ManagerError(
                .failed,
                "processes run in the namespace \(place.label), and would lose their network: end them first: "
                    + inside.joined(separator: ", "))
        }
        try NodeFiles.write("", to: "\(place.kept)/\(KeptNode.downFile)")
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
    /// - Parameter force: also a word whose end is not known: a host that forgot what it handed over, and joined again before
    ///   managers agreed about it, would take the address for its own.
    public func leave(force: Bool = false) async throws(ManagerError) {
        let words = (try NodeFiles.text(place.handing) ?? "").split(separator: "\n").map {
            $0.split(separator: " ").joined(separator: " to ")
        }
        guard force || words.isEmpty else {
            throw ManagerError(
                .failed,
                "no manager has said yet what became of what this host handed over (\(words.joined(separator: ", "))): try again "
                    + "once one answers, or leave with --force, and do not join again before `vne-manager status` on the other "
                    + "host says that it has it")
        }
        try await down()
        try await removeJoin()
        try NodeFiles.remove(place.kept)
    }

    /// Of a node that is not joined with the host's namespace, or no more.
    func removeJoin() async throws(ManagerError) {
        if isUp {
            _ = try await Program(["ip", "-n", place.label, "link", "delete", NodeConfiguration.carrier]).finish()
        }
        if let told = try NodeFiles.text(place.toldHost) { try await Batch(told).undo(namespace: nil) }
        for file in [place.toldHost, place.closed] { try NodeFiles.remove(file) }
    }
}
