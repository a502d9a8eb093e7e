import PolicyModel
import Testing

@testable import VNEAgent

@Suite struct MetricsTests {
    let world = FakeWorld()

    init() throws {
        try world.publish(Samples.attached)
    }

    private func text() throws -> String {
        "\(Metrics(try world.agent.reading(), version: "1.2"))"
    }

    @Test func `what was counted has a series, by hook and reason, and what was not has none`() throws {
        world.counters[10] = VerdictCounters(
            verdicts: [.connect: [.permit: 3, .otherEnvironment: 2], .ingress: [.ownEnvironment: 7]],
            audited: [.connect: 1])
        #expect(
            try text() == """
                # HELP vne_info What tells these metrics: always 1.
                # TYPE vne_info gauge
                vne_info{name="vne",version="1.2"} 1
                # HELP vne_policy_generation How many policies were published in this instance.
                # TYPE vne_policy_generation gauge
                vne_policy_generation 1
                # HELP vne_attached 1 if the application is judged by the policy, 0 while it is denied everything.
                # TYPE vne_attached gauge
                vne_attached{application="db",environment="payments"} 1
                vne_attached{application="web",environment="shop"} 1
                # HELP vne_verdicts_total Verdicts since the application was attached. Audit mode lifts some denials.
                # TYPE vne_verdicts_total counter
                vne_verdicts_total{application="web",environment="shop",hook="connect",reason="permit",verdict="allow"} 3
                vne_verdicts_total{application="web",environment="shop",hook="connect",reason="other-environment",verdict="deny"} 2
                vne_verdicts_total{application="web",environment="shop",hook="ingress",reason="own-environment",verdict="allow"} 7
                # HELP vne_audited_total Denials that audit mode let through since the application was attached.
                # TYPE vne_audited_total counter
                vne_audited_total{application="web",environment="shop",hook="connect"} 1

                """)
    }

    @Test func `a path in a label is escaped`() throws {
        world.guarded[30] = GuardedCgroup(state: .attached, path: "a \"b\"\\c\nd", id: 30)
        world.refusals[30] = [.bind: 4]
        #expect(try text().contains("vne_guard_refusals_total{cgroup=\"a \\\"b\\\"\\\\c\\nd\",hook=\"bind\"} 4\n"))
    }

    @Test func `rates are what was counted between two readings, in effect`() throws {
        let before = try world.agent.reading()
        world.counters[10] = VerdictCounters(
            verdicts: [
                .create: [.permittedUse: 4], .connect: [.permit: 6, .otherEnvironment: 5], .ingress: [.host: 30],
            ],
            audited: [.connect: 2])
        let rates = Rates(from: before, to: try world.agent.reading(), seconds: 2)
        let web = try #require(rates.applications.first)
        #expect(web.application == "web")
        #expect(web.calls == Rates.Pair(allowed: 6, denied: 1.5))
        #expect(web.incoming == Rates.Pair(allowed: 15, denied: 0))
        #expect(web.outgoing == Rates.Pair(allowed: 0, denied: 0))
        #expect(web.audited == 1)
        #expect(web.topDenial == Rates.Denial(hook: "connect", reason: "other-environment", rate: 2.5))
        #expect(rates.applications.last?.topDenial == nil)
        #expect(
            "\(rates.table)" == """
                APPLICATION  ENVIRONMENT  CALLS/S  DENIED  IN/S  DENIED  OUT/S  DENIED  AUDITED  TOP DENIAL
                web          shop             6.0     1.5    15       0      0       0      1.0  connect other-environment 2.5
                db           payments           0       0     0       0      0       0        0  -
                """)
    }

    @Test func `an application that was attached anew in between counts from zero`() throws {
        world.counters[10] = VerdictCounters(verdicts: [.connect: [.permit: 100]])
        let before = try world.agent.reading()
        world.counters[10] = VerdictCounters(verdicts: [.connect: [.permit: 10]])
        let rates = Rates(from: before, to: try world.agent.reading(), seconds: 1)
        #expect(rates.applications.first?.calls == Rates.Pair(allowed: 10, denied: 0))
    }
}
