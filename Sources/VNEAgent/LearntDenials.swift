import PolicyModel

/// A number of denials of each application, by its name.
public typealias DenialCounts = [String: UInt64]

/// Recorded denials to make suggestions of, and where there were more than records.
public struct LearntDenials: Sendable {
    /// Whether denials that were enforced are learnt from, too, and not only what audit mode let through.
    public let enforced: Bool
    private(set) var tally = DenialTally()
    private(set) var gaps: [SuggestionReport.Gap] = []
    /// Since the last reckoning.
    private var recorded = DenialCounts()

    /// Without any.
    public init(enforced: Bool) {
        self.enforced = enforced
    }

    /// Adds records, in their order.
    public mutating func add(_ records: [DenialRecord]) {
        for record in records {
            guard let denial = RecordedDenial(record) else { continue }
            tally.add(denial)
            guard denial.reason.isReachability, denial.audited || enforced else { continue }
            recorded[record.application, default: 0] += 1
        }
    }

    /// Compares what was counted with the records that came since the last time.
    /// - Parameter whole: Whether the records should be all that was counted; else only applications with records are
    ///   looked at, as whatever was read before is in no record.
    public mutating func reckon(with counted: DenialCounts, since: SuggestionReport.Gap.Start, whole: Bool) {
        for (name, count) in counted.sorted(by: { $0.key < $1.key }) {
            let records = recorded[name, default: 0]
            guard count > records, whole || records > 0 else { continue }
            gaps.append(SuggestionReport.Gap(application: name, since: since, counted: count, recorded: records))
        }
        recorded = [:]
    }
}

extension RecordedDenial {
    /// A denial from its record; nil for a hook or a reason of another version.
    fileprivate init?(_ record: DenialRecord) {
        guard let hook = Hook.allCases.first(where: { $0.name == record.hook }),
            let reason = Reason(name: record.reason)
        else { return nil }
        self.init(
            application: record.application, environment: record.environment, hook: hook, reason: reason,
            audited: record.audited, transport: TransportProtocol(rawValue: record.transport), local: record.local,
            localPort: record.localPort, remote: record.remote, remotePort: record.remotePort)
    }
}
