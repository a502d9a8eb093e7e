import PolicyModel

extension Agent {
    /// Adds records to what is learnt from, in their order.
    public func learn(from records: [DenialRecord], into denials: inout LearntDenials) throws(AgentError) {
        guard !records.isEmpty else { return }
        let environments = Dictionary(
            try asking { try dataplane.applications() }.map { ($0.name, $0.environment) },
            uniquingKeysWith: { first, _ in first })
        for record in records { denials.add(record, environment: environments[record.application]) }
    }

    /// What would have allowed the denials under the published policy.
    public func suggestions(from denials: LearntDenials) throws(AgentError) -> SuggestionReport {
        guard let (policy, _) = try publishedPolicy() else {
            throw AgentError(.notFound, "no policy is published", hint: "publish one: vne-agent apply POLICY.yaml")
        }
        let suggestions = Suggestions(policy, denials: denials.tally, enforced: denials.enforced)
        return SuggestionReport(suggestions, gaps: denials.gaps)
    }

    /// How many denials that can be learnt from the hooks of each application have counted since it was attached.
    public func counts(for denials: LearntDenials) throws(AgentError) -> DenialCounts {
        var counts = DenialCounts()
        for application in try asking({ try dataplane.applications() }) {
            let counters = try asking { try dataplane.counters(of: application) }
            let reachability = counters.verdicts.values.joined().filter { $0.key.isReachability }
            counts[application.name] =
                denials.enforced
                ? reachability.reduce(0) { $0 &+ $1.value } : counters.audited.values.reduce(0, &+)
        }
        return counts
    }
}
