internal import FoundationEssentials

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
            [
                "etcdctl", "--endpoints", endpoints.joined(separator: ","), "--dial-timeout", "1s",
                "--command-timeout", "2s",
            ] + arguments
        ).inside(namespace: place.label).marked(place)
    }
}
