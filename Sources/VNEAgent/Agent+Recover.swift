import PolicyModel

/// What an operation starts from: the applications as they are once earlier commands' leftovers are dealt with.
struct Ground {
    /// In the maps' order; none is half detached, and one that is half attached could not be repaired.
    var applications: [AttachedApplication]
    /// Addresses on any interface of the namespace, application addresses and private loopbacks included.
    var interfaceAddresses: Set<IPAddress>
    /// Those of them that are on the interface for application addresses.
    var carried: Set<IPAddress>
    /// Addresses that nobody else on the link has, as was found out just now.
    var free: Set<IPAddress> = []
    /// The private loopbacks of the applications, where somebody keeps them up to date.
    var loopbacks: TakenLoopbacks?
    /// Addresses that came, and that the link has to be told of.
    var arrived: Set<IPAddress> = []
    /// What was put right on the way.
    var repairs: [Repair]
    /// What the user should know of it.
    var warnings: [String] = []
}

extension Set<IPAddress> {
    /// Whether the host whose addresses these are has IPv6: its loopback interface has ::1 then.
    var showIPv6: Bool { contains(IPAddress(rawValue: 1)) }
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
        var ground = try observe()
        let remembered = ground.applications
        ground.applications = []
        try askForMissing(of: remembered, ground: &ground)
        for application in remembered {
            do {
                let (kept, finding) = try settle(application, among: remembered, ground: &ground)
                if let kept { ground.applications.append(kept) }
                if let finding { ground.repairs.append(Repair(application.name, finding)) }
            } catch {
                ground.applications.append(application)
                let finding: Repair.Finding = error.mayPass ? .contested : .failed
                ground.repairs.append(Repair(application.name, finding, problem: error.message))
                if !error.mayPass, let hint = error.hint {
                    ground.warnings.append("\(application.name) is as it was found: \(hint)")
                }
            }
        }
        try settleGuards(into: &ground)
        if !ground.repairs.isEmpty {
            try lookAgain(&ground)
            announce(ground.arrived, warnings: &ground.warnings)
            tellNames(warnings: &ground.warnings)
        }
        return ground
    }

    private func lookAgain(_ ground: inout Ground) throws(AgentError) {
        let now = try observe()
        ground.interfaceAddresses = now.interfaceAddresses
        ground.carried = now.carried
    }

    /// Asks the link at once for all addresses that have to be put on the interface.
    private func askForMissing(of applications: [AttachedApplication], ground: inout Ground) throws(AgentError) {
        let missing = applications.filter { $0.state != .detaching }.flatMap(\.addresses.all)
        let absent = Set(missing).subtracting(ground.interfaceAddresses)
        // Who cannot be asked is told of with each application.
        guard !absent.isEmpty, let free = try? free(absent) else { return }
        ground.free = free
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
            let finished = try finishAttaching(application, ground: all, warnings: &ground.warnings)
            ground.arrived.formUnion(finished.addresses.all)
            return (finished, .halfAttached)
        }
        return (application, try putBack(application, ground: &ground) ? .addressMissing : nil)
    }

    /// Puts back what was taken off the interface, and what is on another one than the policy names by now; says whether
    /// something was.
    private func putBack(_ application: AttachedApplication, ground: inout Ground) throws(AgentError) -> Bool {
        var isBack = false
        for address in application.addresses.all
        where application.ownsAddresses.contains(address.family) && !ground.carried.contains(address) {
            try claim(ApplicationAddresses(address), for: application.name, knownFree: ground.free)
            _ = try addAddress(address)
            if ground.interfaceAddresses.contains(address) {
                let carrier = try carrier()
                try asking { try host.removeAddress(address, besides: carrier) }
            }
            ground.arrived.insert(address)
            isBack = true
        }
        // A host without IPv6 never has it.
        if ground.interfaceAddresses.showIPv6, !ground.interfaceAddresses.contains(application.loopback.ipv6) {
            isBack = try addLoopback(of: application) || isBack
        }
        return isBack
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
                environment: named.environment, addresses: named.addresses, hostname: named.hostname)
            target = try record(of: application, at: place, in: policy, ground: ground)
        }
        // The record says which hooks there were; the policy says which there have to be.
        let environment = try asking { try dataplane.environment(named: target.environment) }
        target.egress = environment?.needsEgress ?? target.egress
        try requireProtections(
            environment?.requires ?? [], of: target.environment, for: target.name, confined: target.confined)
        var begun = application
        begun.egress = target.egress
        try asking { try dataplane.attach(begun, cgroup: cgroup.descriptor) }
        return try move(begun, to: target, knownFree: ground.free, warnings: &warnings)
    }

    /// Puts an application address on the interface; false if it was there already.
    func addAddress(_ address: IPAddress) throws(AgentError) -> Bool {
        let carrier = try carrier()
        return try asking { try host.addAddress(address, on: carrier) }
    }

    /// Puts an application's private loopback on the interface; false if it was there already, or has no place there.
    func addLoopback(of application: AttachedApplication) throws(AgentError) -> Bool {
        try asking { try host.addLoopback(application.loopback) }
    }

    func removeAddress(of application: AttachedApplication, _ family: AddressFamily) throws(AgentError) {
        guard application.ownsAddresses.contains(family), let address = application.addresses[family] else { return }
        try asking { try host.removeAddress(address) }
    }

    /// Closes an application's connections over addresses that are taken away.
    ///
    /// Those are local for as long as they are there; afterwards what such a socket sends over IPv6 would follow the
    /// default route out of the host. Programs that connect again at once are why it is done on both sides of the removal.
    private func closeConnections(of application: AttachedApplication) throws(AgentError) {
        guard host.isPopulated(application.cgroupPath) else { return }
        let loopback = application.loopback.ipv6
        let own = application.addresses.all.filter { application.ownsAddresses.contains($0.family) } + [loopback]
        for socket in try asking({ try host.sockets() }) where socket.isConnected {
            guard socket.remote == loopback || socket.local.map(own.contains) == true else { continue }
            // A kernel that closes no sockets is no reason to keep what is to be taken away.
            try? host.destroy(socket)
        }
    }

    /// Takes an application's addresses, loopback and attachment away, and the cgroup that `exec` made for it.
    ///
    /// The record goes last: as long as it is there the next command knows whose the addresses and the cgroup were. Where
    /// another host may take an address over, everything is denied before it goes.
    func takeAway(_ application: AttachedApplication) throws(AgentError) {
        if application.state == .attached, try carrier() != nil,
            host.cgroupExists(application.cgroupPath, id: application.cgroupID)
        {
            try asking { try dataplane.deny(application) }
        }
        try closeConnections(of: application)
        for family in AddressFamily.allCases { try removeAddress(of: application, family) }
        try asking { try host.removeLoopback(application.loopback) }
        try closeConnections(of: application)
        if application.launcher != nil {
            _ = removeExecCgroup(application.cgroupPath)
        }
        try asking { try dataplane.detach(application) }
        // Where this cannot be kept, whoever has an address chosen is told.
        var warnings: [String] = []
        remember(application.addresses, of: application.name, warnings: &warnings)
    }
}
