import Testing

@testable import OverlayModel

/// What becomes of a link as its probes are answered or not: 50 ms an interval, 150 ms of patience.
@Suite struct LinkHealthTests {
    private static let plan = ProbePlan(interval: 50, multiplier: 3, links: [])
    private static let interval = Duration.milliseconds(50)

    private static func link(mtu: Int? = 1340, leadsOn: Bool = true) -> LinkHealth {
        LinkHealth(
            ProbePlan.Link(
                neighbour: "node1_0_1", device: "node1-0", local: "", remote: "", mtu: mtu, leadsOn: leadsOn), of: plan)
    }

    /// What a link answers to.
    private enum Answers {
        case all, small, none
    }

    /// Lets time pass; answers come after the round trip. Returns how long it took until something held, if it came to that.
    @discardableResult private static func pass(
        _ time: Duration, _ link: inout LinkHealth, answers: Answers = .all, carried: Int = 0,
        roundTrip: Duration = .milliseconds(1), until condition: (LinkHealth) -> Bool = { _ in false }
    ) -> Duration? {
        var coming: [(when: Duration, size: LinkHealth.Size)] = []
        var passed = Duration.zero
        var due = Duration.zero
        var number = 0
        while passed < time {
            if passed >= due {
                for size in link.due(carried: carried) where answers != .none {
                    if answers == .all || size == .small { coming.append((passed + roundTrip, size)) }
                }
                due += interval
            }
            // Nobody wakes up at the same moment each time.
            let step = Duration.milliseconds([10, 11, 9, 12, 10, 8][number % 6])
            number += 1
            for (when, size) in coming where when < passed + step { link.hear(size, after: roundTrip) }
            coming.removeAll { $0.when < passed + step }
            passed += step
            link.pass(step)
            if condition(link) { return passed }
        }
        return nil
    }

    private static func good(mtu: Int? = 1340, leadsOn: Bool = true) -> LinkHealth {
        var link = link(mtu: mtu, leadsOn: leadsOn)
        pass(.seconds(60), &link)
        return link
    }

    @Test func `a link of which nothing was heard is not lost: it never worked`() {
        var link = Self.link()
        Self.pass(.seconds(100), &link, answers: .none)
        #expect(link.state == .unknown)
        Self.pass(.seconds(1), &link)
        #expect(link.state == .good)
    }

    @Test func `a link is silent as soon as no probe was answered for the time that the plan allows`() throws {
        var link = Self.good()
        let took = try #require(Self.pass(.seconds(1), &link, answers: .none) { $0.state == .silent })
        // The last answer was to a probe of up to an interval before.
        #expect(took >= .milliseconds(100), "\(took)")
        #expect(took <= .milliseconds(170), "\(took)")
    }

    @Test func `one answer in three is enough, and answers that take long are answers`() {
        var link = Self.good()
        for _ in 0..<200 {
            Self.pass(.milliseconds(100), &link, answers: .none)
            Self.pass(.milliseconds(50), &link)
            #expect(link.state == .good)
        }
        var far = Self.link()
        Self.pass(.seconds(60), &far, roundTrip: .milliseconds(600))
        #expect(far.state == .good)
    }

    @Test func `a prober that stood still does not take that for the link's silence`() {
        var link = Self.good()
        for _ in 0..<10 {
            link.pass(.seconds(5))
            link.hear(.small, after: .zero)
            #expect(link.state == .good)
        }
        // It is noticed all the same once it is watched.
        for _ in 0..<20 { link.pass(.seconds(5)) }
        #expect(link.state == .silent)
    }

    @Test func `a link that loses large packets only is narrow, sooner if it carries much`() throws {
        var idle = Self.good()
        let whileIdle = try #require(Self.pass(.seconds(5), &idle, answers: .small) { $0.state == .narrow })
        #expect(whileIdle <= .milliseconds(850))
        var busy = Self.good()
        Self.pass(.seconds(1), &busy, carried: 100_000)
        let whileBusy = try #require(
            Self.pass(.seconds(5), &busy, answers: .small, carried: 100_000) { $0.state == .narrow })
        #expect(whileBusy <= .milliseconds(180), "\(whileBusy)")
    }

    @Test func `a far link is not narrow for its distance`() {
        var link = Self.link()
        Self.pass(.seconds(60), &link, carried: 100_000, roundTrip: .milliseconds(600))
        #expect(link.state == .good)
    }

    @Test func `large probes cost a tenth of what the link carries, and two a second`() {
        func sent(carried: Int) -> Int {
            var link = Self.good()
            var count = 0
            for _ in 0..<200 {
                for size in link.due(carried: carried) {
                    if size == .large { count += 1 }
                    link.hear(size, after: .zero)
                }
            }
            return count
        }
        #expect((19...21).contains(sent(carried: 0)))
        #expect((60...70).contains(sent(carried: 3350)))
        #expect(sent(carried: 1_000_000) == 200)
        // Where the other end does it, none at all.
        var shared = Self.good(mtu: nil)
        #expect((0..<200).allSatisfy { _ in shared.due(carried: 1_000_000) == [.small] })
    }

    @Test func `a link that comes back is good at once, and sound once it was so for a second without a break`() throws
    {
        for answers in [Answers.none, .small] {
            var link = Self.good()
            #expect(link.isSound)
            Self.pass(.seconds(5), &link, answers: answers)
            Self.pass(.milliseconds(500), &link, carried: 100_000)
            #expect(link.state == .good && !link.isSound)
            Self.pass(.milliseconds(400), &link, answers: answers, carried: 100_000)
            #expect(link.state != .good)
            let took = try #require(Self.pass(.seconds(5), &link) { $0.isSound })
            #expect(took >= .seconds(1), "\(took)")
            #expect(took <= .milliseconds(1700), "\(took)")
        }
    }

    @Test
    func
        `a link that does not stay good has to prove itself for longer each time, up to a bound, and is trusted again`()
        throws
    {
        var link = Self.good()
        var took: [Duration] = []
        for _ in 0..<8 {
            Self.pass(.milliseconds(500), &link, answers: .none)
            took.append(try #require(Self.pass(.seconds(100), &link) { $0.isSound }))
        }
        #expect(zip(took, took.dropFirst()).prefix(4).allSatisfy { $0 * 1.4 < $1 }, "\(took)")
        #expect(try #require(took.last) <= .seconds(17))
        Self.pass(.seconds(100), &link)
        Self.pass(.milliseconds(500), &link, answers: .none)
        #expect(try #require(Self.pass(.seconds(100), &link) { $0.isSound }) <= .milliseconds(1700))
        // A manager does not know whether a host has another link.
        var host = Self.good(mtu: nil, leadsOn: false)
        for _ in 0..<8 {
            Self.pass(.milliseconds(500), &host, answers: .none)
            #expect(try #require(Self.pass(.seconds(100), &host) { $0.isSound }) <= .milliseconds(1200))
        }
    }

    /// A link that is as it says, once it was good.
    private static func link(_ answers: Answers?, mtu: Int? = 1340, leadsOn: Bool = true) -> LinkHealth {
        guard let answers else { return link(mtu: mtu, leadsOn: leadsOn) }
        var link = good(mtu: mtu, leadsOn: leadsOn)
        pass(.seconds(5), &link, answers: answers)
        return link
    }

    @Test func `a node has routing use its best links, and never none of them`() {
        let (good, narrow, silent) = (Self.link(.all), Self.link(.small), Self.link(Answers.none))
        let unknown = Self.link(nil as Answers?)
        func unused(_ links: [String: LinkHealth], before: Set<String> = []) -> [String] {
            LinkHealth.unused(links, before: before).sorted()
        }
        #expect(unused(["a": good, "b": silent, "c": narrow, "d": unknown]) == ["b", "c"])
        #expect(unused(["b": silent, "c": narrow, "d": unknown]) == ["b"])
        #expect(unused(["b": silent, "d": unknown]) == [])
        #expect(unused(["c": narrow, "d": narrow]) == [])
        // A link to one node alone does not make up for those that lead to all, nor does one that nobody measures.
        let direct = Self.link(.all, leadsOn: false)
        let host = Self.link(.all, mtu: nil, leadsOn: false)
        #expect(unused(["a": direct, "b": narrow, "c": narrow]) == [])
        #expect(unused(["a": host, "b": narrow]) == [])
        #expect(unused(["a": host, "b": silent]) == ["b"])
        #expect(unused(["a": Self.link(.small, leadsOn: false), "b": good]) == ["a"])
    }

    @Test func `links that were lost together and come back together are not lost a second time`() {
        var returned = Self.link(Answers.none)
        Self.pass(.milliseconds(900), &returned)
        var late = Self.link(Answers.none)
        Self.pass(.milliseconds(600), &late)
        #expect(LinkHealth.unused(["a": returned, "b": late], before: []) == [])
        // One that was left meanwhile is taken again once it is sound, or nothing better is there.
        #expect(LinkHealth.unused(["a": Self.good(), "b": late], before: ["b"]) == ["b"])
        Self.pass(.seconds(1), &late)
        #expect(LinkHealth.unused(["a": Self.good(), "b": late], before: ["b"]) == [])
        let left = ["a": Self.link(Answers.none), "b": returned]
        #expect(LinkHealth.unused(left, before: ["b"]) == [])
        #expect(LinkHealth.unused(left, before: []) == ["a"])
    }

    @Test func `a link that never carried a large packet is not good`() {
        var link = Self.link()
        Self.pass(.seconds(5), &link, answers: .small) { $0.state == .good }
        #expect(link.state == .narrow)
    }

    @Test func `a prober that gets to work too seldom does not take that for loss`() {
        var link = Self.good()
        for _ in 0..<100 {
            // Probes are due by the clock, looks come late, and every answer comes.
            for _ in 0..<5 { link.pass(.milliseconds(48)) }
            link.hear(.small, after: .milliseconds(1))
            #expect(link.state == .good)
        }
    }
}
