/// A denial as ``Suggestions`` learn from it: what the kernel recorded, with the application's name.
public struct RecordedDenial: Hashable, Sendable {
    /// The application's name.
    public var application: String
    /// Its environment's name, where that is known: a denial that names no address does not tell.
    public var environment: String?
    /// The hook that denied.
    public var hook: Hook
    /// Why.
    public var reason: Reason
    /// Audit mode let it through.
    public var audited: Bool
    /// Nil for a protocol that no policy names.
    public var transport: TransportProtocol?
    /// The application's address of the peer's family; nil where it has none.
    public var local: IPAddress?
    /// 0 where the socket had none yet.
    public var localPort: UInt16
    /// The peer; nil where there is none.
    public var remote: IPAddress?
    /// 0 where there is none.
    public var remotePort: UInt16

    /// A denial from its parts.
    public init(
        application: String, environment: String? = nil, hook: Hook, reason: Reason, audited: Bool,
        transport: TransportProtocol?, local: IPAddress?, localPort: UInt16, remote: IPAddress?, remotePort: UInt16
    ) {
        self.application = application
        self.environment = environment
        self.hook = hook
        self.reason = reason
        self.audited = audited
        self.transport = transport
        self.local = local
        self.localPort = localPort
        self.remote = remote
        self.remotePort = remotePort
    }

    /// The ports that Linux gives to sockets that ask for none (`ip_local_port_range`), unless it is told otherwise.
    public static let ephemeralPorts: ClosedRange<UInt16> = 32768...60999

    /// The same without a port that says no more than that a client got it, so that a client's many attempts are one.
    var withoutClientPort: Self {
        var denial = self
        if transport == .ping {
            // An echo identifier, which is the socket's.
            (denial.localPort, denial.remotePort) = (0, 0)
        } else if hook == .connect {
            denial.localPort = 0
        } else {
            switch (Self.ephemeralPorts.contains(localPort), Self.ephemeralPorts.contains(remotePort)) {
            case (true, false) where remotePort != 0: denial.localPort = 0
            case (false, true) where localPort != 0: denial.remotePort = 0
            default: break
            }
        }
        return denial
    }
}

/// Recorded denials, each distinct one once. It grows with the services that are called, not with the calls.
public struct DenialTally: Sendable {
    /// In the order in which they came first.
    private(set) var denials: [RecordedDenial] = []
    /// How often, by denial.
    private var counts: [RecordedDenial: Int] = [:]

    /// Without any.
    public init() {}

    /// Adds what was recorded, in the order of the records.
    public mutating func add(_ denial: RecordedDenial) {
        let denial = denial.withoutClientPort
        if counts[denial] == nil { denials.append(denial) }
        counts[denial, default: 0] += 1
    }

    /// How often a denial of ``denials`` came.
    func count(of denial: RecordedDenial) -> Int { counts[denial, default: 0] }
}
