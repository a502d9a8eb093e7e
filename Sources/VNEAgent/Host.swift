public import PolicyModel

/// What the agent asks of the host. `VNEHost.LinuxHost` is the real one; tests bring their own.
public protocol Host {
    /// Opens a cgroup below the cgroup2 mount. Refuses the root cgroup, a path that leads out, and one that is no cgroup.
    /// - Parameter path: relative to the mount, or absolute below it.
    func openCgroup(_ path: String) throws -> OpenCgroup

    /// Opens the root cgroup, for the guard of the whole host.
    func openRootCgroup() throws -> OpenCgroup

    /// Closes what ``openCgroup(_:)`` or ``makeCgroup(_:)`` opened.
    func close(_ cgroup: OpenCgroup)

    /// Makes a cgroup and those above it below the cgroup2 mount, and opens it.
    func makeCgroup(_ path: String) throws -> OpenCgroup

    /// Removes a cgroup if it is empty and has no children; says whether it is gone.
    func removeCgroup(_ path: String) -> Bool

    /// Whether the cgroup at this path still is the one with this id.
    func cgroupExists(_ path: String, id: UInt64) -> Bool

    /// Whether there is a cgroup at this path; nil where that cannot be said, and ``openCgroup(_:)`` says why.
    func cgroupExists(_ path: String) -> Bool?

    /// Whether a process lives in the cgroup or below it (`cgroup.events`, `populated`).
    func isPopulated(_ path: String) -> Bool

    /// The same of a cgroup that is open.
    func isPopulated(_ cgroup: OpenCgroup) -> Bool

    /// Adds a /32 or /128 to an interface; false if it was there already. It can be used at once. For an IPv6 address on a
    /// host without IPv6 the error says what would help.
    /// - Parameter carrier: nil for the instance's own interface, which is made where it can be.
    func addAddress(_ address: IPAddress, on carrier: String?) throws -> Bool

    /// Removes a /32 or /128 from whichever interface has it; nothing if none has.
    func removeAddress(_ address: IPAddress) throws

    /// Removes a /32 or /128 that is on the carrier from every other interface.
    func removeAddress(_ address: IPAddress, besides carrier: String?) throws

    /// Who on the link of an interface has one of some addresses, or wants it at the same time: what they are called there.
    /// Those that are on this host's interfaces are not asked for.
    func holders(of addresses: Set<IPAddress>, on interface: String) throws -> [IPAddress: String]

    /// Tells the hosts on the link of an interface that addresses are here now.
    func announce(_ addresses: Set<IPAddress>, on interface: String) throws

    /// How many private loopbacks an instance can give out: the /24s from 127.1.0.0 to 127.254.255.0.
    static var loopbackBlocks: UInt32 { get }

    /// The private loopback with a number: 127.1.0.0 and `fd56:4e45:INSTANCE::` for 0, 127.1.1.0 and
    /// `fd56:4e45:INSTANCE::1` for 1, and so on, where INSTANCE is the hash of the instance's name. Pure.
    /// - Parameter block: below ``loopbackBlocks``.
    func privateLoopback(block: UInt32) -> PrivateLoopback

    /// Has the hosts file name these hosts as this instance's, and no others.
    /// - Returns: those of the names that other lines of it give to somebody, too.
    func name(_ hosts: [NamedHost]) throws -> Set<String>

    /// The text that ``keepLeases(_:)`` kept; nil if there is none.
    func keptLeases() throws -> String?

    /// Keeps a text over reboots; nil removes it.
    func keepLeases(_ text: String?) throws

    /// Adds the /128 of a private loopback to the instance's interface; 127.0.0.0/8 is local everywhere. False if it was
    /// there already, and on a host without IPv6, where nobody can ask for it.
    func addLoopback(_ loopback: PrivateLoopback) throws -> Bool

    /// Removes what ``addLoopback(_:)`` added; nothing if it is not there.
    func removeLoopback(_ loopback: PrivateLoopback) throws

    /// The host's other addresses of both families, its broadcasts, its loopback resolvers and the indexes of the named
    /// interfaces.
    /// - Parameter excluding: application addresses, which are not the host's.
    func view(interfaces: [String], excluding: Set<IPAddress>) throws -> HostView

    /// The TCP and UDP sockets of both families in the instance's namespace, listeners and closing ones included.
    func sockets() throws -> [ObservedSocket]

    /// Closes a socket with ECONNABORTED (`SOCK_DESTROY`); nothing if it is gone. Throws where the kernel cannot.
    func destroy(_ socket: ObservedSocket) throws

    /// Why no socket can be closed on this host; nil where they can be.
    func obstacleToClosing() throws -> String?

    /// Ids of a cgroup and of every cgroup below it.
    func cgroupIDs(below path: String) throws -> Set<UInt64>

    /// Ids of every cgroup of the hierarchy, the root's too.
    func allCgroupIDs() throws -> Set<UInt64>

    /// Sockets that processes in the cgroup or below it hold although they were made in a cgroup outside it.
    func foreignSockets(of path: String) throws -> [ForeignSocket]

    /// Processes in the cgroup or below it whose network namespace is not the instance's.
    func foreignNamespaceProcesses(of path: String) throws -> [UInt32]

    /// Whether this process is still there.
    func isAlive(_ launcher: AttachedApplication.Launcher) -> Bool

    /// The addresses of both families on any interface of the namespace, application addresses and private loopbacks
    /// included.
    func interfaceAddresses() throws -> Set<IPAddress>

    /// Those of ``interfaceAddresses()``, and which of them are on the interface for application addresses: on the one
    /// that is named, or else on the instance's own and on `lo`.
    func addresses(carrier: String?) throws -> (all: Set<IPAddress>, carried: Set<IPAddress>)
}
