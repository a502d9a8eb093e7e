internal import CLinux

/// What a launch takes from the command that it starts, and from all that the command starts, for good.
public struct Confinement: Hashable, Sendable {
    /// Capabilities that are taken out of every set, the bounding set included.
    public var dropped: Set<Capability>
    /// Whether no_new_privs is set and system calls are filtered that lead past the cgroup's hooks: sockets of families
    /// that no hook judges, `bpf`, `io_uring`, `clone3`, `setns`, user and network namespaces, and other processes'
    /// memory and descriptors.
    public var filtersCalls: Bool

    /// A confinement from its parts.
    public init(dropped: Set<Capability> = [], filtersCalls: Bool = false) {
        self.dropped = dropped
        self.filtersCalls = filtersCalls
    }

    /// All of it.
    public static let full = Confinement(dropped: Set(Capability.allCases), filtersCalls: true)

    /// The capabilities, a bit each.
    var mask: UInt64 { dropped.reduce(0) { $0 | 1 << $1.number } }
}

/// A capability that leads past a VNE: see capabilities(7). The raw value is its name, as the command line has it.
public enum Capability: String, CaseIterable, Hashable, Sendable {
    /// Packet and raw sockets.
    case netRaw = "net-raw"
    /// Addresses, routes, packet filters, tunnels.
    case netAdmin = "net-admin"
    /// Any BPF program by its number, mounts, namespaces of others.
    case sysAdmin = "sys-admin"
    /// BPF programs and maps.
    case bpf
    /// BPF programs that look into the kernel.
    case perfmon
    /// Memory and descriptors of any process.
    case sysPtrace = "sys-ptrace"
    /// Modules of the kernel.
    case sysModule = "sys-module"
    /// Memory and ports of the machine.
    case sysRawio = "sys-rawio"
    /// Another kernel in the place of this one.
    case sysBoot = "sys-boot"
    /// Device files, of disks for instance.
    case mknod

    /// Its number in `linux/capability.h`.
    var number: UInt64 {
        let number =
            switch self {
            case .netRaw: CAP_NET_RAW
            case .netAdmin: CAP_NET_ADMIN
            case .sysAdmin: CAP_SYS_ADMIN
            case .bpf: CAP_BPF
            case .perfmon: CAP_PERFMON
            case .sysPtrace: CAP_SYS_PTRACE
            case .sysModule: CAP_SYS_MODULE
            case .sysRawio: CAP_SYS_RAWIO
            case .sysBoot: CAP_SYS_BOOT
            case .mknod: CAP_MKNOD
            }
        return UInt64(number)
    }
}
