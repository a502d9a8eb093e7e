internal import FoundationEssentials
internal import PolicyModel
internal import VNEHost

/// The network's store: requests by etcd's own interface for HTTP, in the network's namespace, and what it tells of changes by
/// etcdctl(1), which goes on.
///
/// `/vne/claims/ADDRESS` is the host that has it, `/vne/turns/HOST` the turn of the host's last request that changed
/// something (``ClaimRequest/turn``), `/vne/moves/ADDRESS` a handover (``StoreState/Move``).
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
    func read() async throws(ManagerError) -> StoreState { try await readAtOne().state }

    /// The same, and who answered: who agrees with the others hears of their changes, too.
    func readAtOne() async throws(ManagerError) -> (state: StoreState, endpoint: String) {
        // All keys that begin with the root: those before the next text of that length.
        let all = Range(key: Self.encoded(Self.root), range_end: Self.encoded("/vne0"))
        let (answer, endpoint) = try await ask("/v3/kv/range", all)
        let entries = try (answer.kvs ?? []).map { entry throws(ManagerError) in try entry.change() }
        return (StoreState(revision: try answer.header.number(), entries), endpoint)
    }

    /// Changes keys, all of them or none.
    /// - Parameter revisions: when each of some keys changed last, 0 for one that is not there.
    /// - Returns: what has changed; nil if one of the keys has changed since.
    func commit(
        _ values: [(key: String, value: String?)], if revisions: [(key: String, revision: Int)]
    ) async throws(ManagerError) -> [Change]? {
        let compared = revisions.map { Transaction.Comparison(key: Self.encoded($0.key), mod_revision: $0.revision) }
        let changes = values.map { entry in
            let key = Self.encoded(entry.key)
            return entry.value.map { Transaction.Operation(request_put: .init(key: key, value: Self.encoded($0))) }
                ?? Transaction.Operation(request_delete_range: .init(key: key))
        }
        let (answer, _) = try await ask("/v3/kv/txn", Transaction(compare: compared, success: changes))
        guard answer.succeeded == true else { return nil }
        let revision = try answer.header.number()
        return values.map { Change(key: $0.key, value: $0.value, revision: revision) }
    }

    /// Says what changes after a revision, as one of the store's managers hears of it, each commit at once, for as long as that.
    func watch(
        after revision: Int, at endpoint: String, patience: Duration, _ heard: @Sendable ([Change]) async throws -> Void
    ) async throws(ManagerError) {
        let arguments = ["watch", "--prefix", Self.root, "--rev", "\(revision + 1)", "--write-out", "json"]
        try await program(arguments, at: endpoint).follow(patience: patience) { line in
            let told = try JSONDecoder().decode(Told.self, from: Data(line.utf8))
            guard told.Canceled != true else { return }
            try await heard(try (told.Events ?? []).map { event throws(ManagerError) in try event.change() })
        }
    }

    // MARK: - Requests, in etcd's names

    private struct Range: Encodable {
        var key: String
        var range_end: String
    }

    private struct Transaction: Encodable {
        struct Comparison: Encodable {
            var key: String
            var mod_revision: Int
            var target = "MOD"
            var result = "EQUAL"
        }
        struct Put: Encodable {
            var key: String
            var value: String
        }
        struct Removal: Encodable {
            var key: String
        }
        struct Operation: Encodable {
            var request_put: Put?
            var request_delete_range: Removal?
        }
        var compare: [Comparison]
        var success: [Operation]
    }

    private struct Answer: Decodable {
        struct Header: Decodable {
            var revision: String

            func number() throws(ManagerError) -> Int { try StoreClient.number(revision) }
        }
        struct Entry: Decodable {
            var key: String
            var mod_revision: String
            var value: String?

            func change() throws(ManagerError) -> Change {
                Change(
                    key: try text(key), value: try text(value ?? ""), revision: try StoreClient.number(mod_revision))
            }
        }
        var header: Header
        var kvs: [Entry]?
        /// Left out where it is not so.
        var succeeded: Bool?
    }

    private static func encoded(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

    private static func text(_ base64: String) throws(ManagerError) -> String {
        guard let data = Data(base64Encoded: base64) else { throw notUnderstood(base64) }
        return String(decoding: data, as: UTF8.self)
    }

    private static func number(_ text: String) throws(ManagerError) -> Int {
        guard let number = Int(text) else { throw notUnderstood(text) }
        return number
    }

    private static func notUnderstood(_ text: String) -> ManagerError {
        ManagerError(.failed, "etcd says what nobody understands: \(text.prefix(200))")
    }

    /// How long one of the store's managers may take to answer.
    private static let patience = Duration.seconds(2)
    private static let connecting = Duration.seconds(1)
    /// Bytes: some more than all that etcd takes in a request.
    private static let limit = 1 << 26

    /// Asks whoever answers first, in their order.
    private func ask(_ path: String, _ request: some Encodable) async throws(ManagerError) -> (
        answer: Answer, endpoint: String
    ) {
        guard let data = try? JSONEncoder().encode(request) else {
            throw ManagerError(.failed, "the store cannot be asked: no JSON says it")
        }
        let body = String(decoding: data, as: UTF8.self)
        var failures: [String] = []
        for endpoint in endpoints {
            do throws(ManagerError) {
                return (try await ask(endpoint, path, body), endpoint)
            } catch {
                failures.append(error.description)
            }
        }
        throw ManagerError(.failed, "the store does not answer: \(failures.joined(separator: "; "))")
    }

    private func ask(_ endpoint: String, _ path: String, _ body: String) async throws(ManagerError) -> Answer {
        let parts = endpoint.drop { $0 != "/" }.dropFirst(2).split(separator: ":")
        guard parts.count == 2, let address = IPAddress(String(parts[0])), let port = UInt16(parts[1]) else {
            throw ManagerError(.invalid, "\(endpoint) is no place of a store")
        }
        // With its version 1.0 of HTTP, what it says ends with the connection. The line's own end is a part of the body.
        let head = "POST \(path) HTTP/1.0\r\nContent-Length: \(body.utf8.count + 1)\r\n\r\n"
        let namespace = place.namespace
        let text = try await waiting { () throws(HostError) in
            let socket = try LineSocket.connected(to: address, port, in: namespace, patience: Self.connecting)
            try socket.write(head + body, patience: Self.patience)
            return try socket.readAll(limit: Self.limit, patience: Self.patience)
        }
        guard let text, let end = text.firstRange(of: "\r\n\r\n") else {
            throw ManagerError(.failed, "\(endpoint) ended the connection")
        }
        let answer = String(text[end.upperBound...])
        guard text.split(separator: " ", maxSplits: 2).dropFirst().first == "200" else {
            throw ManagerError(.failed, "\(endpoint) refuses: \(answer.prefix(200))")
        }
        do {
            return try JSONDecoder().decode(Answer.self, from: Data(answer.utf8))
        } catch {
            throw Self.notUnderstood(answer)
        }
    }

    // MARK: - etcdctl

    private struct Told: Decodable {
        struct Event: Decodable {
            struct Entry: Decodable {
                var key: String
                var mod_revision: Int
                var value: String?
            }
            var type: Int?
            var kv: Entry

            func change() throws(ManagerError) -> Change {
                Change(
                    key: try text(kv.key), value: type == 1 ? nil : try text(kv.value ?? ""),
                    revision: kv.mod_revision)
            }
        }
        var Events: [Event]?
        var Canceled: Bool?
    }

    private func program(_ arguments: [String], at endpoint: String) -> Program {
        Program(
            [
                "etcdctl", "--endpoints", endpoint, "--dial-timeout", "1s",
                "--command-timeout", "2s",
            ] + arguments
        ).inside(namespace: place.label).marked(place)
    }
}
