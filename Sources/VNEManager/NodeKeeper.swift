internal import VNEHost

/// Keeps a node of a network up: whatever ends is begun again, and applications are led to as they come and go.
///
/// Nothing depends on it while all is well: the engines go on without it. It waits on the main thread, and whoever does
/// something at the same time does so elsewhere.
@MainActor public final class NodeKeeper {
    private let place: NetworkPlace
    private let claims: ClaimKeeper
    private let rosters: RosterKeeper
    private let log: @Sendable (String) -> Void
    /// How often everything is looked at, whatever was heard.
    private static let pause = Duration.seconds(60)
    /// How soon what failed is tried again.
    private static let retry = Duration.seconds(1)
    /// An engine that lives no longer than that ended because it cannot run.
    private static let soon = Duration.seconds(2)
    private var begun = Duration.zero
    /// What was there when all was looked at last.
    private var engines: [EngineProcess] = []

    /// A keeper of the network of a place.
    /// - Parameter log: is told what happens, a line at a time.
    public init(_ place: NetworkPlace, log: @escaping @Sendable (String) -> Void) {
        self.place = place
        self.log = log
        claims = ClaimKeeper(place, log: log)
        rosters = RosterKeeper(place, log: log)
    }

    /// Goes on until the process is told to stop; then everything stays as it is.
    public func run() async throws(ManagerError) {
        // Who has an address changes at once, however busy the applications are.
        OwnPriority.raise()
        let events = try heard { () throws(HostError) in try EngineEvents() }
        defer {
            claims.end()
            rosters.end()
        }
        var failure: String?
        while true {
            var pause = Self.pause
            do throws(ManagerError) {
                try await bringUp(events)
                if failure != nil { log("\(place.label): all is up") }
                failure = nil
            } catch {
                // The node left the network.
                guard error.kind != .missing else { throw error }
                // Once, not each second.
                if failure != error.description { log("\(place.label): \(error)") }
                failure = error.description
                pause = Self.retry
            }
            guard try await follow(events, until: EngineEvents.now + pause) else { return }
        }
    }

    private func bringUp(_ events: EngineEvents) async throws(ManagerError) {
        begun = EngineEvents.now
        let (node, failure) = try await place.changing { () throws(ManagerError) in
            let node = NetworkNode(try KeptNode(place))
            do throws(ManagerError) {
                if !node.kept.isDown { try await node.up() }
            } catch {
                return (node, ManagerError?.some(error))
            }
            return (node, nil)
        }
        guard !node.kept.isDown else {
            claims.end()
            rosters.end()
            return try heard { () throws(HostError) in try events.watch([]) }
        }
        engines = node.running.engines
        try heard { () throws(HostError) in
            try events.watch(engines.map(\.id))
            // The namespace may be another one by now.
            try events.listen(in: node.namespaceOfApplications)
            try events.listen(to: place.passingFile, in: place.running)
        }
        // One may have come before somebody listened.
        // Claims need the others' stores, and not this node's.
        if node.isUp {
            try claims.keep(node)
            try rosters.keep(node)
        }
        if let failure { throw failure }
        try await lead()
    }

    /// Leads to applications as their addresses come and go, until something else happens or the time has come; false if
    /// the process is to stop.
    private func follow(_ events: EngineEvents, until end: Duration) async throws(ManagerError) -> Bool {
        while true {
            switch try heard({ () throws(HostError) in try events.wait(until: end) }) {
            case .stop: return false
            case .reload:
                log("\(place.label): told to look")
                return true
            case .ended(let process):
                let engine = engines.first { $0.id == process }?.sentence ?? "process \(process)"
                log("\(place.label): an engine ended: \(engine)")
                // One that does not stay up is no reason to do nothing else.
                if EngineEvents.now - begun < Self.soon { try? await Task.sleep(for: Self.retry) }
                return true
            case .silence: return true
            case .file: claims.hear()
            case .addresses:
                do throws(ManagerError) {
                    try await lead()
                    claims.look()
                } catch {
                    log("\(place.label): \(error)")
                    return true
                }
            }
        }
    }

    private func lead() async throws(ManagerError) {
        try await place.changing { () throws(ManagerError) in
            // A newer topology may have been kept meanwhile.
            let node = NetworkNode(try KeptNode(place))
            if !node.kept.isDown { try await node.leadToApplications() }
        }
    }

    private func heard<Result>(_ body: () throws(HostError) -> Result) throws(ManagerError) -> Result {
        do throws(HostError) {
            return try body()
        } catch {
            throw ManagerError(.failed, "\(error)")
        }
    }
}
