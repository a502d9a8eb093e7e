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
        var applications: [ApplicationStatus] = []
        for application in attached {
            applications.append(try countedStatus(of: application, policy: published?.policy))
        }
        var problems: [String] = []
        let addresses = try asking { try host.interfaceAddresses() }
        for application in applications {
            problems += Self.problems(of: application)
            if !addresses.contains(application.address) {
                problems.append("the address \(application.address) of \(application.name) is on no interface")
            }
        }
        let names = Set(attached.map(\.name))
        for named in published?.policy.applications ?? [] where named.cgroup != nil && !names.contains(named.name) {
            problems.append(
                "\(named.name) is named by the policy and not attached: its processes, if there are any, are not isolated"
            )
        }
        return InstanceStatus(
            instance: instance,
            policy: published.map {
                InstanceStatus.PolicySummary(
                    source: $0.published.source, generation: $0.published.generation,
                    environments: $0.policy.environments.count, applications: $0.policy.applications.count)
            },
            applications: applications, problems: problems)
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
                    + "the address \(application.address)"
            ]
        default: []
        }
    }

    private func countedStatus(
        of application: AttachedApplication, policy: Policy?
    ) throws(AgentError) -> ApplicationStatus {
        var status = status(of: application, policy: policy)
        let counters = try asking { try dataplane.counters(of: application) }
        let counts = counters.verdicts.flatMap { hook, reasons in
            reasons.map { (hook: hook, reason: $0.key, count: $0.value) }
        }
        status.counters = ApplicationStatus.Counters(
            allowed: counters.allowed, denied: counters.denied, audited: counters.audited.values.reduce(0, +),
            counts: counts.sorted { ($0.hook.rawValue, $0.reason.rawValue) < ($1.hook.rawValue, $1.reason.rawValue) }
                .map {
                    ApplicationStatus.Count(
                        hook: $0.hook.name, reason: $0.reason.name, allows: $0.reason.allows, count: $0.count)
                })
        return status
    }

    private func status(of application: AttachedApplication, policy: Policy?) -> ApplicationStatus {
        let environment = policy?.environment(named: application.environment)
        return ApplicationStatus(
            name: application.name, environment: application.environment, address: application.address,
            hostname: application.hostname, cgroup: application.cgroupPath,
            cgroupExists: host.cgroupExists(application.cgroupPath, id: application.cgroupID),
            populated: host.isPopulated(application.cgroupPath), state: application.state,
            stranded: environment?.contains(application.address) != true, fromPolicy: application.fromPolicy,
            egress: application.egress, counters: nil)
    }
}
