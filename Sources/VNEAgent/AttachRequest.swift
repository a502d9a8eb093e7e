public import PolicyModel

/// What `attach` is asked to do.
public struct AttachRequest: Hashable, Sendable {
    /// Relative to the cgroup2 mount, or absolute below it.
    public var cgroup: String
    /// The environment's name.
    public var environment: String
    /// The application addresses.
    public var addresses: AddressChoice
    /// The name that resolves to the application addresses.
    public var hostname: String?
    /// The application's name; nil for the last component of the cgroup's path.
    public var name: String?
    /// Refuse if a process of the cgroup holds a socket that was made outside, as the isolator does not cover it.
    public var requireClean: Bool

    /// A request from its parts.
    public init(
        cgroup: String, environment: String, addresses: AddressChoice = .auto, hostname: String? = nil,
        name: String? = nil, requireClean: Bool = false
    ) {
        self.cgroup = cgroup
        self.environment = environment
        self.addresses = addresses
        self.hostname = hostname
        self.name = name
        self.requireClean = requireClean
    }
}

/// What attaching did.
public struct AttachReport: Hashable, Sendable {
    /// The application, attached and open.
    public var application: AttachedApplication
    /// Sockets that its processes hold but that were made outside: they keep what they could do before.
    public var foreignSockets: [ForeignSocket]
    /// Connected sockets that were older than the attachment and did not have an application address: they were closed.
    public var closedSockets: Int
    /// What earlier commands had left.
    public var repairs: [Repair]
    /// What the user should know.
    public var warnings: [String]
}
