import PolicyModel

/// What a daemon keeps of its last look, so that it need not work it out again. Never more than a short cut.
public struct LastLook: Sendable {
    /// The published policy as it was read.
    var published: PublishedPolicy
    /// The same, parsed.
    var policy: Policy
    /// The host as the published policy knows it.
    var view: HostView

    /// The cgroups of what is attached or guarded.
    var held: Set<String>

    /// The cgroups whose coming and going matters: those that the policy names, and those that are held.
    public var cgroups: Set<String> {
        held.union(policy.applications.compactMap(\.cgroup)).union(policy.hostGuard?.cgroups ?? [])
    }
}

extension Agent {
    /// Attaches the applications whose cgroups have come since the last look, before anything else is looked at: programs in
    /// them wait for nothing. The whole look has to follow.
    /// - Parameter last: what the last call of ``mend(_:)`` found.
    /// - Returns: nil if none has come, or could be attached.
    public func welcome(_ last: inout LastLook?) throws(AgentError) -> ApplyReport? {
        guard let known = last else { return nil }
        let arrived = known.policy.applications.filter { application in
            guard let path = application.cgroup, !known.held.contains(path) else { return false }
            return host.cgroupExists(path) == true
        }
        guard !arrived.isEmpty, let published = try asking({ try dataplane.publishedPolicy() }),
            published.text == known.published.text, published.source == known.published.source
        else { return nil }
        let ground = try observe()
        var report = ApplyReport(plan: Plan(changes: arrived.map { .attach($0) }), repairs: [])
        var applications: [String: AttachedApplication] = [:]
        carryOut(report.plan, policy: known.policy, applications: &applications, ground: ground, report: &report)
        guard !report.attached.isEmpty else { return nil }
        tellNames(warnings: &report.warnings)
        last?.held.formUnion(report.attached.map(\.application.cgroupPath))
        return report
    }

    /// Throws if an application that the policy names is not attached to the cgroup that is there now.
    func requireAttached(_ name: String) throws(AgentError) {
        guard let policy = try publishedPolicy()?.policy else { throw .noPolicy }
        guard let named = policy.application(named: name) else {
            throw AgentError(
                .notFound, "the policy names no application “\(name)”",
                hint: Name.nearest(to: name, among: policy.applications.map(\.name)))
        }
        let attached = try asking { try dataplane.applications() }.first { $0.name == name && $0.state == .attached }
        guard let attached, !isGone(attached) else {
            let reason = named.cgroup.map { "its cgroup is to be \($0)" } ?? "the policy gives no cgroup to it"
            throw AgentError(.failure, "“\(name)” is not attached: \(reason)", hint: "see the daemon's log")
        }
    }

    /// Makes the published policy hold where it no longer does: attaches applications whose cgroups have come, clears up
    /// after those that went, puts addresses back. Publishes it again only if the host is another than the one that it was
    /// published for.
    ///
    /// What cannot be put right is told as a failure, and all else is done.
    /// - Parameter last: what the last call found, and then what this one did.
    /// - Returns: nil if no policy is published.
    public func mend(_ last: inout LastLook?) throws(AgentError) -> ApplyReport? {
        guard let published = try asking({ try dataplane.publishedPolicy() }) else {
            last = nil
            return nil
        }
        let ground = try settle()
        let known = last?.published.text == published.text && last?.published.source == published.source
        let policy =
            if known, let last { last.policy } else { try Self.parse(published.text, source: published.source) }
        let view = try view(for: policy, ground: ground)
        let isOutdated = last.map { $0.published.generation == published.generation && $0.view != view } ?? false
        let guarded = try asking { try dataplane.guardedCgroups() }
        // What is required and does not hold is found by each attachment for itself: asking here would be for nothing
        // nearly always.
        let plan = Plan.make(
            current: policy, desired: policy, attached: ground.applications, guarded: guarded,
            cgroupsPresent: presence(among: ground.applications, guarded: guarded, settled: true))
        last = LastLook(
            published: published, policy: policy, view: view,
            held: Set(ground.applications.map(\.cgroupPath) + guarded.map(\.path)))
        guard !isOutdated, !plan.changes.contains(where: \.comesBeforePublication) else {
            var report = try apply(published.text, source: published.source)
            report.repairs = ground.repairs + report.repairs
            if let generation = report.generation { last?.published.generation = generation }
            return report
        }
        var report = ApplyReport(plan: plan, repairs: ground.repairs, warnings: ground.warnings)
        var applications = Dictionary(
            ground.applications.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        carryOut(plan, policy: policy, applications: &applications, ground: ground, report: &report)
        let isUnchanged = plan.changes.isEmpty && ground.repairs.isEmpty
        tellNames(of: isUnchanged ? ground.applications : nil, warnings: &report.warnings)
        return report
    }
}

extension Change {
    /// Whether `apply` does it before it publishes, as it only denies.
    fileprivate var comesBeforePublication: Bool {
        switch self {
        case .setEgress(_, on: true): true
        case .move(_, let from, let to): from.isElsewhere(than: to)
        default: false
        }
    }
}
