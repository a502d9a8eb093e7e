internal import PolicyModel

internal import CLinux
internal import Glibc

/// The Linux host of an instance: its cgroups, addresses, sockets and processes.
///
/// It acts on the network namespace of the thread that makes the first call, and on the cgroup2 hierarchy that this
/// process sees. It keeps no state but open descriptors: two values for the same instance see the same host.
///
/// - Note: Linux 5.14, for SO_NETNS_COOKIE; without CONFIG_INET_DIAG_DESTROY it cannot close sockets.
public final class LinuxHost {
    /// The instance's name.
    public let instance: String
    let resolvConf: String
    let hostsFile: String?

    private var tree: CgroupTree?
    private var routing: Rtnetlink?
    private var carrier: InstanceInterface?
    private var diagnosing: SocketDiagnostics?

    /// The host of an instance. Nothing is opened before it is needed.
    /// - Parameters:
    ///   - resolvConf: where the host's resolvers are listed.
    ///   - hostsFile: where applications are named; nil for nowhere.
    public init(instance: String, resolvConf: String = "/etc/resolv.conf", hostsFile: String? = nil) {
        self.instance = instance
        self.resolvConf = resolvConf
        self.hostsFile = hostsFile
    }

    /// The cgroup2 hierarchy.
    func cgroups() throws(HostError) -> CgroupTree {
        if let tree { return tree }
        let made = try CgroupTree()
        tree = made
        return made
    }

    /// The rtnetlink socket.
    func rtnetlink() throws(HostError) -> Rtnetlink {
        if let routing { return routing }
        let made = Rtnetlink(try KernelNetlinkSocket(family: NETLINK_ROUTE))
        routing = made
        return made
    }

    /// The interface of the instance's addresses.
    func interface() throws(HostError) -> InstanceInterface {
        if let carrier { return carrier }
        let made = InstanceInterface(instance: instance, rtnetlink: try rtnetlink())
        carrier = made
        return made
    }

    /// The sock_diag socket.
    func diagnostics() throws(HostError) -> SocketDiagnostics {
        if let diagnosing { return diagnosing }
        let made = SocketDiagnostics(try KernelNetlinkSocket(family: NETLINK_SOCK_DIAG))
        diagnosing = made
        return made
    }
}
