internal import CLibBPF

/// A place where the kernel runs one of our programs for a cgroup; the raw value names its program.
public enum CgroupHook: String, CaseIterable, Hashable, Sendable {
    /// Every packet to a socket of the cgroup.
    case ingress
    /// Every packet from a socket of the cgroup; only where an environment asks for it.
    case egress
    case create
    case bind4
    case bind6
    case connect4
    case connect6
    case send4
    case send6
    /// getsockname().
    case name4
    case name6
    /// getpeername(), and where a stream was accepted from.
    case peer4
    case peer6
    /// Where a datagram came from.
    case receive4
    case receive6
    /// Opening a device.
    case device
    /// setsockopt(); only where an environment asks for it.
    case option
    /// Connecting a Unix socket, and sending from one to a name.
    case connectUnix = "connectunix"
    case sendUnix = "sendunix"
    /// Making a socket of any family.
    case lsmSocket = "lsm_socket"
    /// Opening a file, for those of the cgroup tree.
    case lsmOpen = "lsm_open"
    /// A new process, for one that starts in another cgroup.
    case lsmClone = "lsm_clone"
    /// bpf(2).
    case lsmBPF = "lsm_bpf"
    /// Use of a capability, for CAP_NET_ADMIN.
    case lsmAdmin = "lsm_admin"
    /// Connecting a Unix socket, and sending from one, where both ends are known.
    case lsmConnect = "lsm_connect"
    case lsmSend = "lsm_send"

    /// What all our programs' names begin with.
    static let programPrefix = "vne_"

    /// The program's name, in the object, as a pin and in `bpftool prog`.
    public var programName: String { Self.programPrefix + rawValue }

    var attachType: bpf_attach_type {
        switch self {
        case .create: BPF_CGROUP_INET_SOCK_CREATE
        case .bind4: BPF_CGROUP_INET4_BIND
        case .bind6: BPF_CGROUP_INET6_BIND
        case .connect4: BPF_CGROUP_INET4_CONNECT
        case .connect6: BPF_CGROUP_INET6_CONNECT
        case .send4: BPF_CGROUP_UDP4_SENDMSG
        case .send6: BPF_CGROUP_UDP6_SENDMSG
        case .name4: BPF_CGROUP_INET4_GETSOCKNAME
        case .name6: BPF_CGROUP_INET6_GETSOCKNAME
        case .peer4: BPF_CGROUP_INET4_GETPEERNAME
        case .peer6: BPF_CGROUP_INET6_GETPEERNAME
        case .receive4: BPF_CGROUP_UDP4_RECVMSG
        case .receive6: BPF_CGROUP_UDP6_RECVMSG
        case .device: BPF_CGROUP_DEVICE
        case .option: BPF_CGROUP_SETSOCKOPT
        case .ingress: BPF_CGROUP_INET_INGRESS
        case .egress: BPF_CGROUP_INET_EGRESS
        case .connectUnix: Self.connectOfUnix
        case .sendUnix: Self.sendOfUnix
        case .lsmSocket, .lsmOpen, .lsmClone, .lsmBPF, .lsmAdmin, .lsmConnect, .lsmSend: BPF_LSM_CGROUP
        }
    }

    /// `BPF_CGROUP_UNIX_CONNECT` and `BPF_CGROUP_UNIX_SENDMSG` of `linux/bpf.h`, which older headers do not have.
    private static let connectOfUnix = bpf_attach_type(rawValue: 49)
    private static let sendOfUnix = bpf_attach_type(rawValue: 50)

    /// Where else a program of another build may be attached: the cgroup hooks that this one does not use.
    static let otherAttachTypes: [bpf_attach_type] = {
        let own = Set(allCases.map(\.attachType.rawValue))
        return [
            BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS, BPF_CGROUP_INET_SOCK_CREATE, BPF_CGROUP_SOCK_OPS,
            BPF_CGROUP_DEVICE, BPF_CGROUP_INET4_BIND, BPF_CGROUP_INET6_BIND, BPF_CGROUP_INET4_CONNECT,
            BPF_CGROUP_INET6_CONNECT, BPF_CGROUP_INET4_POST_BIND, BPF_CGROUP_INET6_POST_BIND,
            BPF_CGROUP_UDP4_SENDMSG, BPF_CGROUP_UDP6_SENDMSG, BPF_CGROUP_SYSCTL, BPF_CGROUP_UDP4_RECVMSG,
            BPF_CGROUP_UDP6_RECVMSG, BPF_CGROUP_GETSOCKOPT, BPF_CGROUP_SETSOCKOPT, BPF_CGROUP_INET4_GETPEERNAME,
            BPF_CGROUP_INET6_GETPEERNAME, BPF_CGROUP_INET4_GETSOCKNAME, BPF_CGROUP_INET6_GETSOCKNAME,
            BPF_CGROUP_INET_SOCK_RELEASE,
        ].filter { !own.contains($0.rawValue) }
    }()
}
