/// What a node asks a manager about the network's roster: a line of JSON over TCP, from its end of a tunnel, by which the manager
/// knows who asks.
public struct RosterRequest: Codable, Hashable, Sendable {
    /// Where a manager is asked: a TCP port at its end of the tunnel.
    public static let port: UInt16 = 7312
    /// The longest request, in bytes.
    public static let limit = 1 << 16
    /// The longest answer, in bytes: a roster and a keyset, as JSON has them.
    public static let answerLimit = 48 << 20

    /// What it has: only a newer one is answered.
    public var held: RosterVersion
    /// Of a manager, the revision of the keyset that it has; only a newer one is answered.
    public var keyset: UInt64?
    /// The key that it wants to have from now on, in place of the one that the tunnel proved: a public key of WireGuard.
    public var key: String?
    /// Of a manager that passes a host's request on, the host.
    public var behalf: String?

    /// A request.
    public init(held: RosterVersion, keyset: UInt64? = nil, key: String? = nil, behalf: String? = nil) {
        self.held = held
        self.keyset = keyset
        self.key = key
        self.behalf = behalf
    }
}

/// What a manager answers to a ``RosterRequest``: a line of JSON.
public struct RosterAnswer: Codable, Hashable, Sendable {
    /// A roster that is newer than the one that is held; nil if there is none.
    public var roster: String?
    /// A sealed keyset that is newer; nil if there is none, or it is none of the asker's business.
    public var keyset: String?
    /// Why nothing was done; nil if it was.
    public var failure: String?

    /// An answer.
    public init(roster: String? = nil, keyset: String? = nil, failure: String? = nil) {
        self.roster = roster
        self.keyset = keyset
        self.failure = failure
    }
}
