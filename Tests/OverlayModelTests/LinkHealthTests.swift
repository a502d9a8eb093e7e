import Testing

@testable import OverlayModel

/// What becomes of a link as its probes are answered or not: 50 ms an interval, 150 ms of patience.
@Suite struct LinkHealthTests {
    private static let plan = ProbePlan(interval: 50, multiplier: 3, links: [])
    private static let interval = Duration.milliseconds(50)

    private static func link(mtu: Int? = 1340) -> LinkHealth {
        LinkHealth(
            ProbePlan.Link(neighbour: "node1_0_1", device: "node1-0", local: "", remote: "", mtu: mtu), of: plan)
    }

    /// What a link answers to.
    private enum Answers {
        case all, small, none
    }

    /// Lets time pass; answers come after the round trip. Returns how long it took to another state, if it came to one.
    @discardableResult private static func pass(
        _ time: Duration, _ link: inout LinkHealth, answers: Answers = .all, carried: Int = 0,
        roundTrip: Duration = .milliseconds(1), until state: LinkHealth.State? = nil
    ) -> Duration? {
        var coming: [(when: Duration, size: LinkHealth.Size)] = []
        let step = interval / 5
        var passed = Duration.zero
        while passed < time {
            if passed.components.attoseconds % interval.components.attoseconds == 0 {
                for size in link.due(carried: carried) where answers != .none {
                    if answers == .all || size == .small { coming.append((passed + roundTrip, size)) }
                }
            }
            for (when, size) in coming where when < passed + step { link.hear(size, after: roundTrip) }
            coming.removeAll { $0.when < passed + step }
            passed += step
            link.pass(step)
            if link.state == state { return passed }
        }
        return nil
    }

    private static func good(mtu: Int? = 1340) -> LinkHealth {
        var link = link(mtu: mtu)
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

    @Test func `a link is silent as soon as no probe was answered for the time that the plan allows`() {
        var link = Self.good()
        // Ten since the last look at it.
        #expect(Self.pass(.seconds(1), &link, answers: .none, until: .silent) == .milliseconds(110))
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
        for _ in 0..<4 { link.pass(.seconds(5)) }
        #expect(link.state == .silent)
    }

    @Test func `a link that loses large packets only is narrow, sooner if it carries much`() throws {
        var idle = Self.good()
        let whileIdle = try #require(Self.pass(.seconds(5), &idle, answers: .small, until: .narrow))
        #expect(whileIdle <= .milliseconds(850))
        var busy = Self.good()
        Self.pass(.seconds(1), &busy, carried: 100_000)
        let whileBusy = try #require(Self.pass(.seconds(5), &busy, answers: .small, carried: 100_000, until: .narrow))
        #expect(whileBusy <= .milliseconds(300))
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

    @Test func `a link that comes back is good once it was sound for a second, without a break`() throws {
        for answers in [Answers.none, .small] {
            var link = Self.good()
            Self.pass(.seconds(5), &link, answers: answers)
            Self.pass(.milliseconds(500), &link)
            Self.pass(.milliseconds(900), &link, answers: answers)
            #expect(link.state != .good)
            let took = try #require(Self.pass(.seconds(5), &link, until: .good))
            #expect(took >= .seconds(1), "\(took)")
            #expect(took <= .milliseconds(1800), "\(took)")
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
            took.append(try #require(Self.pass(.seconds(100), &link, until: .good)))
        }
        #expect(zip(took, took.dropFirst()).prefix(4).allSatisfy { $0 * 1.4 < $1 }, "\(took)")
        #expect(try #require(took.last) <= .seconds(17))
        Self.pass(.seconds(100), &link)
        Self.pass(.milliseconds(500), &link, answers: .none)
        #expect(try #require(Self.pass(.seconds(100), &link, until: .good)) <= .milliseconds(1200))
    }

    @Test func `a node has routing use its best links, and never none of them`() {
        func unused(_ links: [String: LinkHealth.State]) -> [String] { LinkHealth.State.unused(links).sorted() }
        #expect(unused(["a": .good, "b": .silent, "c": .narrow, "d": .unknown]) == ["b", "c"])
        #expect(unused(["b": .silent, "c": .narrow, "d": .unknown]) == ["b"])
        #expect(unused(["b": .silent, "d": .unknown]) == [])
        #expect(unused(["c": .narrow, "d": .narrow]) == [])
    }
}
