internal import Glibc
internal import OverlayModel

/// Keeps a node's part in spreading rosters going, and at a manager looks whose keys are used by two.
@MainActor final class RosterKeeper {
    private let exchange: RosterExchange
    private let desk: Desk
    private let watch: KeyWatch
    private var follower: Task<Void, Never>?
    private var watcher: Task<Void, Never>?

    init(_ place: NetworkPlace, log: @escaping @Sendable (String) -> Void) {
        desk = Desk(place, port: RosterRequest.port, log: log)
        watch = KeyWatch(place, log: log)
        // The main thread waits for events, and a signal is one.
        exchange = RosterExchange(place, log: log) { _ = kill(getpid(), SIGHUP) }
    }

    /// Has a node that is up do its part. The main thread waits for events, so all of that is done elsewhere.
    func keep(_ node: NetworkNode) throws(ManagerError) {
        if node.kept.node.role == .manager, watcher == nil {
            watcher = Task.detached { [watch] in await watch.follow() }
        }
        guard node.kept.roster != nil else { return endExchange() }
        if follower == nil { follower = Task.detached { [exchange] in await exchange.follow() } }
        if node.kept.node.role == .manager { try desk.open { [exchange] in await exchange.receive($0, from: $1) } }
    }

    /// Ends it; what is kept stays.
    func end() {
        endExchange()
        watcher?.cancel()
        watcher = nil
    }

    private func endExchange() {
        desk.close()
        follower?.cancel()
        follower = nil
    }
}
