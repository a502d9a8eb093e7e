/// Cgroups that are no applications and keep clear of applications' addresses, as the policy file names them.
public struct HostGuard: Hashable, Sendable {
    /// Relative to the cgroup2 mount, without a leading slash; ``root`` for the whole host.
    public var cgroups: [String]
    /// What wildcards of their processes become, and their source towards the address space; nil to leave both.
    public var addresses: ApplicationAddresses?
    /// The line of the file that has `guard`.
    public var line: Int

    /// The path that stands for the root cgroup.
    public static let root = "/"

    /// A guard from its parts.
    public init(cgroups: [String], addresses: ApplicationAddresses? = nil, line: Int = 0) {
        self.cgroups = cgroups
        self.addresses = addresses
        self.line = line
    }
}

/// A cgroup that has the guard's hooks, as the pinned maps remember it.
public struct GuardedCgroup: Hashable, Sendable {
    /// How far it is; half of the hooks guard half.
    public var state: AttachedApplication.State
    /// Relative to the cgroup2 mount, without a leading slash; ``HostGuard/root`` for the root cgroup.
    public var path: String
    /// The cgroup's id (its inode number in cgroup2).
    public var id: UInt64

    /// A record from its parts.
    public init(state: AttachedApplication.State = .attaching, path: String, id: UInt64) {
        self.state = state
        self.path = path
        self.id = id
    }
}

extension HostGuard {
    /// Whether a cgroup is another one or lies below it.
    public static func lies(_ path: String, inOrBelow above: String) -> Bool {
        above == root || path == above || (path + "/").utf8.starts(with: (above + "/").utf8)
    }
}
