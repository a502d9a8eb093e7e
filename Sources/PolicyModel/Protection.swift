/// What the isolator holds only where the kernel lets it; raw values are the words of JSON and tables.
public enum Protection: String, CaseIterable, Hashable, Sendable {
    /// Sockets of families that no other hook sees, such as packet and vsock, are refused.
    case families
    /// No process leaves its application's cgroup.
    case membership
    /// bpf(2) is refused.
    case bpf
    /// Changing the host's addresses, routes and packet filters is refused.
    case netlink
    /// `unix: private` holds: abstract Unix sockets of others are out of reach.
    case unix
    /// A wildcard of both families is reachable on IPv6.
    case dualStack
    /// Connections that a change forbids are closed.
    case closing
}
