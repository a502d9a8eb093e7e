/// A published policy file.
public struct PublishedPolicy: Hashable, Sendable {
    /// The whole file, as `apply` read it.
    public var text: String
    /// The file's name as it was given to `apply`.
    public var source: String
    /// Counts publications of the instance.
    public var generation: UInt32

    /// A published policy from its parts.
    public init(text: String, source: String, generation: UInt32) {
        self.text = text
        self.source = source
        self.generation = generation
    }
}

/// How a published policy has applications known to others.
public struct PublishedIdentity: Hashable, Sendable {
    /// The interface that carries the application addresses; nil for the instance's own.
    public var interface: String?
    /// Which hostnames are in the hosts file.
    public var hostnames: ResolvedHostnames

    /// What holds as long as no policy says otherwise.
    public init(interface: String? = nil, hostnames: ResolvedHostnames = .attached) {
        self.interface = interface
        self.hostnames = hostnames
    }
}

/// What a published policy has an environment do, as far as attaching needs it.
public struct PublishedEnvironment: Hashable, Sendable {
    /// Index of its record in the policy image.
    public var id: UInt32
    /// Whether its applications need the egress hook.
    public var needsEgress: Bool
    /// The families in which it has addresses.
    public var families: Set<AddressFamily>
    /// Without these an application is not attached.
    public var requires: Set<Protection>

    /// An environment from its parts.
    public init(
        id: UInt32, needsEgress: Bool, families: Set<AddressFamily>, requires: Set<Protection> = []
    ) {
        self.id = id
        self.needsEgress = needsEgress
        self.families = families
        self.requires = requires
    }
}

/// Whose an address is by a published policy.
public enum PublishedOwner: Hashable, Sendable {
    /// No policy is published.
    case noPolicy
    /// Outside the address space.
    case outside
    /// In the address space, in no environment.
    case unassigned
    /// In the environment with this id; `reserved` where the policy gives it to an application by name.
    case environment(id: UInt32, reserved: Bool)
}
