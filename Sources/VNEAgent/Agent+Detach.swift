public import PolicyModel

/// What detaching did.
public struct DetachReport: Hashable, Sendable {
    /// The application as it was.
    public var application: AttachedApplication
    /// What earlier commands had left.
    public var repairs: [Repair]
    /// What the user should know.
    public var warnings: [String]
}

extension Agent {
    /// Makes an application an ordinary cgroup again: its hooks, its addresses and its record go.
    /// - Parameter selector: the application's name, or its cgroup as ``AttachRequest/cgroup`` takes it. The cgroup may
    ///   be gone.
    public func detach(_ selector: String) throws(AgentError) -> DetachReport {
        let ground = try settle()
        let swept = ground.repairs.first {
            $0.application == selector && [.halfDetached, .cgroupGone, .launcherGone].contains($0.finding)
        }
        let found: AttachedApplication
        do {
            found = try application(selector, among: ground.applications)
        } catch {
            guard let swept else { throw error }
            throw AgentError(.notFound, "nothing is left to detach: \(swept)")
        }
        try takeAway(found)
        var warnings = ground.warnings
        if found.hostname != nil { tellNames(warnings: &warnings) }
        if found.fromPolicy {
            warnings.append("the policy still names \(found.name): the next apply attaches it again")
        }
        return DetachReport(application: found, repairs: ground.repairs, warnings: warnings)
    }

    /// Detaches every application, half-made ones included, so that the instance can be unloaded.
    public func detachAll() throws(AgentError) -> [AttachedApplication] {
        let applications = try asking { try dataplane.applications() }
        for application in applications { try takeAway(application) }
        for cgroup in try asking({ try dataplane.guardedCgroups() }) { try asking { try dataplane.unprotect(cgroup) } }
        return applications
    }

    /// Takes away what an instance has outside the kernel: names in the hosts file, and what is remembered of addresses.
    /// - Returns: warnings.
    public func forget() -> [String] {
        var warnings: [String] = []
        for step in [{ _ = try host.name([]) }, { try host.keepLeases(nil) }] {
            do throws(AgentError) {
                try asking(step)
            } catch {
                warnings.append("something of the instance is left: \(error.message)")
            }
        }
        return warnings
    }

    /// The attached application with a name, a hostname, an address or a cgroup.
    func application(
        _ selector: String, among applications: [AttachedApplication]
    ) throws(AgentError) -> AttachedApplication {
        if let found = applications.first(where: { $0.name == selector }) { return found }
        if let found = applications.first(where: { $0.cgroupPath == selector }) { return found }
        if selector.contains("/"), let cgroup = try? host.openCgroup(selector) {
            host.close(cgroup)
            if let found = applications.first(where: { $0.cgroupID == cgroup.id }) { return found }
        }
        throw AgentError(
            .notFound, "no application “\(selector)” is attached",
            hint: Name.nearest(to: selector, among: applications.map(\.name)))
    }
}
