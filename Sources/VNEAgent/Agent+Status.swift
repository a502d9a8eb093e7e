import PolicyModel

extension Agent {
    /// The attached applications by name, without their counters.
    public func list() throws(AgentError) -> [ApplicationStatus] {
        let policy = try publishedPolicy()?.policy
        return try asking { try dataplane.applications() }.sorted { $0.name < $1.name }
            .map { status(of: $0, policy: policy) }
    }

    /// One application with its counters.
    public func status(of selector: String) throws(AgentError) -> ApplicationStatus {
        let policy = try publishedPolicy()?.policy
        return try countedStatus(
            of: try application(selector, among: try asking { try dataplane.applications() }), policy: policy)
    }

    /// The instance: its policy, its applications with their counters, and what is not as it should be.
    public func status() throws(AgentError) -> InstanceStatus {
        let published = try publishedPolicy()
        let attached = try asking { try dataplane.applications() }.sorted { $0.name < $1.name }
        // Asking costs time: not for nobody.
        let holdings = attached.isEmpty ? Holdings(unheld: [:]) : visibleHoldings()
        var applications: [ApplicationStatus] = []
        for application in attached {
            applications.append(try countedStatus(of: application, policy: published?.policy))
        }
        var problems: [String] = []
        let addresses = try asking { try host.interfaceAddresses() }
        for (application, record) in zip(applications, attached) {
            problems += Self.problems(of: application)
            let required = published?.policy.environment(named: record.environment)?.requires ?? []
            let missing = holdings.missing(required, confined: record.confined)
            if !missing.isEmpty {
                problems.append(
                    "\(record.name) lacks what its environment \(record.environment) requires: "
                        + Protection.list(missing))
            }
            // A host without IPv6 has no place for a private ::1.
            if addresses.showIPv6, !addresses.contains(record.loopback.ipv6) {
                problems.append(
                    "the private loopback of \(record.name) is on no interface: the next changing command puts it back")
            }
            for address in application.addresses where !addresses.contains(address) {
                problems.append("the address \(address) of \(application.name) is on no interface")
            }
        }
        let names = Set(attached.map(\.name))
        for named in published?.policy.applications ?? [] where named.cgroup != nil && !names.contains(named.name) {
            problems.append(
                "\(named.name) is named by the policy and not attached: its processes, if there are any, are not isolated"
            )
        }
        let guards = try guards()
        problems += Self.problems(of: guards, in: published?.policy)
        return InstanceStatus(
            instance: instance,
            policy: published.map {
                InstanceStatus.PolicySummary(
                    source: $0.published.source, generation: $0.published.generation,
                    environments: $0.policy.environments.count, applications: $0.policy.applications.count)
            },
            applications: applications, guards: guards, problems: problems)
    }

    private static func problems(of application: ApplicationStatus) -> [String] {
        let name = application.name
        return switch application.word {
        case "cgroup-gone": ["the cgroup of \(name) is gone: the next changing command detaches it"]
        case "attaching", "detaching":
            ["\(name) is \(application.word) and denied everything: the next changing command finishes that"]
        case "stranded":
            [
                "\(name) is denied everything: the policy has no environment \(application.environment) with "
                    + (application.addresses.count == 1 ? "the address " : "the addresses ")
                    + application.addresses.map(\.description).joined(separator: " and ")
            ]
        default: []
        }
    }

    private func countedStatus(
        of application: AttachedApplication, policy: Policy?
    ) throws(AgentError) -> ApplicationStatus {
        var status = status(of: application, policy: policy)
        status.protections = visibleHoldings(of: application).statuses(confined: application.confined)
        let counters = try asking { try dataplane.counters(of: application) }
        let counts = Hook.allCases.flatMap { hook in
            Reason.allCases.compactMap { reason in
                counters.verdicts[hook]?[reason].map {
                    ApplicationStatus.Count(hook: hook.name, reason: reason.name, allows: reason.allows, count: $0)
                }
            }
        }
        status.counters = ApplicationStatus.Counters(
            allowed: counters.allowed, denied: counters.denied, audited: counters.audited.values.reduce(0, &+),
            counts: counts)
        return status
    }

    private func status(of application: AttachedApplication, policy: Policy?) -> ApplicationStatus {
        let environment = policy?.environment(named: application.environment)
        return ApplicationStatus(
            name: application.name, environment: application.environment, addresses: application.addresses.all,
            loopback: application.loopback.localhosts, hostname: application.hostname, cgroup: application.cgroupPath,
            cgroupExists: host.cgroupExists(application.cgroupPath, id: application.cgroupID),
            populated: host.isPopulated(application.cgroupPath), state: application.state,
            stranded: environment?.contains(application.addresses) != true, fromPolicy: application.fromPolicy,
            egress: application.egress, confined: application.confined, protections: nil, counters: nil)
    }
}
