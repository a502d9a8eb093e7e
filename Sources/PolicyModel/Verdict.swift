/// Why something was allowed or denied. Raw values are those of `enum vne_reason` in `bpf/include/vne_abi.h`.
public enum Reason: UInt32, CaseIterable, Hashable, Sendable {
    case permittedUse = 0
    case ownEnvironment = 1
    case permit = 2
    case answer = 3
    case host = 4
    case remote = 5
    case linkLocal = 6
    case resolver = 7

    case unconfigured = 8
    case foreignNamespace = 9
    case `protocol` = 10
    case foreignAddress = 11
    case source = 12
    case notAddressed = 13
    case noIPv6 = 14
    case malformed = 15
    case forged = 16
    case loopback = 17

    case otherEnvironment = 18
    case unassigned = 19
    case hostDenied = 20
    case remoteDenied = 21
    case linkLocalDenied = 22
    case multicast = 23
    case broadcast = 24

    /// Whether it allows.
    public var allows: Bool { rawValue < 8 }
    /// Whether audit mode lifts it: a denial of reachability.
    public var isReachability: Bool { rawValue >= 18 }
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
    /// Its application address.
    public var address: IPv4Address

    /// A subject from its parts.
    public init(environment: String, address: IPv4Address) {
        self.environment = environment
        self.address = address
    }
}

/// What the decision needs to know of the host.
public struct HostView: Hashable, Sendable {
    /// Unicast addresses of the host's interfaces, application addresses and loopback excepted.
    public var addresses: Set<IPv4Address>
    /// Directed broadcast addresses of its networks.
    public var broadcasts: Set<IPv4Address>
    /// Loopback services that stay shared: the resolvers of `/etc/resolv.conf` that are on loopback, port 53.
    public var sharedServices: [SharedService]
    /// Index of each interface that `addressSpaceInterfaces` names and that exists.
    public var interfaces: [String: UInt32]

    /// A view from its parts.
    public init(
        addresses: Set<IPv4Address> = [], broadcasts: Set<IPv4Address> = [], sharedServices: [SharedService] = [],
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
    /// In 127.0.0.0/8.
    public var address: IPv4Address
    /// The port.
    public var port: UInt16

    /// A service from its address and port.
    public init(address: IPv4Address, port: UInt16) {
        self.address = address
        self.port = port
    }
}

/// An outgoing attempt: a connect, a send, or a packet at egress.
public struct Outgoing: Hashable, Sendable {
    /// What the socket speaks.
    public var transport: TransportProtocol
    /// The peer's address.
    public var destination: IPv4Address
    /// 0 for ping.
    public var port: UInt16
    /// Whether the application's flow table holds a live flow that this peer began (UDP, ping), or, at egress, whether
    /// the TCP segment is no bare SYN.
    public var answersFlow: Bool
    /// The application's own port, for answers over TCP at egress.
    public var localPort: UInt16

    /// An attempt from its parts.
    public init(
        _ transport: TransportProtocol, to destination: IPv4Address, port: UInt16, answersFlow: Bool = false,
        localPort: UInt16 = 0
    ) {
        self.transport = transport
        self.destination = destination
        self.port = port
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
    public var source: IPv4Address
    /// 0 for ping.
    public var sourcePort: UInt16
    /// The packet's destination.
    public var destination: IPv4Address
    /// 0 for ping.
    public var destinationPort: UInt16
    /// Where it came in.
    public var arrival: Arrival
    /// TCP: a bare SYN. UDP and ping: always true.
    public var opensFlow: Bool
    /// UDP and ping: whether the flow was let out (a live flow entry, or a socket connected to the source).
    public var answersFlow: Bool
    /// For a source in the address space that arrives from this host: whether the sending socket belongs to the
    /// application that has this address. Only looked at in handshakes (SYN, SYN-ACK) and datagrams.
    public var senderOwnsSource: Bool
    /// TCP: a SYN-ACK.
    public var acceptsFlow: Bool

    /// A packet from its parts.
    public init(
        _ transport: TransportProtocol, from source: IPv4Address, port sourcePort: UInt16,
        to destination: IPv4Address, port destinationPort: UInt16, arrival: Arrival, opensFlow: Bool = true,
        answersFlow: Bool = false, senderOwnsSource: Bool = true, acceptsFlow: Bool = false
    ) {
        self.transport = transport
        self.source = source
        self.sourcePort = sourcePort
        self.destination = destination
        self.destinationPort = destinationPort
        self.arrival = arrival
        self.opensFlow = opensFlow
        self.answersFlow = answersFlow
        self.senderOwnsSource = senderOwnsSource
        self.acceptsFlow = acceptsFlow
    }
}

/// An attempt that ``Policy/verdict(_:by:on:)`` judges.
public enum Attempt: Hashable, Sendable {
    case outgoing(Outgoing)
    case incoming(Incoming)
    /// Binding to a local address and port.
    case bind(TransportProtocol, IPv4Address)
    /// Making an IPv4 socket of this protocol.
    case create(TransportProtocol)
}
