import PolicyModel

/// What the executable found out about the host, for `check` to tell.
public struct HostFacts: Hashable, Sendable {
    /// As uname(2) says it.
    public var kernelRelease: String
    /// Where the cgroup2 hierarchy is mounted; nil where it is not.
    public var cgroupMount: String?
    /// Where the BPF file system is mounted; nil where it is not.
    public var bpfFileSystem: String?

    /// Facts from their parts.
    public init(kernelRelease: String, cgroupMount: String?, bpfFileSystem: String?) {
        self.kernelRelease = kernelRelease
        self.cgroupMount = cgroupMount
        self.bpfFileSystem = bpfFileSystem
    }
}

/// What `check` says of a host.
public struct HostCheck: Hashable, Sendable, Codable {
    /// As uname(2) says it.
    public var kernel: String
    /// Where the cgroup2 hierarchy is mounted; nil where it is not: nothing can be attached then.
    public var cgroupMount: String?
    /// Where the BPF file system is mounted; nil where it is not: `apply` mounts it.
    public var bpfFileSystem: String?
    /// What holds for every application alike.
    public var protections: [ProtectionStatus]
}

extension Agent {
    /// Says what of the protections holds on this host. Changes nothing; what may not be looked at is told as such.
    public func check(host facts: HostFacts) -> HostCheck {
        HostCheck(
            kernel: facts.kernelRelease, cgroupMount: facts.cgroupMount, bpfFileSystem: facts.bpfFileSystem,
            protections: visibleHoldings().statuses(confined: false))
    }

    /// What holds for one application, or for any; what cannot be asked is unseen.
    func visibleHoldings(of application: AttachedApplication? = nil) -> Holdings {
        var holdings = Holdings(unheld: [:])
        do throws(AgentError) {
            holdings.unheld = try asking { try dataplane.unheldProtections(of: application) }
        } catch {
            for protection in Protection.allCases where protection != .closing {
                holdings.unseen[protection] = error.message
            }
        }
        do throws(AgentError) {
            holdings.unheld[.closing] = try asking { try host.obstacleToClosing() }
        } catch {
            holdings.unseen[.closing] = error.message
        }
        return holdings
    }
}

extension HostCheck: CustomStringConvertible {
    /// For people: what the host has, and a table of the protections.
    public var description: String {
        """
        kernel \(kernel)
        cgroup2 \(cgroupMount.map { "at \($0)" } ?? "is not mounted: nothing can be attached")
        BPF file system \(bpfFileSystem.map { "at \($0)" } ?? "is not mounted: vne-agent apply mounts it")

        \(protections.table)
        """
    }
}
