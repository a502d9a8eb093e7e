internal import OverlayModel
internal import VNEHost

/// Keeps a node's part in claims going: a host asks for what it has applications at, a manager answers hosts and believes
/// what the store says.
@MainActor final class ClaimKeeper {
    private let place: NetworkPlace
    private let log: @Sendable (String) -> Void
    private let host: HostClaims
    private let desk: ClaimDesk
    private var follower: Task<Void, Never>?
    /// What answers hosts, and the namespace that it is in.
    private var listener: (socket: LineSocket, namespace: FileIdentity)?

    init(_ place: NetworkPlace, log: @escaping @Sendable (String) -> Void) {
        self.place = place
        self.log = log
        host = HostClaims(place, log: log)
        desk = ClaimDesk(place, log: log)
    }

    /// Has a node that is up do its part. The main thread waits for events, so all of that is done elsewhere.
    func keep(_ node: NetworkNode) throws(ManagerError) {
        if node.kept.node.role == .host {
            Task.detached { [host] in await host.look(isAnyway: true) }
            return
        }
        guard !node.kept.topology.store.isEmpty else { return end() }
        if follower == nil { follower = Task.detached { [desk] in await desk.follow() } }
        guard let namespace = NodeFiles.identity(place.namespace), listener?.namespace != namespace else { return }
        listener?.socket.shut()
        listener = nil
        let socket: LineSocket
        do throws(HostError) {
            socket = try LineSocket.listening(at: ClaimRequest.port, in: place.namespace)
        } catch {
            throw ManagerError(.failed, "\(error)")
        }
        listener = (socket, namespace)
        // It ends with its socket.
        Task.detached { [desk] in await desk.serve(socket) }
    }

    /// Addresses of a host came or went.
    func look() {
        Task.detached { [host] in await host.look() }
    }

    /// Something was handed over, or is about to be.
    func hear() {
        Task.detached { [host] in await host.lookLater() }
    }

    /// Ends it; what was granted stays.
    func end() {
        listener?.socket.shut()
        listener = nil
        follower?.cancel()
        follower = nil
    }
}
