internal import OverlayModel
internal import VNEHost

/// Keeps a node's part in claims going: a host asks for what it has applications at, a manager answers hosts and believes
/// what the store says.
@MainActor final class ClaimKeeper {
    private let place: NetworkPlace
    private let log: @Sendable (String) -> Void
    private let host: HostClaims
    private let claims: ClaimDesk
    private let desk: Desk
    private var follower: Task<Void, Never>?

    init(_ place: NetworkPlace, log: @escaping @Sendable (String) -> Void) {
        self.place = place
        self.log = log
        host = HostClaims(place, log: log)
        claims = ClaimDesk(place, log: log)
        desk = Desk(place, port: ClaimRequest.port, log: log)
    }

    /// Has a node that is up do its part. The main thread waits for events, so all of that is done elsewhere.
    func keep(_ node: NetworkNode) throws(ManagerError) {
        if node.kept.node.role == .host {
            Task.detached { [host] in await host.look(isAnyway: true) }
            return
        }
        guard !node.kept.topology.store.isEmpty else { return end() }
        if follower == nil { follower = Task.detached { [claims] in await claims.follow() } }
        try desk.open { [claims] in await claims.receive($0, from: $1) }
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
        desk.close()
        follower?.cancel()
        follower = nil
    }
}
