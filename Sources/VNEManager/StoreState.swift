internal import OverlayModel
internal import PolicyModel

/// What the store has, as far as this node knows: it may be behind, and whatever follows from it is committed only if it was
/// not.
struct StoreState: Sendable {
    private(set) var claims = Claims()
    /// By the host: its last turn, and the revision at which it was written.
    private(set) var turns: [String: (turn: Int, revision: Int)] = [:]
    /// Handovers that are prepared, or were made this moment, by the address.
    private(set) var moves: [IPAddress: Move] = [:]
    /// The store's revision when all of it was read.
    let revision: Int
    /// When the claim of an address changed last, also if there is none any more.
    private var changed: [IPAddress: Int] = [:]
    /// The same of handovers.
    private var movedAt: [IPAddress: Int] = [:]

    /// A handover of an address.
    struct Move: Hashable {
        /// How far it came.
        enum Stage: String {
            /// Its owner offers it to the host.
            case offered
            /// The host waits for it.
            case ready
            /// The host had it, and handed it over.
            case left
        }
        /// The host that is not the owner.
        var host: String
        var stage: Stage
        /// When this was written.
        var revision: Int

        var text: String { "\(host) \(stage.rawValue)" }
    }

    private static let claimsRoot = StoreClient.root + "claims/"
    private static let turnsRoot = StoreClient.root + "turns/"
    private static let movesRoot = StoreClient.root + "moves/"

    /// All that the store had at a revision.
    init(revision: Int, _ entries: [StoreClient.Change]) {
        self.revision = revision
        take(entries)
    }

    /// Takes changes in; those that are older than what is known already change nothing. What is not there any more has no
    /// revision that a change would be older than: nothing is taken in from before all was read.
    /// - Returns: whether a claim or a handover is another one now.
    @discardableResult mutating func apply(_ changes: [StoreClient.Change]) -> Bool {
        take(changes.filter { $0.revision > revision })
    }

    @discardableResult private mutating func take(_ changes: [StoreClient.Change]) -> Bool {
        var isOther = false
        defer {
            for address in claims.holders.keys { claims.holders[address]?.alternate = moves[address]?.host }
        }
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
            } else if change.key.hasPrefix(Self.movesRoot) {
                guard let address = IPAddress(String(change.key.dropFirst(Self.movesRoot.count))),
                    change.revision > movedAt[address] ?? 0
                else { continue }
                movedAt[address] = change.revision
                moves[address] = change.value.flatMap { Move($0, change.revision) }
                isOther = true
            }
        }
        return isOther
    }

    /// The same with changes that may have been committed since it was read.
    func followed(by changes: [StoreClient.Change]) -> StoreState {
        var later = self
        later.apply(changes)
        return later
    }

    /// Whether a host has an address for sure, if its last turn is what this state knows of: the claim was made in that turn or
    /// after it, and only a later turn of the host ends it. An older claim may be gone already, as this state may be behind in
    /// one and not in the other.
    func isCertain(_ address: IPAddress, of host: String) -> Bool {
        guard let claim = claims.holders[address], claim.host == host, let last = turns[host] else { return false }
        return claim.epoch >= last.revision
    }

    /// Has a host's claims change as it was found out from this state, and its turn be that of the request; what it has
    /// already has to be so. What it offers, and nothing else, is offered from then on.
    /// - Returns: what has changed; nil if this state was behind.
    func commit(
        _ change: ClaimChange, of host: String, turn: Int, offers: [IPAddress: String] = [:], by client: StoreClient
    ) async throws(ManagerError) -> [StoreClient.Change]? {
        let touched = change.held + change.made + change.ended
        let conditions = touched.map { (Self.key($0), claims.holders[$0]?.epoch ?? 0) }
        let values: [(String, String?)] =
            change.made.map { (Self.key($0), host) } + change.ended.map { (Self.key($0), change.passed[$0]) }
        let moves = self.moves(after: change, of: host, offers: offers)
        // A handover that is not known here may be one by which somebody has the address already.
        let handovers = Set(moves.keys).union(change.made).union(offers.keys)
        return try await client.commit(
            [(Self.turnsRoot + host, "\(turn)")] + values + moves.map { (Self.movesRoot + "\($0.key)", $0.value) },
            if: [(Self.turnsRoot + host, turns[host]?.revision ?? 0)] + conditions
                + handovers.map { (Self.movesRoot + "\($0)", self.moves[$0]?.revision ?? 0) })
    }

    /// What becomes of handovers: none if they stay as they are.
    private func moves(after change: ClaimChange, of host: String, offers: [IPAddress: String]) -> [IPAddress: String?]
    {
        var wanted: [IPAddress: String?] = [:]
        for address in change.held { wanted[address] = .some(offers[address].map { "\($0) offered" }) }
        for address in change.made + change.ended { wanted[address] = .some(nil) }
        // Ways that others heard of before lead on until the new owner's have come to all.
        for address in change.passed.keys { wanted[address] = .some("\(host) left") }
        for (address, move) in moves where move.host == host && wanted[address] == nil {
            if change.refused[address] == nil { wanted[address] = .some(nil) }
        }
        return wanted.filter { address, text in
            guard let move = moves[address] else { return text != nil }
            // Who is ready is still who it is offered to.
            return text != move.text && !(move.stage == .ready && text == "\(move.host) offered")
        }
    }

    /// Has everybody know that a host is ready for what is coming to it, if it asked for nothing since.
    func ready(
        _ addresses: [IPAddress], of host: String, by client: StoreClient
    ) async throws(ManagerError) -> [StoreClient.Change]? {
        let coming = addresses.compactMap { address in moves[address].map { (address, $0) } }
        return try await client.commit(
            coming.map { (Self.movesRoot + "\($0)", "\($1.host) ready") },
            if: coming.map { (Self.movesRoot + "\($0)", $1.revision) }
                + [(Self.turnsRoot + host, turns[host]?.revision ?? 0)])
    }

    /// What of a host's handovers stays its own: nobody is ready for it, so nobody was told that he has it, or he gave it up since.
    func staying(_ handovers: [IPAddress: String], of host: String) -> Set<IPAddress> {
        Set(
            handovers.filter { address, name in
                guard claims.holders[address]?.host == host else { return false }
                return moves[address].map { $0.host != name || $0.stage != .ready } ?? true
            }.keys)
    }

    /// Takes from a change what somebody else may have been handed already, whatever became of its owner's right to it.
    func keepForOthers(_ change: inout ClaimChange, of host: Node, in topology: Topology) {
        for address in change.made {
            guard let move = moves[address], move.stage == .ready, move.host != host.name,
                topology.node(named: move.host)?.mayClaim(address) == true
            else { continue }
            change.made.removeAll { $0 == address }
            change.refused[address] = .held(move.host)
        }
    }

    /// Has nothing of that be offered any more by a host, if it is still as it is known here, and the host asked for nothing since.
    func withdraw(
        _ addresses: [IPAddress], of host: String, by client: StoreClient
    ) async throws(ManagerError) -> [StoreClient.Change]? {
        let keys = addresses.compactMap { address in moves[address].map { (Self.movesRoot + "\(address)", $0.revision) }
        }
        guard !keys.isEmpty else { return nil }
        return try await client.commit(
            keys.map { ($0.0, nil) }, if: keys + [(Self.turnsRoot + host, turns[host]?.revision ?? 0)])
    }

    /// Takes an address away from whoever has it. Who was ready for it may have been told already that it is his, and has it from
    /// then on; else nobody has it.
    /// - Returns: what has changed; nil if this state was behind.
    func end(_ address: IPAddress, by client: StoreClient) async throws(ManagerError) -> [StoreClient.Change]? {
        let (claim, move) = (Self.key(address), Self.movesRoot + "\(address)")
        let known = [(claim, claims.holders[address]?.epoch ?? 0), (move, moves[address]?.revision ?? 0)]
        return try await client.commit([(claim, heir(of: address)), (move, nil)], if: known)
    }

    /// Who has an address once it is taken away from its owner; nil if nobody has it.
    func heir(of address: IPAddress) -> String? {
        moves[address].flatMap { $0.stage == .ready ? $0.host : nil }
    }

    private static func key(_ address: IPAddress) -> String { "\(claimsRoot)\(address)" }
}

extension StoreState.Move {
    /// From its text; nil if that is none.
    init?(_ text: String, _ revision: Int) {
        let words = text.split(separator: " ").map(String.init)
        guard words.count == 2, let stage = Stage(rawValue: words[1]) else { return nil }
        self.init(host: words[0], stage: stage, revision: revision)
    }
}
