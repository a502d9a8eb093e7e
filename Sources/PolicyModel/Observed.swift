/// An application that is attached in the kernel, as the pinned maps remember it.
public struct AttachedApplication: Hashable, Sendable {
    /// How far the attachment is.
    public enum State: String, Hashable, Sendable, Codable {
        /// Being made: everything is denied until it is done. A command that finds it so finishes it.
        case attaching
        /// Done.
        case attached
        /// Being taken away: everything is denied until it is gone. A command that finds it so finishes it.
        case detaching
    }
    /// How far the attachment is.
    public var state: State
    /// Unique among the instance's applications.
    public var name: String
    /// Name of its environment.
    public var environment: String
    /// The environment's id in policy images; it stays for as long as an attachment refers to it.
    public var environmentID: UInt32
    /// Its application addresses.
    public var addresses: ApplicationAddresses
    /// Its own loopback.
    public var loopback: PrivateLoopback
    /// As the policy or the command gave it, or made from an address that was chosen.
    public var hostname: String?
    /// Relative to the cgroup2 mount, without a leading slash.
    public var cgroupPath: String
    /// The cgroup's id (its inode number in cgroup2).
    public var cgroupID: UInt64
    /// Depth below the root of the hierarchy: 1 for a child of the root.
    public var cgroupLevel: UInt32
    /// Named by the policy file.
    public var fromPolicy: Bool
    /// The egress hook is attached.
    public var egress: Bool
    /// The families whose address the attachment added to the instance's interface, and takes away.
    public var ownsAddresses: Set<AddressFamily>
    /// The process of the `exec` that made it and that it ends with.
    public var launcher: Launcher?
    /// Its launch took capabilities from its processes and filters their system calls.
    public var confined: Bool

    /// A process, told from a later one with the same id by its start time.
    public struct Launcher: Hashable, Sendable {
        /// The process's id.
        public var process: UInt32
        /// Clock ticks since boot: field 22 of `/proc/PID/stat`.
        public var startTime: UInt64

        /// A process from its id and start time.
        public init(process: UInt32, startTime: UInt64) {
            self.process = process
            self.startTime = startTime
        }
    }

    /// A record from its parts.
    public init(
        state: State = .attaching, name: String, environment: String, environmentID: UInt32 = 0,
        addresses: ApplicationAddresses, loopback: PrivateLoopback, hostname: String? = nil, cgroupPath: String,
        cgroupID: UInt64, cgroupLevel: UInt32, fromPolicy: Bool = false, egress: Bool = false,
        ownsAddresses: Set<AddressFamily> = [], launcher: Launcher? = nil, confined: Bool = false
    ) {
        self.state = state
        self.name = name
        self.environment = environment
        self.environmentID = environmentID
        self.addresses = addresses
        self.loopback = loopback
        self.hostname = hostname
        self.cgroupPath = cgroupPath
        self.cgroupID = cgroupID
        self.cgroupLevel = cgroupLevel
        self.fromPolicy = fromPolicy
        self.egress = egress
        self.ownsAddresses = ownsAddresses
        self.launcher = launcher
        self.confined = confined
    }

    /// What the decision needs of it.
    public var subject: Subject { Subject(environment: environment, addresses: addresses, loopback: loopback) }
}

/// A name for the hosts file.
public struct NamedHost: Hashable, Sendable {
    /// In lower case.
    public var name: String
    /// What it resolves to.
    public var addresses: ApplicationAddresses

    /// A name from its parts.
    public init(name: String, addresses: ApplicationAddresses) {
        self.name = name
        self.addresses = addresses
    }
}

/// The hook families that judge; raw values are those of `enum vne_hook`.
public enum Hook: UInt32, CaseIterable, Hashable, Sendable {
    case create = 0
    case bind = 1
    case connect = 2
    case send = 3
    case ingress = 4
    case egress = 5
    /// A call that would lead round the others.
    case system = 6

    /// The word in tables and JSON.
    public var name: String { "\(self)" }
}

/// Verdicts that one application's hooks have given since it was attached.
public struct VerdictCounters: Hashable, Sendable {
    /// Nonzero counts by hook and reason.
    public var verdicts: [Hook: [Reason: UInt64]]
    /// Denials that audit mode let through, by hook.
    public var audited: [Hook: UInt64]

    /// Counters from nonzero counts.
    public init(verdicts: [Hook: [Reason: UInt64]] = [:], audited: [Hook: UInt64] = [:]) {
        self.verdicts = verdicts
        self.audited = audited
    }

    /// All that was let through, audited denials included.
    public var allowed: UInt64 {
        verdicts.values.reduce(0) { $0 &+ $1.reduce(0) { $1.key.allows ? $0 &+ $1.value : $0 } }
            &+ audited.values.reduce(0, &+)
    }

    /// All that was denied in effect.
    public var denied: UInt64 {
        let recorded = verdicts.values.reduce(0) { $0 &+ $1.reduce(0) { $1.key.allows ? $0 : $0 &+ $1.value } }
        return recorded - min(recorded, audited.values.reduce(0, &+))
    }
}

/// A denial, as the kernel recorded it.
public struct Denial: Hashable, Sendable {
    /// Nanoseconds of CLOCK_MONOTONIC.
    public var time: UInt64
    /// Id of the application's cgroup.
    public var cgroupID: UInt64
    /// The hook that denied.
    public var hook: Hook
    /// Why.
    public var reason: Reason
    /// Audit mode let it through.
    public var audited: Bool
    /// `IPPROTO_…`; 0 if unknown.
    public var transport: UInt32
    /// The peer; nil if there is none.
    public var remote: IPAddress?
    /// 0 if there is none.
    public var remotePort: UInt16
    /// The application address of the same family; nil if it has none.
    public var local: IPAddress?
    /// 0 where the socket has none yet. Ping: the echo identifier.
    public var localPort: UInt16
    /// 0 in the packet hooks, which run in no process's context.
    public var process: UInt32
    /// Name of the calling process, whatever the program chose; empty in the packet hooks.
    public var command: String

    /// A denial from its parts.
    public init(
        time: UInt64, cgroupID: UInt64, hook: Hook, reason: Reason, audited: Bool, transport: UInt32,
        remote: IPAddress?, remotePort: UInt16, local: IPAddress?, localPort: UInt16, process: UInt32,
        command: String
    ) {
        self.time = time
        self.cgroupID = cgroupID
        self.hook = hook
        self.reason = reason
        self.audited = audited
        self.transport = transport
        self.remote = remote
        self.remotePort = remotePort
        self.local = local
        self.localPort = localPort
        self.process = process
        self.command = command
    }
}

/// An entry of an application's flow table: a datagram flow whose answers are let through.
public struct RecordedFlow: Hashable, Sendable {
    /// The peer's address.
    public var remote: IPAddress
    /// The peer's port; 0 for ping.
    public var remotePort: UInt16
    /// Ping: the echo identifier.
    public var localPort: UInt16
    /// Whether the peer began.
    public var incoming: Bool
    /// Milliseconds since it was last refreshed, about.
    public var idle: UInt32

    /// A flow from its parts.
    public init(remote: IPAddress, remotePort: UInt16, localPort: UInt16, incoming: Bool, idle: UInt32) {
        self.remote = remote
        self.remotePort = remotePort
        self.localPort = localPort
        self.incoming = incoming
        self.idle = idle
    }
}

/// A socket of the instance's network namespace, from `inet_diag`.
public struct ObservedSocket: Hashable, Sendable {
    /// What `SOCK_DESTROY` needs to name it again: address family, protocol and the kernel's cookie.
    public var family: UInt8
    /// TCP or UDP.
    public var transport: TransportProtocol
    /// The kernel's own number for the socket, `INET_DIAG` cookie.
    public var cookie: UInt64
    /// `TCP_ESTABLISHED` is 1, `TCP_LISTEN` 10, an unconnected UDP socket 7.
    public var state: UInt8
    /// The local address; 0.0.0.0 or :: for a wildcard. An IPv4-mapped one is its IPv4 address.
    public var local: IPAddress?
    /// 0 while it has none.
    public var localPort: UInt16
    /// The peer; nil where it is not connected.
    public var remote: IPAddress?
    /// The peer's port; 0 where it is not connected.
    public var remotePort: UInt16
    /// The cgroup that made it; 0 where the kernel does not say.
    public var cgroupID: UInt64
    /// As in `/proc/PID/fd`: `socket:[inode]`.
    public var inode: UInt64
    /// Index of the interface that it is bound to, 0 for none.
    public var interface: UInt32

    /// A socket from its parts.
    public init(
        family: UInt8, transport: TransportProtocol, cookie: UInt64, state: UInt8, local: IPAddress?,
        localPort: UInt16, remote: IPAddress?, remotePort: UInt16, cgroupID: UInt64, inode: UInt64, interface: UInt32
    ) {
        self.family = family
        self.transport = transport
        self.cookie = cookie
        self.state = state
        self.local = local
        self.localPort = localPort
        self.remote = remote
        self.remotePort = remotePort
        self.cgroupID = cgroupID
        self.inode = inode
        self.interface = interface
    }
}
