public import PolicyModel

/// What the hooks of an instance's applications and the guards have counted, read at one time.
public struct CounterReading: Hashable, Sendable {
    /// An application and its counters.
    public struct Member: Hashable, Sendable {
        /// The application.
        public var application: AttachedApplication
        /// What its hooks have counted since it was attached.
        public var counters: VerdictCounters
    }
    /// The instance's name.
    public var instance: String
    /// Counts publications; nil if no policy is published.
    public var generation: UInt32?
    /// By name.
    public var members: [Member]
    /// By path.
    public var guards: [GuardStatus]
}

extension Agent {
    /// Reads every counter.
    public func reading() throws(AgentError) -> CounterReading {
        var members: [CounterReading.Member] = []
        for application in try asking({ try dataplane.applications() }).sorted(by: { $0.name < $1.name }) {
            members.append(
                CounterReading.Member(
                    application: application, counters: try asking { try dataplane.counters(of: application) }))
        }
        return CounterReading(
            instance: instance, generation: try asking { try dataplane.publishedPolicy() }?.generation,
            members: members, guards: try guards())
    }
}

extension VerdictCounters {
    /// What one hook let through, audited denials included.
    func allowed(_ hook: Hook) -> UInt64 {
        sum(hook) { $0.allows } &+ audited[hook, default: 0]
    }

    /// What one hook denied in effect.
    func denied(_ hook: Hook) -> UInt64 {
        let recorded = sum(hook) { !$0.allows }
        return recorded - min(recorded, audited[hook, default: 0])
    }

    private func sum(_ hook: Hook, where isMeant: (Reason) -> Bool) -> UInt64 {
        (verdicts[hook] ?? [:]).reduce(0) { isMeant($1.key) ? $0 &+ $1.value : $0 }
    }
}
