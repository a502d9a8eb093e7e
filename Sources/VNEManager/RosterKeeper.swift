internal import Glibc
internal import OverlayModel
internal import VNEHost

/// Keeps a node's part in spreading rosters going, and at a manager looks whose keys are used by two.
@MainActor final class RosterKeeper {
    private let place: NetworkPlace
    private let exchange: RosterExchange
    private let watch: KeyWatch
    private var follower: Task<Void, Never>?
    private var watcher: Task<Void, Never>?
    /// What answers nodes, and the namespace that it is in.
    private var listener: (socket: LineSocket, namespace: FileIdentity)?

    init(_ place: NetworkPlace, log: @escaping @Sendable (String) -> Void) {
        self.place = place
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
        guard node.kept.node.role == .manager, let namespace = NodeFiles.identity(place.namespace),
            listener?.namespace != namespace
        else { return }
        listener?.socket.shut()
        listener = nil
        let socket: LineSocket
        do throws(HostError) {
            socket = try LineSocket.listening(at: RosterRequest.port, in: place.namespace)
        } catch {
            throw ManagerError(.failed, "\(error)")
        }
        listener = (socket, namespace)
        // It ends with its socket.
        Task.detached { [exchange] in await exchange.serve(socket) }
    }

    /// Ends it; what is kept stays.
    func end() {
        endExchange()
        watcher?.cancel()
        watcher = nil
    }

    private func endExchange() {
        listener?.socket.shut()
        listener = nil
        follower?.cancel()
        follower = nil
    }
}
