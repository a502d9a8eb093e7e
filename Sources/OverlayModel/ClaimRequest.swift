/// What a host asks a manager: a line of JSON over TCP, from the end of its tunnel, by which the manager knows who asks.
///
/// It always names all addresses that the host's applications have: whoever was asked before, and whatever became of the
/// answer, the last request says how it has to be.
public struct ClaimRequest: Codable, Hashable, Sendable {
    /// Where a manager is asked: a TCP port at its end of the tunnel.
    public static let port: UInt16 = 7311
    /// The longest request, and the longest answer, in bytes.
    public static let limit = 1 << 20
    /// The most addresses of a request.
    public static let addressLimit = 8000
    /// How far a turn may be ahead of the manager's clock, in milliseconds.
    public static let lead = 24 * 3600 * 1000

    /// Grows from each request of the host to its next, and is about the time in milliseconds since 1970: an older one that
    /// comes late changes nothing.
    public var turn: Int
    /// All that it wants: addresses as text.
    public var addresses: [String]
    /// How long the answer may wait for what somebody else has: milliseconds.
    public var patience: Int
    /// Whether it takes lines that say what is about to become its own (``ClaimAnswer/coming``), and answers each with a
    /// ``Readiness``.
    public var standsBy: Bool?
    /// What of that which it has it is about to hand over, to the host of that name: the answer waits until that one is ready.
    /// Whatever a later request does not offer is no more.
    public var offers: [String: String]?
    /// What it hands over, to whom it was offered to: it is not among the addresses, and the host has stopped to let it through.
    /// All managers are told; the answer says what became of it, and the host has it still where nobody is ready for it any more.
    public var handovers: [String: String]?

    /// A request.
    public init(
        turn: Int, addresses: [String], patience: Int, standsBy: Bool? = nil, offers: [String: String]? = nil,
        handovers: [String: String]? = nil
    ) {
        self.turn = turn
        self.addresses = addresses
        self.patience = patience
        self.standsBy = standsBy
        self.offers = offers
        self.handovers = handovers
    }

    /// What a host says once it is ready to have what is coming to it.
    public struct Readiness: Codable, Hashable, Sendable {
        /// Addresses as text.
        public var ready: [String]

        /// A readiness.
        public init(ready: [String]) {
            self.ready = ready
        }
    }
}

/// What a manager answers to a ``ClaimRequest``: a line of JSON.
public struct ClaimAnswer: Codable, Hashable, Sendable {
    /// The addresses that are the host's.
    public var held: [String]
    /// Why it does not get others, by the address: a sentence's part, as “bank has it”.
    public var refused: [String: String]
    /// Whether something of that is another host's, and may become free: then it is worth asking again.
    public var mayPass: Bool
    /// The turn of a later request that the manager knows of, if there was one: then nothing else is said.
    public var later: Int?
    /// Why nothing could be found out; nil if it could.
    public var failure: String?
    /// What is about to become the host's: then nothing else is said, and a line follows once the host has said that it is ready.
    public var coming: [String]?

    /// An answer.
    public init(
        held: [String] = [], refused: [String: String] = [:], mayPass: Bool = false, later: Int? = nil,
        failure: String? = nil, coming: [String]? = nil
    ) {
        self.held = held
        self.refused = refused
        self.mayPass = mayPass
        self.later = later
        self.failure = failure
        self.coming = coming
    }
}
