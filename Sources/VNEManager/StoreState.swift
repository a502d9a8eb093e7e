internal import OverlayModel
internal import PolicyModel

/// What the store has, as far as this node knows: it may be behind, and whatever follows from it is committed only if it was
/// not.
struct StoreState: Sendable {
    private(set) var claims = Claims()
    /// By the host: its last turn, and the revision at which it was written.
    private(set) var turns: [String: (turn: Int, revision: Int)] = [:]
    /// The store's revision when all of it was read.
    let revision: Int
    /// When the claim of an address changed last, also if there is none any more.
    private var changed: [IPAddress: Int] = [:]

    private static let claimsRoot = StoreClient.root + "claims/"
    private static let turnsRoot = StoreClient.root + "turns/"

    init(revision: Int) {
        self.revision = revision
    }

    /// Takes changes in; those that are older than what is known already change nothing.
    /// - Returns: whether a claim is another one now.
    @discardableResult mutating func apply(_ changes: [StoreClient.Change]) -> Bool {
        var isOther = false
        for change in changes {
            if change.key.hasPrefix(Self.claimsRoot) {
                guard let address = IPAddress(String(change.key.dropFirst(Self.claimsRoot.count))),
                    change.revision > changed[address] ?? 0
                else { continue }
                changed[address] = change.revision
                claims.holders[address] = change.value.map { Claims.Claim(host: $0, epoch: change.revision) }
                isOther = true
            } else if change.key.hasPrefix(Self.turnsRoot) {
                let host = String(change.key.dropFirst(Self.turnsRoot.count))
                guard let turn = change.value.flatMap({ Int($0) }), change.revision > turns[host]?.revision ?? 0 else {
                    continue
                }
                turns[host] = (turn, change.revision)
            }
        }
        return isOther
    }

    /// Has a host's claims change as it was found out from this state, and its turn be that of the request; what it has
    /// already has to be so.
    /// - Returns: what has changed; nil if this state was behind.
    func commit(
        _ change: ClaimChange, of host: String, turn: Int, by client: StoreClient
    ) async throws(ManagerError) -> [StoreClient.Change]? {
        let touched = change.held + change.made + change.ended
        let conditions = touched.map { (Self.key($0), claims.holders[$0]?.epoch ?? 0) }
        let values: [(String, String?)] =
            change.made.map { (Self.key($0), host) } + change.ended.map { (Self.key($0), nil) }
        return try await client.commit(
            [(Self.turnsRoot + host, "\(turn)")] + values,
            if: [(Self.turnsRoot + host, turns[host]?.revision ?? 0)] + conditions)
    }

    /// Has nobody have an address any more.
    func end(_ address: IPAddress, by client: StoreClient) async throws(ManagerError) -> [StoreClient.Change]? {
        let key = Self.key(address)
        return try await client.commit([(key, nil)], if: [(key, claims.holders[address]?.epoch ?? 0)])
    }

    private static func key(_ address: IPAddress) -> String { "\(claimsRoot)\(address)" }
}
