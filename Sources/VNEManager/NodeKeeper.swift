internal import VNEHost

/// Keeps a node of a network up: whatever ends is begun again, and applications are led to as they come and go.
///
/// Nothing depends on it while all is well: the engines go on without it.
public struct NodeKeeper {
    private let place: NetworkPlace
    private let log: (String) -> Void
    /// How often everything is looked at, whatever was heard.
    private static let pause = Duration.seconds(60)
    /// How soon what failed is tried again.
    private static let retry = Duration.seconds(1)

    /// A keeper of the network of a place.
    /// - Parameter log: is told what happens, a line at a time.
    public init(_ place: NetworkPlace, log: @escaping (String) -> Void) {
        self.place = place
        self.log = log
    }

    /// Goes on until the process is told to stop; then everything stays as it is.
    public func run() async throws(ManagerError) {
        do {
            let events = try EngineEvents()
            var failure: String?
            // What cannot be read at the start is said at once.
            var node = NetworkNode(try KeptNode(place))
            while true {
                var pause = Self.pause
                do throws(ManagerError) {
                    node = NetworkNode(try KeptNode(place))
                    try await node.up()
                    if failure != nil { log("\(place.label): all is up") }
                    failure = nil
                } catch {
                    // Once, not each second.
                    if failure != error.description { log("\(place.label): \(error)") }
                    failure = error.description
                    pause = Self.retry
                }
                guard try await follow(node, events, for: pause) else { return }
            }
        } catch let error as HostError {
            throw ManagerError(.failed, "\(error)")
        } catch let error as ManagerError {
            throw error
        } catch {
            throw ManagerError(.failed, "\(error)")
        }
    }

    /// Leads to applications as their addresses come and go, until something else happens or the time is over; false if
    /// the process is to stop.
    private func follow(
        _ node: NetworkNode, _ events: EngineEvents, for pause: Duration
    ) async throws -> Bool {
        try events.watch(node.engines.map(\.id))
        // The namespace may be another one by now.
        try events.listen(in: node.namespaceOfApplications)
        try await node.leadToApplications()
        let end = EngineEvents.now + pause
        while true {
            switch try events.wait(until: end) {
            case .stop: return false
            case .reload:
                log("\(place.label): told to look")
                return true
            case .ended(let process):
                log("\(place.label): process \(process) of an engine ended")
                return true
            case .silence: return true
            case .addresses:
                do throws(ManagerError) {
                    try await node.leadToApplications()
                } catch {
                    log("\(place.label): \(error)")
                    return true
                }
            }
        }
    }
}
