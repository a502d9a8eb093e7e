import PolicyModel

extension Agent {
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
