internal import FoundationEssentials
internal import OverlayModel
internal import PolicyModel
internal import VNEHost

/// A host's conversation with a manager about claims: lines of JSON, one at a time.
struct ClaimConversation: Sendable {
    private let socket: LineSocket
    private let manager: IPAddress

    private static let connecting = Duration.milliseconds(500)
    /// How long an answer may take: longer than a manager waits with it.
    private static let answering = Duration.seconds(20)

    /// Begins one with the manager at that end of a tunnel.
    init(with manager: IPAddress, in namespace: String) async throws(ManagerError) {
        self.manager = manager
        socket = try await waiting { () throws(HostError) in
            try LineSocket.connected(to: manager, ClaimRequest.port, in: namespace, patience: Self.connecting)
        }
    }

    /// Says something, and waits for the answer.
    func ask(_ line: some Encodable) async throws(ManagerError) -> ClaimAnswer {
        let text = try Self.text(line)
        try await waiting { () throws(HostError) in try say(text) }
        return try await answer()
    }

    /// What is said, as text.
    static func text(_ line: some Encodable) throws(ManagerError) -> String {
        guard let data = try? JSONEncoder().encode(line) else {
            throw ManagerError(.failed, "no JSON says what managers are to be asked")
        }
        return String(decoding: data, as: UTF8.self)
    }

    /// Says something. Call it where waiting is allowed.
    func say(_ text: String) throws(HostError) { try socket.write(text, patience: Self.connecting) }

    /// Waits for the answer to what was said.
    func answer() async throws(ManagerError) -> ClaimAnswer {
        let answer = try await waiting { [socket] () throws(HostError) in
            try socket.readLine(limit: ClaimRequest.limit, patience: Self.answering)
        }
        guard let answer, let read = try? JSONDecoder().decode(ClaimAnswer.self, from: Data(answer.utf8)) else {
            throw ManagerError(.failed, "the manager at \(manager) ended the connection")
        }
        return read
    }
}

/// The turns of a host's requests, whichever of its processes makes them: a file. Whose answer comes after another one has
/// asked something later is not believed. Take and look at one while nobody else changes the node
/// (``NetworkPlace/changing(_:)``).
enum ClaimTurn {
    /// The last one; 0 if there was none.
    static func last(_ place: NetworkPlace) throws(ManagerError) -> Int {
        Int((try NodeFiles.text(place.turn) ?? "").prefix { $0 != "\n" }) ?? 0
    }

    /// The next one, which is the last from then on.
    /// - Parameter known: one that somebody knows of, and that it comes after.
    static func next(_ place: NetworkPlace, after known: Int) throws(ManagerError) -> Int {
        let turn = max(max(try last(place), known) + 1, Int(Date().timeIntervalSince1970 * 1000))
        try NodeFiles.write("\(turn)\n", to: place.turn)
        return turn
    }
}
