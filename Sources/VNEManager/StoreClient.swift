internal import FoundationEssentials
internal import OverlayModel
internal import PolicyModel

/// The network's store, by etcdctl(1) in the network's namespace.
///
/// `/vne/claims/ADDRESS` is the host that has it, `/vne/turns/HOST` the turn of the host's last request that changed
/// something (``ClaimRequest/turn``).
struct StoreClient: Sendable {
    let place: NetworkPlace
    /// URLs of etcd; whichever answers is as good as any other.
    let endpoints: [String]

    static let root = "/vne/"

    /// A key that got a value, or lost it.
    struct Change: Sendable {
        var key: String
        /// nil: the key is gone.
        var value: String?
        /// The store's revision from then on.
        var revision: Int
    }

    /// Reads everything, as most of the managers that keep it agree on it.
    func read() async throws(ManagerError) -> StoreState {
        let answer: Answer = try await ask(["get", "--prefix", Self.root])
        var state = StoreState(revision: answer.header.revision)
        state.apply(try (answer.kvs ?? []).map { entry throws(ManagerError) in try entry.change(isGone: false) })
        return state
    }

    /// Changes keys, all of them or none.
    /// - Parameter revisions: when each of some keys changed last, 0 for one that is not there.
    /// - Returns: what has changed; nil if one of the keys has changed since.
    func commit(
        _ values: [(key: String, value: String?)], if revisions: [(key: String, revision: Int)]
    ) async throws(ManagerError) -> [Change]? {
        let conditions = revisions.map { "mod(\"\($0.key)\") = \"\($0.revision)\"" }
        let changes = values.map { entry in entry.value.map { "put \(entry.key) \($0)" } ?? "del \(entry.key)" }
        // Conditions, what is done if they hold, and what if they do not: each ends with an empty line.
        let text = (conditions + [""] + changes + ["", "", ""]).joined(separator: "\n")
        let answer: Answer = try await ask(["txn"], input: text)
        guard answer.succeeded == true else { return nil }
        return values.map { Change(key: $0.key, value: $0.value, revision: answer.header.revision) }
    }

    /// Says what changes after a revision, each commit at once, for as long as that.
    func watch(
        after revision: Int, patience: Duration, _ heard: @Sendable ([Change]) async throws -> Void
    ) async throws(ManagerError) {
        let arguments = ["watch", "--prefix", Self.root, "--rev", "\(revision + 1)", "--write-out", "json"]
        try await program(arguments).follow(patience: patience) { line in
            let told = try JSONDecoder().decode(Told.self, from: Data(line.utf8))
            guard told.Canceled != true else { return }
            try await heard(
                try (told.Events ?? []).map { event throws(ManagerError) in
                    try event.kv.change(isGone: event.type == 1)
                })
        }
    }

    // MARK: - etcdctl

    // Names of etcd's.
    private struct Entry: Decodable {
        var key: String
        var mod_revision: Int
        var value: String?

        func change(isGone: Bool) throws(ManagerError) -> Change {
            Change(key: try text(key), value: isGone ? nil : try text(value ?? ""), revision: mod_revision)
        }

        private func text(_ base64: String) throws(ManagerError) -> String {
            guard let data = Data(base64Encoded: base64) else {
                throw ManagerError(.failed, "etcdctl says what nobody understands: \(base64.prefix(200))")
            }
            return String(decoding: data, as: UTF8.self)
        }
    }

    private struct Answer: Decodable {
        struct Header: Decodable {
            var revision: Int
        }
        var header: Header
        var kvs: [Entry]?
        var succeeded: Bool?
    }

    private struct Told: Decodable {
        struct Event: Decodable {
            var type: Int?
            var kv: Entry
        }
        var Events: [Event]?
        var Canceled: Bool?
    }

    private func ask(_ arguments: [String], input: String = "") async throws(ManagerError) -> Answer {
        let text = try await program(["--write-out", "json"] + arguments).run(input: input)
        do {
            return try JSONDecoder().decode(Answer.self, from: Data(text.utf8))
        } catch {
            throw ManagerError(.failed, "etcdctl says what nobody understands: \(text.prefix(200))")
        }
    }

    private func program(_ arguments: [String]) -> Program {
        Program(
            EngineProcess.marked(place) + [
                "etcdctl", "--endpoints", endpoints.joined(separator: ","), "--dial-timeout", "1s",
                "--command-timeout", "2s",
            ] + arguments
        ).inside(namespace: place.label)
    }
}

/// What the store has, as far as this node knows.
struct StoreState: Sendable {
    private(set) var claims = Claims()
    /// By the host: its last turn, and the revision at which it was written.
    private(set) var turns: [String: (turn: Int, revision: Int)] = [:]
    /// The store's revision when all of it was read.
    let revision: Int

    private static let claimsRoot = StoreClient.root + "claims/"
    private static let turnsRoot = StoreClient.root + "turns/"

    init(revision: Int) {
        self.revision = revision
    }

    /// Takes changes in; those that are older than what is known already change nothing.
    mutating func apply(_ changes: [StoreClient.Change]) {
        for change in changes {
            if change.key.hasPrefix(Self.claimsRoot) {
                guard let address = IPAddress(String(change.key.dropFirst(Self.claimsRoot.count))),
                    change.revision >= claims.holders[address]?.epoch ?? 0
                else { continue }
                claims.holders[address] = change.value.map { Claims.Claim(host: $0, epoch: change.revision) }
            } else if change.key.hasPrefix(Self.turnsRoot) {
                let host = String(change.key.dropFirst(Self.turnsRoot.count))
                guard let turn = change.value.flatMap({ Int($0) }), change.revision >= turns[host]?.revision ?? 0 else {
                    continue
                }
                turns[host] = (turn, change.revision)
            }
        }
    }

    /// Has a host's claims change as it was found out from this state.
    func commit(
        _ change: ClaimChange, of host: String, turn: Int, by client: StoreClient
    ) async throws(ManagerError) -> [StoreClient.Change]? {
        var values: [(key: String, value: String?)] = [(Self.turnsRoot + host, "\(turn)")]
        var revisions = [(key: Self.turnsRoot + host, revision: turns[host]?.revision ?? 0)]
        for address in change.made {
            values.append(("\(Self.claimsRoot)\(address)", host))
            revisions.append(("\(Self.claimsRoot)\(address)", claims.holders[address]?.epoch ?? 0))
        }
        for address in change.ended {
            values.append(("\(Self.claimsRoot)\(address)", nil))
            revisions.append(("\(Self.claimsRoot)\(address)", claims.holders[address]?.epoch ?? 0))
        }
        return try await client.commit(values, if: revisions)
    }

    /// Has nobody have an address any more.
    func end(_ address: IPAddress, by client: StoreClient) async throws(ManagerError) -> [StoreClient.Change]? {
        let key = "\(Self.claimsRoot)\(address)"
        return try await client.commit([(key, nil)], if: [(key, claims.holders[address]?.epoch ?? 0)])
    }
}
