public import PolicyModel

/// How fast an instance's hooks judged between two readings.
public struct Rates: Hashable, Sendable, Codable {
    /// Verdicts a second.
    public struct Pair: Hashable, Sendable, Codable {
        /// Let through, audited denials included.
        public var allowed: Double
        /// Denied in effect.
        public var denied: Double
    }
    /// What was denied most, whether audit mode let it through or not.
    public struct Denial: Hashable, Sendable, Codable {
        /// The hook's word.
        public var hook: String
        /// The reason's word.
        public var reason: String
        /// How often a second.
        public var rate: Double
    }
    /// One application's.
    public struct Row: Hashable, Sendable, Codable {
        /// Its name.
        public var application: String
        /// Its environment.
        public var environment: String
        /// System calls: making sockets, binding, connecting, sending datagrams, and what leads round these.
        public var calls: Pair
        /// Packets that came.
        public var incoming: Pair
        /// Packets that left, where the environment has them judged.
        public var outgoing: Pair
        /// Denials that audit mode let through.
        public var audited: Double
        /// Nil where nothing was denied.
        public var topDenial: Denial?
    }
    /// Seconds between the readings.
    public var seconds: Double
    /// What is denied most comes first, then what judges most.
    public var applications: [Row]

    /// The rates between two readings. An application that was attached in between counts from there on.
    public init(from before: CounterReading, to after: CounterReading, seconds: Double) {
        self.seconds = Self.rounded(seconds)
        let earlier = Dictionary(
            before.members.map { ($0.application.cgroupID, $0.counters) }, uniquingKeysWith: { first, _ in first })
        applications = after.members.map { member in
            Self.row(member, since: earlier[member.application.cgroupID] ?? VerdictCounters(), seconds: seconds)
        }
        .sorted { ($1.denied, $1.total, $0.application) < ($0.denied, $0.total, $1.application) }
    }

    private static func row(_ member: CounterReading.Member, since before: VerdictCounters, seconds: Double) -> Row {
        let now = member.counters
        // Attached anew in between: it began at zero.
        let isAnew = Hook.allCases.contains { now.allowed($0) < before.allowed($0) }
        let before = isAnew ? VerdictCounters() : before
        func rate(_ count: (VerdictCounters) -> UInt64) -> Double {
            let (later, earlier) = (count(now), count(before))
            return rounded(Double(later - min(later, earlier)) / seconds)
        }
        func pair(_ hooks: Hook...) -> Pair {
            Pair(
                allowed: rate { counters in hooks.reduce(0) { $0 &+ counters.allowed($1) } },
                denied: rate { counters in hooks.reduce(0) { $0 &+ counters.denied($1) } })
        }
        let denials = Hook.allCases.flatMap { hook in
            Reason.allCases.filter { !$0.allows }.map { reason in
                Denial(hook: hook.name, reason: reason.rawValue, rate: rate { $0.verdicts[hook]?[reason] ?? 0 })
            }
        }
        return Row(
            application: member.application.name, environment: member.application.environment,
            calls: pair(.create, .bind, .connect, .send, .system), incoming: pair(.ingress), outgoing: pair(.egress),
            audited: rate { $0.audited.values.reduce(0, &+) },
            topDenial: denials.max { $0.rate < $1.rate }.flatMap { $0.rate > 0 ? $0 : nil })
    }

    /// To a hundredth.
    private static func rounded(_ number: Double) -> Double { (number * 100).rounded() / 100 }

    /// All that is denied in effect.
    public var denied: Double { applications.reduce(0) { $0 + $1.denied } }
}

extension Rates.Row {
    fileprivate var denied: Double { calls.denied + incoming.denied + outgoing.denied }
    fileprivate var total: Double { denied + calls.allowed + incoming.allowed + outgoing.allowed }
}

extension Rates {
    /// A row for each application.
    public var table: Table {
        Table(
            [
                "APPLICATION", "ENVIRONMENT", "CALLS/S", "DENIED", "IN/S", "DENIED", "OUT/S", "DENIED", "AUDITED",
                "TOP DENIAL",
            ],
            rows: applications.map { row in
                let numbers =
                    [row.calls, row.incoming, row.outgoing].flatMap { [$0.allowed, $0.denied] } + [row.audited]
                return [row.application, row.environment] + numbers.map(Self.text)
                    + [row.topDenial.map { "\($0.hook) \($0.reason) \(Self.text($0.rate))" } ?? "-"]
            }, rightAligned: [2, 3, 4, 5, 6, 7, 8])
    }

    /// One decimal for what is small.
    private static func text(_ rate: Double) -> String {
        if rate == 0 { return "0" }
        if rate >= 10 { return "\(UInt64(rate.rounded()))" }
        let tenths = UInt64((rate * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
