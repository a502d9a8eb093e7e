public import PolicyModel

/// Says of denials whose they were and what of the policy is behind them. The policy is read once for each publication.
public struct DenialReader {
    private var known: (generation: UInt32, index: PolicyIndex)?

    /// A reader that knows nothing yet.
    public init() {}

    /// What is shown of denials, by an agent that holds the instance's lock.
    public mutating func records(of denials: [Denial], by agent: Agent) throws(AgentError) -> [DenialRecord] {
        guard !denials.isEmpty else { return [] }
        let applications = try agent.asking { try agent.dataplane.applications() }
        let byCgroup = Dictionary(applications.map { ($0.cgroupID, $0) }, uniquingKeysWith: { first, _ in first })
        let holders = AddressHolders(applications)
        try readPolicy(agent)
        return denials.map { denial in
            let application = byCgroup[denial.cgroupID]
            let transport = TransportProtocol.allCases.first { UInt32($0.number) == denial.transport }
            let line = application.flatMap { denyingLine(of: denial, transport, by: $0.subject) }
            return DenialRecord(
                time: denial.time, application: application?.name ?? "cgroup \(denial.cgroupID)",
                environment: application?.environment, hook: denial.hook.name, reason: denial.reason.name,
                file: line == nil ? nil : known?.index.policy.source, line: line, audited: denial.audited,
                transport: transport?.rawValue ?? (denial.transport == 0 ? "-" : "protocol \(denial.transport)"),
                remote: denial.remote, remotePort: denial.remotePort,
                peer: denial.remote.flatMap(holders.owner).map { applications[$0].name }, local: denial.local,
                localPort: denial.localPort, process: denial.process == 0 ? nil : denial.process,
                command: denial.process == 0 ? nil : denial.command)
        }
    }

    private mutating func readPolicy(_ agent: Agent) throws(AgentError) {
        guard let published = try agent.asking({ try agent.dataplane.publishedPolicy() }) else {
            known = nil
            return
        }
        guard known?.generation != published.generation else { return }
        let policy = try Agent.parse(published.text, source: published.source)
        known = (published.generation, PolicyIndex(policy))
    }

    /// The line that denies it, by the policy that is in force now. Only the remote policy denies by a line; elsewhere what
    /// denies is that no line allows. The host's addresses are none of its matter.
    private func denyingLine(of denial: Denial, _ transport: TransportProtocol?, by subject: Subject) -> Int? {
        guard denial.reason == .remoteDenied, let index = known?.index, let transport, let remote = denial.remote else {
            return nil
        }
        let attempt: Attempt
        if denial.hook == .ingress {
            guard let local = denial.local else { return nil }
            attempt = .incoming(
                Incoming(
                    transport, from: remote, port: denial.remotePort, to: local, port: denial.localPort,
                    arrival: .interface(0)))
        } else {
            attempt = .outgoing(Outgoing(transport, to: remote, port: denial.remotePort))
        }
        let verdict = index.verdict(attempt, by: subject, on: HostView())
        return verdict.reason == denial.reason ? verdict.line : nil
    }
}
