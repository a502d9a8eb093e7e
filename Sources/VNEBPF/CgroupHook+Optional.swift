internal import CLibBPF
internal import PolicyModel

/// Hooks that a kernel may lack or keep to itself. An instance has those that the kernel had when it was loaded, and each
/// application has all that its instance has, but for those that its environment does not ask for.
extension CgroupHook {
    /// The function of the kernel's security modules that a hook of BPF LSM stands for; nil for a hook of another kind.
    var securityFunction: String? {
        switch self {
        case .lsmSocket: "socket_create"
        case .lsmOpen: "file_open"
        case .lsmClone: "task_alloc"
        case .lsmBPF: "bpf"
        case .lsmAdmin: "capable"
        case .lsmConnect: "unix_stream_connect"
        case .lsmSend: "unix_may_send"
        default: nil
        }
    }

    /// Whether an instance may do without it.
    var isOptional: Bool { securityFunction != nil || judgesUnix }

    /// Whether it judges calls to Unix sockets: it is there only where an environment says `unix: private`.
    var judgesUnix: Bool {
        switch self {
        case .connectUnix, .sendUnix, .lsmConnect, .lsmSend: true
        default: false
        }
    }

    /// Whether programs of several hooks are attached under the one attach type, so that their names tell them apart.
    var sharesAttachType: Bool { attachType == BPF_LSM_CGROUP }

    /// The kind of program, for hooks whose section names libbpf may not know.
    var programType: bpf_prog_type {
        securityFunction != nil ? BPF_PROG_TYPE_LSM : BPF_PROG_TYPE_CGROUP_SOCK_ADDR
    }

    /// The hooks that together hold a protection: all of one of these sets. None for what is no matter of hooks.
    static func holding(_ protection: Protection) -> [Set<CgroupHook>] {
        switch protection {
        case .families: [[.lsmSocket]]
        case .membership: [[.lsmOpen, .lsmClone]]
        case .bpf: [[.lsmBPF]]
        case .netlink: [[.lsmAdmin]]
        case .unix: [[.lsmConnect, .lsmSend], [.connectUnix, .sendUnix]]
        case .dualStack, .closing: []
        }
    }
}
