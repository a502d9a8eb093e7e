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
    /// What is to be done about sockets that were made outside, as the isolator does not cover them; nil: tell them.
    public var clean: Cleaning?

    /// A request from its parts.
    public init(
        cgroup: String, environment: String, addresses: AddressChoice = .auto, hostname: String? = nil,
        name: String? = nil, clean: Cleaning? = nil
    ) {
        self.cgroup = cgroup
        self.environment = environment
        self.addresses = addresses
        self.hostname = hostname
        self.name = name
        self.clean = clean
    }
}

/// What becomes of sockets that processes of the cgroup carried in from outside.
public enum Cleaning: String, CaseIterable, Hashable, Sendable {
    /// The cgroup is not attached if there is one.
    case refuse
    /// Those that the kernel closes for good are closed; if there is another one, the cgroup is not attached.
    case close
}

/// What attaching did.
public struct AttachReport: Hashable, Sendable {
    /// The application, attached and open.
    public var application: AttachedApplication
    /// Sockets that its processes hold but that were made outside: they keep what they could do before.
    public var foreignSockets: [ForeignSocket]
    /// Sockets that were made outside and were closed.
    public var closedForeignSockets: [ForeignSocket] = []
    /// Connected sockets that were older than the attachment and did not have an application address: they were closed.
    public var closedSockets: Int
    /// What earlier commands had left.
    public var repairs: [Repair]
    /// What the user should know.
    public var warnings: [String]
}
