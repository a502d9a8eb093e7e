/// What a policy file says, as values: the address space, the environments in it and the applications in those.
///
/// A `Policy` that came from ``PolicyFile`` is valid: no two environments overlap, every environment lies in the address
/// space, every application in its environment, and every name that is referred to exists.
public struct Policy: Hashable, Sendable {
    /// The prefixes that hold every environment.
    public var addressSpace: [IPPrefix]
    /// Interfaces besides the host's own on which a source in the address space is believed.
    public var addressSpaceInterfaces: [String]
    /// The interface that carries the application addresses, which are announced on its link; nil for the instance's own.
    public var interface: String?
    /// Which hostnames are in the hosts file.
    public var hostnames: ResolvedHostnames
    /// In the order of the file.
    public var environments: [Environment]
    /// In the order of the file.
    public var applications: [Application]
    /// Loopback services that stay shared between all applications and the host, besides the host's resolvers.
    public var loopbackShared: [SharedService]
    /// Cgroups that are no applications and keep clear of their addresses; nil for none.
    public var hostGuard: HostGuard?
    /// The file's name as it was given, for messages.
    public var source: String

    /// A policy from its parts; nothing is checked.
    public init(
        addressSpace: [IPPrefix], addressSpaceInterfaces: [String] = [], interface: String? = nil,
        hostnames: ResolvedHostnames = .attached, environments: [Environment], applications: [Application] = [],
        loopbackShared: [SharedService] = [], hostGuard: HostGuard? = nil,
        source: String = ""
    ) {
        self.addressSpace = addressSpace
        self.addressSpaceInterfaces = addressSpaceInterfaces
        self.interface = interface
        self.hostnames = hostnames
        self.environments = environments
        self.applications = applications
        self.loopbackShared = loopbackShared
        self.hostGuard = hostGuard
        self.source = source
    }

    /// The environment of this name. Linear: look-ups by the thousand keep a dictionary of their own.
    public func environment(named name: String) -> Environment? {
        environments.first { $0.name == name }
    }

    /// The application of this name.
    public func application(named name: String) -> Application? {
        applications.first { $0.name == name }
    }
}

/// Which applications' hostnames the hosts file has.
public enum ResolvedHostnames: Hashable, Sendable, CaseIterable {
    /// None.
    case none
    /// Those of applications that are attached on this host.
    case attached
    /// Those, and those of every application to which the policy gives an address, wherever it runs.
    case all
}

/// A Virtual Network Environment: addresses that may talk among themselves, and what else they may do.
public struct Environment: Hashable, Sendable {
    /// Unique; letters, digits, `-`, `_` and `.`, at most 63 bytes.
    public var name: String
    /// Prefixes and single addresses of either family; none overlaps another one of the policy.
    public var addresses: [IPPrefix]
    /// New flows from remotes.
    public var remoteIn: RemotePolicy
    /// New flows to remotes.
    public var remoteOut: RemotePolicy
    /// Whether the host's other addresses, and its processes, may be talked to.
    public var host: Bool
    /// Whether link-local peers (169.254.0.0/16, fe80::/10) may be talked to.
    public var linkLocal: Bool
    /// Whether datagrams to and from multicast groups and broadcast addresses may pass.
    public var multicast: Bool
    /// New flows to other environments.
    public var permits: [Permit]
    /// Whether abstract Unix sockets of others are out of reach.
    public var unixPrivate: Bool
    /// What sockets may speak.
    public var protocols: Set<TransportProtocol>
    /// Judge at egress too, even where the socket hooks cover everything.
    public var strict: Bool
    /// Whether denials of reachability are enforced or only recorded.
    public var mode: Mode
    /// Without these an application is not attached.
    public var requires: Set<Protection>
    /// The line of the file that names it.
    public var line: Int

    /// An environment with the defaults of the policy file.
    public init(
        name: String, addresses: [IPPrefix], remoteIn: RemotePolicy = .allow(line: nil),
        remoteOut: RemotePolicy = .allow(line: nil), host: Bool = true, linkLocal: Bool = false,
        multicast: Bool = false, permits: [Permit] = [], unixPrivate: Bool = false,
        protocols: Set<TransportProtocol> = [.tcp, .udp], strict: Bool = false, mode: Mode = .enforce,
        requires: Set<Protection> = [], line: Int = 0
    ) {
        self.name = name
        self.addresses = addresses
        self.remoteIn = remoteIn
        self.remoteOut = remoteOut
        self.host = host
        self.linkLocal = linkLocal
        self.multicast = multicast
        self.permits = permits
        self.unixPrivate = unixPrivate
        self.protocols = protocols
        self.strict = strict
        self.mode = mode
        self.requires = requires
        self.line = line
    }

    /// Whether the egress hook is needed: asked for, or a protocol that the socket hooks do not cover whole.
    public var needsEgress: Bool { strict || protocols.contains(.ping) }

    /// Whether the hook of socket options is needed: to join groups where the application address is, or to refuse source
    /// routes. These take a packet to a machine that nobody judges before the one that is judged. Where all packets are
    /// judged, or the host or a remote is out of reach, that machine may be such a one.
    public var needsOptions: Bool { multicast || needsEgress || !host || !remoteOut.allowsEverything }

    /// Whether the address is the environment's.
    public func contains(_ address: IPAddress) -> Bool {
        addresses.contains { $0.contains(address) }
    }

    /// Whether all of an application's addresses are the environment's.
    public func contains(_ addresses: ApplicationAddresses) -> Bool {
        addresses.all.allSatisfy { contains($0) }
    }

    /// The families in which it has addresses.
    public var families: Set<AddressFamily> { Set(addresses.map(\.family)) }
}

/// Whether an environment's denials of reachability hold.
public enum Mode: String, CaseIterable, Hashable, Sendable, Codable {
    /// Denied calls fail, denied packets are dropped.
    case enforce
    /// Denials of reachability are recorded and let through; everything else holds.
    case audit
}

/// New flows between an environment and the rest of the world, in one direction.
public struct RemotePolicy: Hashable, Sendable {
    /// What holds where no rule matches.
    public var otherwise: Bool
    /// The line of the file behind `otherwise`; nil where it is the default.
    public var otherwiseLine: Int?
    /// In the order of the file. The longest matching prefix decides; of equal ones, a denial.
    public var rules: [RemoteRule]

    /// A policy from its parts.
    public init(otherwise: Bool, otherwiseLine: Int? = nil, rules: [RemoteRule] = []) {
        self.otherwise = otherwise
        self.otherwiseLine = otherwiseLine
        self.rules = rules
    }

    /// Everything.
    public static func allow(line: Int?) -> Self { Self(otherwise: true, otherwiseLine: line) }
    /// Nothing.
    public static func deny(line: Int?) -> Self { Self(otherwise: false, otherwiseLine: line) }
}

/// One entry of a `remote` list: a prefix, protocols and ports, and whether it allows or denies.
public struct RemoteRule: Hashable, Sendable {
    /// Addresses of the peer.
    public var prefix: IPPrefix
    /// What it covers at those addresses; never empty.
    public var ports: [PortRule]
    /// Allow or deny.
    public var allows: Bool
    /// The line of the file.
    public var line: Int

    /// A rule from its parts.
    public init(prefix: IPPrefix, ports: [PortRule] = [PortRule(nil)], allows: Bool, line: Int = 0) {
        self.prefix = prefix
        self.ports = ports
        self.allows = allows
        self.line = line
    }
}

/// An express permission for new flows to another environment, or to one application of it. Replies are included.
public struct Permit: Hashable, Sendable {
    /// The environment's name.
    public var environment: String
    /// The application's name, if only it is meant.
    public var application: String?
    /// What it covers at those addresses; never empty.
    public var ports: [PortRule]
    /// The line of the file.
    public var line: Int

    /// A permit from its parts.
    public init(to environment: String, application: String? = nil, ports: [PortRule] = [PortRule(nil)], line: Int = 0)
    {
        self.environment = environment
        self.application = application
        self.ports = ports
        self.line = line
    }
}

/// An application that the policy names: a cgroup with an address of each family that it wants.
public struct Application: Hashable, Sendable {
    /// Unique; the same alphabet as an environment's.
    public var name: String
    /// The name of its environment.
    public var environment: String
    /// Its application addresses; nil for `auto`: one for each family of its environment, chosen when it is attached.
    public var addresses: ApplicationAddresses?
    /// Unique among applications.
    public var hostname: String?
    /// Relative to the cgroup2 mount, without a leading slash; nil if it is only attached by hand or by `exec`.
    public var cgroup: String?
    /// The line of the file that names it.
    public var line: Int

    /// Its hostname, or one that is made from an address that was chosen for it.
    public func hostname(at chosen: ApplicationAddresses?) -> String? {
        hostname ?? (addresses == nil ? chosen?.hostname : nil)
    }

    /// An application from its parts.
    public init(
        name: String, environment: String, addresses: ApplicationAddresses?, hostname: String? = nil,
        cgroup: String? = nil, line: Int = 0
    ) {
        self.name = name
        self.environment = environment
        self.addresses = addresses
        self.hostname = hostname
        self.cgroup = cgroup
        self.line = line
    }
}
