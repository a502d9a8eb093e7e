/// Why something was allowed or denied, in the order of `enum vne_reason` in `bpf/include/vne_abi.h`. Raw values are
/// the words of JSON and tables.
public enum Reason: String, CaseIterable, Hashable, Sendable {
    case permittedUse = "permitted-use"
    case ownEnvironment = "own-environment"
    case permit = "permit"
    case answer = "answer"
    case host = "host"
    case remote = "remote"
    case linkLocal = "link-local"
    case shared = "shared"
    case ownLoopback = "own-loopback"
    case group = "group"

    case unconfigured = "unconfigured"
    case foreignNamespace = "foreign-namespace"
    case `protocol` = "protocol"
    case foreignAddress = "foreign-address"
    case source = "source"
    case notAddressed = "not-addressed"
    case noFamily = "no-family"
    case malformed = "malformed"
    case forged = "forged"
    case loopback = "loopback"

    case membership = "membership"
    case administration = "administration"

    case otherEnvironment = "other-environment"
    case unassigned = "unassigned"
    case hostDenied = "host-denied"
    case remoteDenied = "remote-denied"
    case linkLocalDenied = "link-local-denied"
    case multicast = "multicast"
    case broadcast = "broadcast"
    case unix = "unix"

    /// Whether it allows.
    public var allows: Bool {
        switch self {
        case .permittedUse, .ownEnvironment, .permit, .answer, .host, .remote, .linkLocal, .shared, .ownLoopback,
            .group:
            true
        default: false
        }
    }

    /// Whether audit mode lifts it: a denial of reachability.
    public var isReachability: Bool {
        switch self {
        case .otherEnvironment, .unassigned, .hostDenied, .remoteDenied, .linkLocalDenied, .multicast, .broadcast,
            .unix:
            true
        default: false
        }
    }
}

/// The decision about one attempt, and what it rests on.
public struct Verdict: Hashable, Sendable {
    /// Whether the call succeeds or the packet is queued.
    public var allowed: Bool
    /// The reason as the rules have it, also where audit mode lets a denial through.
    public var reason: Reason
    /// The line of the policy file that decided; nil where a default or a rule of the isolator did.
    public var line: Int?

    /// Whether audit mode turned a denial into this verdict.
    public var audited: Bool { allowed && !reason.allows }

    /// A verdict from its parts.
    public init(allowed: Bool, reason: Reason, line: Int? = nil) {
        self.allowed = allowed
        self.reason = reason
        self.line = line
    }
}

/// An application as the decision sees it.
public struct Subject: Hashable, Sendable {
    /// Its environment's name.
    public var environment: String
    /// Its application addresses.
    public var addresses: ApplicationAddresses
    /// Its own loopback.
    public var loopback: PrivateLoopback

    /// A subject from its parts.
    public init(environment: String, addresses: ApplicationAddresses, loopback: PrivateLoopback) {
        self.environment = environment
        self.addresses = addresses
        self.loopback = loopback
    }
}

/// What the decision needs to know of the host.
public struct HostView: Hashable, Sendable {
    /// Unicast addresses of the host's interfaces, of both families; loopback, IPv6 link-local, application addresses
    /// and private loopbacks excepted.
    public var addresses: Set<IPAddress>
    /// Directed broadcast addresses of its IPv4 networks.
    public var broadcasts: Set<IPAddress>
    /// Loopback services that the host shares: the resolvers of `/etc/resolv.conf` that are on loopback, port 53. Those
    /// of ``Policy/loopbackShared`` come on top.
    public var sharedServices: [SharedService]
    /// Index of each interface that `addressSpaceInterfaces` names and that exists.
    public var interfaces: [String: UInt32]

    /// A view from its parts.
    public init(
        addresses: Set<IPAddress> = [], broadcasts: Set<IPAddress> = [], sharedServices: [SharedService] = [],
        interfaces: [String: UInt32] = [:]
    ) {
        self.addresses = addresses
        self.broadcasts = broadcasts
        self.sharedServices = sharedServices
        self.interfaces = interfaces
    }
}

/// A service on a loopback address that every application may use, over TCP and UDP.
public struct SharedService: Hashable, Sendable {
    /// In 127.0.0.0/8, or ::1.
    public var address: IPAddress
    /// The port.
    public var port: UInt16

    /// A service from its address and port.
    public init(address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }
}

/// An outgoing attempt: a connect, a send, or a packet at egress.
public struct Outgoing: Hashable, Sendable {
    /// What the socket speaks.
    public var transport: TransportProtocol
    /// The peer's address.
    public var destination: IPAddress
    /// 0 for ping.
    public var port: UInt16
    /// The packet's source; nil for a call, whose source the isolator chooses.
    public var source: IPAddress?
    /// For calls to loopback: whether a socket of the application's own takes it there.
    public var loopbackListens: Bool
    /// Whether the application's flow table holds a live flow that this peer began (UDP, ping), or, at egress, whether
    /// the TCP segment is no bare SYN.
    public var answersFlow: Bool
    /// The application's own port, for answers over TCP at egress.
    public var localPort: UInt16

    /// An attempt from its parts.
    public init(
        _ transport: TransportProtocol, to destination: IPAddress, port: UInt16, source: IPAddress? = nil,
        loopbackListens: Bool = true, answersFlow: Bool = false, localPort: UInt16 = 0
    ) {
        self.transport = transport
        self.destination = destination
        self.port = port
        self.source = source
        self.loopbackListens = loopbackListens
        self.answersFlow = answersFlow
        self.localPort = localPort
    }
}

/// An incoming packet to a socket of the application.
public struct Incoming: Hashable, Sendable {
    /// Where a packet came in.
    public enum Arrival: Hashable, Sendable {
        /// From this host, over loopback.
        case thisHost
        /// On an interface with this index.
        case interface(UInt32)
    }
    /// What the packet carries.
    public var transport: TransportProtocol
    /// The source that the packet claims.
    public var source: IPAddress
    /// 0 for ping.
    public var sourcePort: UInt16
    /// The packet's destination.
    public var destination: IPAddress
    /// 0 for ping.
    public var destinationPort: UInt16
    /// Where it came in.
    public var arrival: Arrival
    /// TCP: a bare SYN. UDP and ping: always true.
    public var opensFlow: Bool
    /// UDP and ping: whether the flow was let out (a live flow entry, or a socket connected to the source).
    public var answersFlow: Bool
    /// Whose a socket that sent a packet is.
    public enum Sender: CaseIterable, Hashable, Sendable {
        /// The application's that has the packet's source.
        case owner
        /// Another one's, though it is bound to just that address.
        case other
        /// None is found, or one that only shares the port.
        case unknown
    }
    /// For a source in the address space or of the own loopback that arrives from this host. Only looked at in handshakes
    /// (SYN, SYN-ACK) and datagrams.
    public var sender: Sender
    /// TCP: a SYN-ACK.
    public var acceptsFlow: Bool

    /// A packet from its parts.
    public init(
        _ transport: TransportProtocol, from source: IPAddress, port sourcePort: UInt16,
        to destination: IPAddress, port destinationPort: UInt16, arrival: Arrival, opensFlow: Bool = true,
        answersFlow: Bool = false, sender: Sender = .owner, acceptsFlow: Bool = false
    ) {
        self.transport = transport
        self.source = source
        self.sourcePort = sourcePort
        self.destination = destination
        self.destinationPort = destinationPort
        self.arrival = arrival
        self.opensFlow = opensFlow
        self.answersFlow = answersFlow
        self.sender = sender
        self.acceptsFlow = acceptsFlow
    }
}

/// An attempt that ``Policy/verdict(_:by:on:)`` judges.
public enum Attempt: Hashable, Sendable {
    case outgoing(Outgoing)
    case incoming(Incoming)
    /// Binding to a local address and port.
    case bind(TransportProtocol, IPAddress)
    /// Making an IPv4 or IPv6 socket of this protocol.
    case create(TransportProtocol)
}
