public import PolicyModel

/// What `apply` planned and did.
public struct ApplyReport: Sendable {
    /// An application that could not be taken where the policy wants it.
    public struct Failure: Sendable {
        /// The application's name.
        public var application: String
        /// Why.
        public var error: AgentError
    }
    /// What was to be done, and what is only to be told.
    public var plan: Plan
    /// Counts publications of the instance; nil for a dry run.
    public var generation: UInt32?
    /// What attaching each new application did.
    public var attached: [AttachReport] = []
    /// Live flows that the new policy forbids and that were closed, as `tcp 10.0.0.1:80 -> 10.0.0.2:4000`.
    public var cutFlows: [String] = []
    /// Applications that could not be taken where the policy wants them. The policy is published all the same. In a dry run:
    /// those whose environment requires what does not hold.
    public var failures: [Failure] = []
    /// What earlier commands had left.
    public var repairs: [Repair]
    /// What the user should know.
    public var warnings: [String] = []
}

extension Agent {
    /// Makes a policy file hold: publishes it in one atomic change, then takes each application where it wants it and
    /// cuts the live flows that it forbids.
    ///
    /// What takes away goes before what gives: the egress hook is there before a protocol that needs it, an application
    /// that moves is denied everything until it has, and a policy that was not published leaves all as it was.
    /// - Parameters:
    ///   - text: the policy file.
    ///   - source: its name, for messages.
    ///   - dryRun: plan only, change nothing.
    ///   - dependencies: what the host needs and must not lie in the address space; it is warned of.
    public func apply(
        _ text: String, source: String, dryRun: Bool = false, dependencies: HostDependencies = HostDependencies()
    ) throws(AgentError) -> ApplyReport {
        let desired = try Self.parse(text, source: source)
        let ground = dryRun ? try observe() : try settle()
        let published = try asking { try dataplane.publishedPolicy() }
        // A policy that this version cannot read counts as none, and its replacement as one that revokes.
        let current = published.flatMap { try? Self.parse($0.text, source: $0.source) }
        let guarded = try asking { try dataplane.guardedCgroups() }
        var holdings = Holdings(unheld: [:])
        if desired.environments.contains(where: { !$0.requires.isEmpty }) { holdings = try self.holdings() }
        let plan = Plan.make(
            current: current, desired: desired, attached: ground.applications, guarded: guarded,
            cgroupsPresent: presence(among: ground.applications, guarded: guarded, settled: !dryRun),
            unmet: { holdings.missing($0, confined: false) })
        var report = ApplyReport(plan: plan, repairs: ground.repairs, warnings: ground.warnings)
        let own = ground.interfaceAddresses.subtracting(ground.applications.flatMap(\.addresses.all))
        report.warnings += Self.overlaps(of: desired, interfaces: own, dependencies: dependencies)
        try checkAddresses(of: plan, ground: ground)
        try checkGuard(of: desired, ground: ground)
        try checkProtections(of: plan, policy: desired, attached: ground.applications, holdings: holdings)
        for case .waiting(let name, .protections(let missing, let environment)) in plan.changes {
            let error = Self.unmet(missing, of: environment, for: name, holdings: holdings)
            report.failures.append(ApplyReport.Failure(application: name, error: error))
        }
        if dryRun { return report }

        let view = try view(for: desired, ground: ground)
        for name in desired.addressSpaceInterfaces where view.interfaces[name] == nil {
            report.warnings.append(
                "there is no interface “\(name)”: sources in the address space are not believed on it until an apply "
                    + "finds it")
        }
        var applications = Dictionary(
            ground.applications.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        try publish(desired, text: text, view: view, plan: plan, applications: &applications) {
            $0 || (published != nil && current == nil)
        }
        report.generation = try asking { try dataplane.publishedPolicy() }?.generation
        carryOut(plan, policy: desired, applications: &applications, ground: ground, report: &report)
        try cut(policy: desired, previous: current, view: view, report: &report)
        // What was attached before is on the interface of before.
        if let current, current.interface != desired.interface { report.repairs += try settle().repairs }
        tellNames(warnings: &report.warnings)
        return report
    }

    /// The steps that only deny, then the publication; if it fails, the steps are taken back.
    private func publish(
        _ policy: Policy, text: String, view: HostView, plan: Plan,
        applications: inout [String: AttachedApplication], revoking: (Bool) -> Bool
    ) throws(AgentError) {
        let generation = try asking { try dataplane.publishedPolicy() }?.generation
        var raised: [AttachedApplication] = []
        var denied: [AttachedApplication] = []
        do {
            for case .setEgress(let name, on: true) in plan.changes {
                guard let application = applications[name] else { continue }
                raised.append(application)
                applications[name] = try setEgress(true, of: application)
            }
            for case .move(let name, let from, let to) in plan.changes where from.isElsewhere(than: to) {
                guard let application = applications[name] else { continue }
                denied.append(application)
                try asking { try dataplane.deny(application) }
                applications[name]?.state = .attaching
            }
            try asking { try dataplane.publish(policy, text: text, on: view, revoking: revoking(plan.revokes)) }
        } catch {
            var error = error
            // If the publication took effect all the same, or nobody knows, what denies goes on denying.
            guard let now = try? dataplane.publishedPolicy(), now.generation == generation else { throw error }
            for application in denied {
                do {
                    try asking { try dataplane.open(application) }
                } catch let second {
                    error.details.append("\(application.name) is denied everything until the next command: \(second)")
                }
            }
            // Too much of this hook costs time, not safety.
            for application in raised { _ = try? setEgress(false, of: application) }
            throw error
        }
    }

    /// The host as a policy sees it: without the addresses of applications.
    func view(for policy: Policy, ground: Ground) throws(AgentError) -> HostView {
        var excluded = Set(ground.applications.flatMap(\.addresses.all))
        excluded.formUnion(policy.applications.flatMap { $0.addresses?.all ?? [] })
        return try asking { try host.view(interfaces: policy.addressSpaceInterfaces, excluding: excluded) }
    }

    /// The steps after the publication. One that fails is told, and the others go on.
    func carryOut(
        _ plan: Plan, policy: Policy, applications: inout [String: AttachedApplication], ground: Ground,
        report: inout ApplyReport
    ) {
        func trying(_ name: String, _ step: () throws(AgentError) -> Void) {
            do {
                try step()
            } catch {
                report.failures.append(ApplyReport.Failure(application: name, error: error))
            }
        }
        for case .unprotect(let path, _) in plan.changes {
            trying(Self.name(ofGuard: path)) { () throws(AgentError) in try unprotect(path) }
        }
        for case .detach(let name, _) in plan.changes {
            guard let application = applications[name] else { continue }
            trying(name) { () throws(AgentError) in
                try takeAway(application)
                applications[name] = nil
            }
        }
        for case .move(let name, _, let place) in plan.changes {
            guard let application = applications[name] else { continue }
            trying(name) { () throws(AgentError) in
                let target = try record(of: application, at: place, in: policy, ground: try observe())
                if application.state == .attaching {
                    let moved = try move(application, to: target, warnings: &report.warnings)
                    applications[name] = moved
                    announce(Set(moved.addresses.all), warnings: &report.warnings)
                } else {
                    // Only the hostname, or who named it: nothing that is judged.
                    try asking { try dataplane.update(target) }
                    applications[name] = target
                }
            }
        }
        for case .protect(let path) in plan.changes {
            trying(Self.name(ofGuard: path)) { () throws(AgentError) in try protect(path) }
        }
        // Where nothing was taken away or moved, the host is as it was found.
        attachNew(plan, policy: policy, ground: plan.onlyAttaches ? ground : nil, report: &report)
        for case .setEgress(let name, on: false) in plan.changes {
            guard let application = applications[name] else { continue }
            trying(name) { () throws(AgentError) in applications[name] = try setEgress(false, of: application) }
        }
    }

    /// Attaches what the plan says. The host is looked at once: what one attachment changes is known to the next.
    private func attachNew(_ plan: Plan, policy: Policy, ground: Ground?, report: inout ApplyReport) {
        var ground = ground
        let fixed = plan.changes.flatMap { change -> [IPAddress] in
            if case .attach(let application) = change { application.addresses?.all ?? [] } else { [] }
        }
        let chosen = plan.changes.compactMap { change -> Application? in
            if case .attach(let application) = change, application.addresses == nil { application } else { nil }
        }
        // Whatever is not known to be free is asked for by the attachment itself.
        var free: Set<IPAddress> = []
        if let carrier = try? carrier(), !carrier.isEmpty, let now = try? ground ?? observe() {
            let likely = (try? likelyAddresses(of: chosen, in: policy, ground: now)) ?? []
            free = (try? self.free(likely.union(fixed))) ?? []
        }
        defer { announce(Set(report.attached.flatMap(\.application.addresses.all)), warnings: &report.warnings) }
        for case .attach(let application) in plan.changes {
            guard let cgroup = application.cgroup else { continue }
            do throws(AgentError) {
                var known = if let ground { ground } else { try observe() }
                // The only copy: what is appended to it is not copied first.
                ground = nil
                known.free = free
                known.loopbacks = known.loopbacks ?? takenLoopbacks(of: known.applications)
                let attached = try attach(
                    application, of: policy, cgroup: cgroup, clean: nil, ground: known)
                known.applications.append(attached.application)
                known.loopbacks?.insert(attached.application.loopback)
                known.interfaceAddresses.formUnion(attached.application.addresses.all)
                known.carried.formUnion(attached.application.addresses.all)
                ground = known
                report.attached.append(attached)
            } catch {
                report.failures.append(ApplyReport.Failure(application: application.name, error: error))
            }
        }
    }

    /// Closes the applications' connected sockets that the policy, as it is now, would not let be made.
    private func cut(
        policy: Policy, previous: Policy?, view: HostView, report: inout ApplyReport
    ) throws(AgentError) {
        let applications = try asking { try dataplane.applications() }
        guard !applications.isEmpty else { return }
        let judge = try flowJudge(policy: policy, previous: previous, view: view, applications: applications)
        let forbidden = judge.sockets.filter { judge.judgement(of: $0)?.allowed == false }
        var warnings: [String] = []
        for socket in forbidden where close([socket], warnings: &warnings, because: { _ in "is forbidden now" }) == 1 {
            report.cutFlows.append(socket.summary)
        }
        report.warnings += warnings
    }

    private func setEgress(
        _ egress: Bool, of application: AttachedApplication
    ) throws(AgentError) -> AttachedApplication {
        try withCgroup(of: application) { cgroup throws(AgentError) in
            try asking { try dataplane.setEgress(egress, of: application, cgroup: cgroup.descriptor) }
        }
        var changed = application
        changed.egress = egress
        return changed
    }

    private func withCgroup<Answer>(
        of application: AttachedApplication, _ body: (OpenCgroup) throws(AgentError) -> Answer
    ) throws(AgentError) -> Answer {
        let cgroup = try asking { try host.openCgroup(application.cgroupPath) }
        defer { host.close(cgroup) }
        return try body(cgroup)
    }

    /// An address that the host itself has cannot become an application's. Found before anything changes.
    private func checkAddresses(of plan: Plan, ground: Ground) throws(AgentError) {
        let own = ground.interfaceAddresses.subtracting(ground.applications.flatMap(\.addresses.all))
        for change in plan.changes {
            let (name, addresses): (String, ApplicationAddresses?) =
                switch change {
                case .attach(let application): (application.name, application.addresses)
                case .move(let name, _, let to): (name, to.addresses)
                default: ("", nil)
                }
            guard let address = addresses?.all.first(where: own.contains) else { continue }
            throw AgentError(
                .conflict, "\(address) of the application “\(name)” is on an interface of this host already",
                hint: "an application address is installed by the attachment; take it off the interface first")
        }
    }

    /// Whether there is a cgroup at a path. An attached one is found by its id, so that one that cannot be opened just now
    /// is not taken for gone; of what was settled just now it is known.
    func presence(
        among applications: [AttachedApplication], guarded: [GuardedCgroup], settled: Bool
    ) -> (String) -> Bool {
        let attached = Dictionary(applications.map { ($0.cgroupPath, $0) }, uniquingKeysWith: { first, _ in first })
        return { path in
            if let application = attached[path] { return settled || !isGone(application) }
            if path == HostGuard.root || guarded.contains(where: { $0.path == path }) {
                return isPresent(guarded: path, among: guarded)
            }
            // Whatever else keeps it from being opened is for the attachment to tell.
            return host.cgroupExists(path) ?? true
        }
    }

    /// What an operation that changes nothing starts from.
    func observe() throws(AgentError) -> Ground {
        let carrier = try carrier()
        let applications = try asking { try dataplane.applications() }
        let addresses = try asking { try host.addresses(carrier: carrier) }
        return Ground(
            applications: applications, interfaceAddresses: addresses.all, carried: addresses.carried, repairs: [])
    }
}

extension Plan {
    /// Whether it changes nothing that is attached already.
    fileprivate var onlyAttaches: Bool {
        changes.allSatisfy { change in
            switch change {
            case .detach, .move, .protect, .unprotect: false
            default: true
            }
        }
    }
}

extension Change.Placement {
    /// Whether going from one to the other changes what is judged.
    func isElsewhere(than other: Self) -> Bool {
        environment != other.environment || addresses != other.addresses
    }
}
