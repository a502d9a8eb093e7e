import PolicyModel

/// What an operation starts from: the applications as they are once earlier commands' leftovers are dealt with.
struct Ground {
    /// In the maps' order; none is half detached, and one that is half attached could not be repaired.
    var applications: [AttachedApplication]
    /// Addresses on any interface of the namespace, application addresses included.
    var interfaceAddresses: Set<IPv4Address>
    /// What was put right on the way.
    var repairs: [Repair]
    /// What the user should know of it.
    var warnings: [String] = []
}

extension Agent {
    /// Finishes what killed commands left: half-made and half-removed attachments, attachments whose cgroup is gone,
    /// and what an `exec` that was killed left once its processes have ended.
    ///
    /// A repair that fails is told, not thrown: what is half done denies everything, and the command that was asked for
    /// may be what helps.
    public func recover() throws(AgentError) -> [Repair] {
        try settle().repairs
    }

    func settle() throws(AgentError) -> Ground {
        let remembered = try asking { try dataplane.applications() }
        var ground = Ground(
            applications: [], interfaceAddresses: try asking { try host.interfaceAddresses() }, repairs: [])
        for application in remembered {
            do {
                let (kept, finding) = try settle(application, among: remembered, ground: &ground)
                if let kept { ground.applications.append(kept) }
                if let finding { ground.repairs.append(Repair(application.name, finding)) }
            } catch {
                ground.applications.append(application)
                ground.repairs.append(Repair(application.name, .failed, problem: error.message))
            }
        }
        if !ground.repairs.isEmpty {
            ground.interfaceAddresses = try asking { try host.interfaceAddresses() }
        }
        return ground
    }

    private func settle(
        _ application: AttachedApplication, among remembered: [AttachedApplication], ground: inout Ground
    ) throws(AgentError) -> (kept: AttachedApplication?, finding: Repair.Finding?) {
        if application.state == .detaching {
            try takeAway(application)
            return (nil, .halfDetached)
        }
        if isGone(application) {
            try takeAway(application)
            return (nil, .cgroupGone)
        }
        if let launcher = application.launcher, !host.isAlive(launcher), removeExecCgroup(application.cgroupPath) {
            try takeAway(application)
            return (nil, .launcherGone)
        }
        if application.state == .attaching {
            var all = ground
            all.applications = remembered
            return (try finishAttaching(application, ground: all, warnings: &ground.warnings), .halfAttached)
        }
        if application.ownsAddress, !ground.interfaceAddresses.contains(application.address) {
            _ = try addAddress(application.address)
            return (application, .addressMissing)
        }
        return (application, nil)
    }

    /// Whether an application's cgroup certainly is not there any more. One that cannot be looked at is not gone: its
    /// processes would lose what keeps them apart.
    func isGone(_ application: AttachedApplication) -> Bool {
        if host.cgroupExists(application.cgroupPath, id: application.cgroupID) { return false }
        do {
            let other = try host.openCgroup(application.cgroupPath)
            host.close(other)
            return other.id != application.cgroupID
        } catch {
            return AgentError(error).status == .notFound
        }
    }

    /// Attaches what an earlier command began to attach, or to move. The published policy has the last word on an
    /// application that it names: the command may have been killed on either side of the publication.
    private func finishAttaching(
        _ application: AttachedApplication, ground: Ground, warnings: inout [String]
    ) throws(AgentError) -> AttachedApplication {
        let cgroup = try asking { try host.openCgroup(application.cgroupPath) }
        defer { host.close(cgroup) }
        var target = application
        if application.fromPolicy, let policy = try publishedPolicy()?.policy,
            let named = policy.application(named: application.name)
        {
            let place = Change.Placement(
                environment: named.environment, address: named.address, hostname: named.hostname)
            target = try record(of: application, at: place, in: policy, ground: ground)
        }
        // The record says which hooks there were; the policy says which there have to be.
        let environment = try asking { try dataplane.environment(named: target.environment) }
        target.egress = environment?.needsEgress ?? target.egress
        var begun = application
        begun.egress = target.egress
        try asking { try dataplane.attach(begun, cgroup: cgroup.descriptor) }
        return try move(begun, to: target, warnings: &warnings)
    }

    /// Puts an application address on the interface, with the IPv6 address that stands in for the one it does not have;
    /// false if it was there already.
    func addAddress(_ address: IPv4Address) throws(AgentError) -> Bool {
        let added = try asking { try host.addAddress(address) }
        _ = try asking { try host.addPlaceholder(for: address) }
        return added
    }

    func removeAddress(of application: AttachedApplication) throws(AgentError) {
        try asking { try host.removePlaceholder(for: application.address) }
        guard application.ownsAddress else { return }
        try asking { try host.removeAddress(application.address) }
    }

    /// Takes an application's address and attachment away, and the cgroup that `exec` made for it.
    ///
    /// The record goes last: as long as it is there the next command knows whose the address and the cgroup were.
    func takeAway(_ application: AttachedApplication) throws(AgentError) {
        try removeAddress(of: application)
        if application.launcher != nil {
            _ = removeExecCgroup(application.cgroupPath)
        }
        try asking { try dataplane.detach(application) }
    }
}
