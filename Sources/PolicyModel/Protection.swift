/// Something that an application is kept from besides what the decision on its IP flows denies. Which of them hold depends
/// on the kernel, and on how the application was launched.
public enum Protection: String, CaseIterable, Hashable, Sendable, Codable {
    /// Sockets of families that no hook judges.
    case families
    /// Leaving the cgroup.
    case membership
    /// The bpf system call.
    case bpf
    /// Changing the host's network over netlink.
    case netlink
    /// Abstract Unix sockets of others.
    case unix
    /// Wildcards of both families, which IPv6 reaches.
    case dualStack
    /// Live connections that a policy forbids.
    case closing

    /// What holds where it does, in plain English, without a full stop.
    public var sentence: String {
        switch self {
        case .families:
            "sockets of families other than IPv4, IPv6, Unix, netlink and AF_ALG are refused: packet, vsock and the like"
        case .membership: "the cgroup cannot be left by writing to files of cgroups, or by clone3"
        case .bpf: "the bpf system call is refused"
        case .netlink: "netlink cannot change addresses, routes and packet filters"
        case .unix: "abstract Unix sockets of others are refused where the environment says “unix: private”"
        case .dualStack: "a wildcard socket of both families is reachable on the IPv6 address too"
        case .closing: "live connections that a new policy forbids are closed"
        }
    }

    /// What in the kernel holds it, for every application alike.
    public var mechanism: String {
        switch self {
        case .families: "lsm_cgroup/socket_create"
        case .membership: "lsm_cgroup/file_open, task_alloc"
        case .bpf: "lsm_cgroup/bpf"
        case .netlink: "lsm_cgroup/capable"
        case .unix: "lsm_cgroup/unix_stream_connect, unix_may_send, or cgroup/connect_unix, sendmsg_unix"
        case .dualStack: "tcx/ingress"
        case .closing: "SOCK_DESTROY"
        }
    }

    /// What a confined launch holds for the application that it starts, whatever the kernel's hooks do.
    ///
    /// Not ``membership``: a process of user 0 may write to files of cgroups without any capability.
    public static let byConfinement: Set<Protection> = [.families, .bpf, .netlink]

    /// Some of them by their words: `families, bpf and netlink`.
    public static func list(_ protections: [Protection]) -> String {
        PolicyReader.either(protections.map(\.rawValue), "and")
    }
}
