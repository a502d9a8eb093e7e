import PolicyModel
import Testing

@testable import VNEAgent

/// `suggest`: from records to a report, and what that says of records that are missing.
@Suite struct SuggestTests {
    let world = FakeWorld()

    init() throws {
        try world.publish(Samples.attached)
    }

    private func record(
        _ reason: String = "other-environment", hook: String = "connect", audited: Bool = true, to port: UInt16 = 443
    ) -> DenialRecord {
        DenialRecord(
            time: 1, application: "web", environment: "shop", hook: hook, reason: reason, audited: audited,
            transport: "tcp",
            remote: address("10.10.3.1"), remotePort: port, local: address("10.10.2.1"), localPort: 0, process: 7,
            command: "curl")
    }

    private func report(_ records: [DenialRecord], enforced: Bool = false) throws -> SuggestionReport {
        var denials = LearntDenials(enforced: enforced)
        denials.add(records)
        return try world.agent.suggestions(from: denials)
    }

    @Test func `records become a report, and words of another version are passed over`() throws {
        let report = try report([record(), record(to: 5432), record("later-reason"), record(hook: "later-hook")])
        #expect(
            report.permits == [
                SuggestionReport.Permit(
                    from: "shop", to: "payments/db", ports: ["tcp/443"], denials: 1, applications: ["web"])
            ])
        #expect(report.allowedNow == 1)
        #expect(report.description.contains("- {to: payments/db, ports: [tcp/443]}"))
    }

    @Test func `a denial that names no address is known by its application`() throws {
        var unix = record("unix")
        (unix.local, unix.remote) = (nil, nil)
        try world.publish(Samples.attached.replacing("    permits:", with: "    unix: private\n    permits:"))
        #expect(try report([unix]).keys.map(\.key) == ["unix: shared"])
    }

    @Test func `more denials than records are told`() throws {
        world.counters[10] = VerdictCounters(
            verdicts: [.connect: [.permit: 9, .otherEnvironment: 7, .remoteDenied: 1]], audited: [.connect: 6])
        var denials = LearntDenials(enforced: false)
        denials.add([record(), record("protocol", audited: false)])
        let counts = try world.agent.counts(for: denials)
        #expect(counts == ["web": 6, "db": 0])
        #expect(try world.agent.counts(for: LearntDenials(enforced: true)) == ["web": 8, "db": 0])
        denials.reckon(with: counts, since: .attached, whole: false)
        // From here on there is no record, and nothing that was counted.
        denials.reckon(with: ["web": 0, "db": 3], since: .watched, whole: true)
        let report = try world.agent.suggestions(from: denials)
        #expect(
            report.gaps == [
                SuggestionReport.Gap(application: "web", since: .attached, counted: 6, recorded: 1),
                SuggestionReport.Gap(application: "db", since: .watched, counted: 3, recorded: 0),
            ])
        #expect(
            report.yaml.contains(
                """
                # web: 6 denials were counted since it was attached, and 1 recorded.
                # db: 3 denials were counted since this command began, and 0 recorded.
                # So this is a part of what was denied: add it, and learn again until nothing is new.
                """))
    }

    @Test func `what was read before is missing nowhere`() throws {
        var denials = LearntDenials(enforced: false)
        denials.reckon(with: ["web": 100], since: .attached, whole: false)
        #expect(try world.agent.suggestions(from: denials).gaps.isEmpty)
    }

    @Test func `without a policy there is nothing to add to`() {
        let agent = Agent(instance: "vne", dataplane: UnloadedInstance(), host: FakeHost(world: world))
        #expect(throws: AgentError.self) { try agent.suggestions(from: LearntDenials(enforced: false)) }
    }
}
