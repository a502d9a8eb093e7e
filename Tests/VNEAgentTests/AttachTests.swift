import PolicyModel
import Testing
import VNEAgent

@Suite struct AttachTests {
    let world = FakeWorld()

    init() throws {
        try world.publish(Samples.shop)
    }

    private func request(_ cgroup: String = "shop/db", _ address: AddressChoice = .auto) -> AttachRequest {
        AttachRequest(cgroup: cgroup, environment: "shop", address: address, name: "app")
    }

    private func failure(_ body: () throws -> Void) -> AgentError? {
        do {
            try body()
            return nil
        } catch {
            return error as? AgentError
        }
    }

    @Test func `an attachment denies until its hooks and its address are there`() throws {
        let report = try world.agent.attach(request())
        let order = ["attach: record", "attach: claim", "attach: ingress", "addAddress", "open: judge", "open: record"]
        let positions = order.compactMap { world.steps.firstIndex(of: $0) }
        #expect(positions.count == order.count)
        #expect(positions == positions.sorted())
        #expect(report.application.state == .attached)
        #expect(report.application.ownsAddress)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `the plain path does not read the policy's text`() throws {
        world.textReads = 0
        _ = try world.agent.attach(request("shop/db", .fixed(address("10.10.2.9"))))
        #expect(world.textReads == 0)
    }

    @Test func `auto takes the lowest address that nobody has`() throws {
        world.hostAddresses.insert(address("10.10.2.2"))
        let first = try world.agent.attach(request("shop/db"))
        // .0 is the network's, .1 the policy's for web, .2 the host's.
        #expect(first.application.address == address("10.10.2.3"))
        var second = request("other")
        second.name = "second"
        #expect(try world.agent.attach(second).application.address == address("10.10.2.4"))
    }

    @Test func `auto says when no address is left, and uses both addresses of a pair`() throws {
        try world.publish("addressSpace: [10.0.0.0/8]\nenvironments:\n  shop:\n    addresses: [10.1.0.0/31]\n")
        #expect(try world.agent.attach(request("shop/web")).application.address == address("10.1.0.0"))
        var second = request("shop/db")
        second.name = "second"
        #expect(try world.agent.attach(second).application.address == address("10.1.0.1"))
        var third = request("other")
        third.name = "third"
        let error = failure { _ = try world.agent.attach(third) }
        #expect(error?.status == .conflict)
        #expect(error?.message == "no address of the environment “shop” is free")
        #expect(world.leftovers.isEmpty)
    }

    @Test(arguments: [
        ("192.168.1.1", "192.168.1.1 is outside the address space"),
        ("10.10.9.1", "10.10.9.1 is in no environment, so not in “shop”"),
        ("10.10.3.1", "10.10.3.1 is another environment's, not one of “shop”"),
        ("10.10.2.1", "the policy gives 10.10.2.1 to the application “web”"),
        ("10.10.2.77", "10.10.2.77 is on an interface of this host already"),
        ("10.10.2.78", "10.10.2.78 is taken by the application “first”"),
    ])
    func `an address that is not free is refused`(text: String, message: String) throws {
        world.hostAddresses.insert(address("10.10.2.77"))
        var first = request("other", .fixed(address("10.10.2.78")))
        first.name = "first"
        _ = try world.agent.attach(first)
        let error = failure { _ = try world.agent.attach(request("shop/db", .fixed(address(text)))) }
        #expect(error?.status == .conflict)
        #expect(error?.message == message)
        #expect(world.records.count == 1)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `a reserved address goes to the application of its name`() throws {
        var wanted = request("shop/web", .fixed(address("10.10.2.1")))
        wanted.name = "web"
        #expect(try world.agent.attach(wanted).application.address == address("10.10.2.1"))
    }

    @Test func `a cgroup is attached once, and none inside or above it`() throws {
        _ = try world.agent.attach(request("other"))
        #expect(
            failure { _ = try world.agent.attach(request("other")) }?.message
                == "the cgroup other is attached already, as “app”")
        var inner = request("other/inner")
        inner.name = "inner"
        #expect(
            failure { _ = try world.agent.attach(inner) }?.message
                == "the cgroup other/inner is inside the application “app”")
        _ = try world.agent.detach("app")
        _ = try world.agent.attach(inner)
        let error = failure { _ = try world.agent.attach(request("other")) }
        #expect(error?.message == "the cgroup other holds the application “inner” (other/inner)")
        #expect(error?.status == .conflict)
    }

    @Test func `a name is taken once, and comes from the cgroup where none is given`() throws {
        _ = try world.agent.attach(request("other"))
        #expect(failure { _ = try world.agent.attach(request("shop/db")) }?.status == .conflict)
        var unnamed = request("shop/db")
        unnamed.name = nil
        #expect(try world.agent.attach(unnamed).application.name == "db")
    }

    @Test(arguments: ["", "-a", ".a", "a/b", "ä", "a b", String(repeating: "x", count: 64)])
    func `what is no name is refused`(name: String) {
        var wanted = request()
        wanted.name = name
        #expect(failure { _ = try world.agent.attach(wanted) }?.status == .usage)
        #expect(world.records.isEmpty)
    }

    @Test(arguments: ["", "a..b", "-a.b", "a_b", "a-.b"])
    func `what is no hostname is refused`(name: String) {
        var wanted = request()
        wanted.hostname = name
        #expect(failure { _ = try world.agent.attach(wanted) }?.status == .usage)
    }

    @Test func `a hostname is taken once, whatever its case`() throws {
        var first = request("other")
        first.hostname = "db.shop"
        _ = try world.agent.attach(first)
        var second = request("shop/db")
        second.name = "second"
        second.hostname = "DB.shop"
        #expect(failure { _ = try world.agent.attach(second) }?.status == .conflict)
    }

    @Test func `an unknown environment is told with the nearest name`() {
        var wanted = request()
        wanted.environment = "shpo"
        let error = failure { _ = try world.agent.attach(wanted) }
        #expect(error?.status == .notFound)
        #expect(error?.hint == "did you mean “shop”?")
    }

    @Test func `nothing is attached without a policy`() {
        let empty = FakeWorld()
        let error = failure { _ = try empty.agent.attach(request()) }
        #expect(error?.status == .notFound)
        #expect(error?.message == "no policy is published")
    }

    @Test func `sockets from outside are told, and refused where a clean cgroup was asked for`() throws {
        let socket = ForeignSocket(process: 7, command: "nginx", descriptor: 3, summary: "tcp 0.0.0.0:80")
        world.foreign["shop/db"] = [socket]
        var wanted = request()
        wanted.requireClean = true
        let error = failure { _ = try world.agent.attach(wanted) }
        #expect(error?.status == .refused)
        #expect(error?.details == ["nginx (7) holds descriptor 3: tcp 0.0.0.0:80"])
        #expect(world.records.isEmpty)
        wanted.requireClean = false
        #expect(try world.agent.attach(wanted).foreignSockets == [socket])
    }

    @Test func `processes of another network namespace are refused`() {
        world.strangers["shop/db"] = [41, 42]
        let error = failure { _ = try world.agent.attach(request()) }
        #expect(error?.status == .refused)
        #expect(error?.message == "processes of shop/db live in another network namespace: 41, 42")
        #expect(world.leftovers.isEmpty)
    }

    @Test func `connections with another local address are closed before anything is let through`() throws {
        world.sockets = [
            Samples.tcp(1, "192.0.2.1", 40000, "198.51.100.1", 443, cgroup: 11),
            Samples.tcp(2, "192.0.2.1", 40000, "198.51.100.1", 53, cgroup: 11, transport: .udp),
            Samples.tcp(3, "0.0.0.0", 80, "0.0.0.0", 0, cgroup: 11, state: 10),
            Samples.tcp(4, "192.0.2.1", 40001, "198.51.100.1", 443, cgroup: 99),
        ]
        let report = try world.agent.attach(request())
        #expect(report.closedSockets == 2)
        #expect(Set(world.destroyed.map(\.cookie)) == [1, 2])
        let closing = try #require(world.steps.firstIndex(of: "destroy"))
        let opening = try #require(world.steps.firstIndex(of: "open: judge"))
        #expect(closing < opening)
    }

    @Test func `a kernel that closes no sockets is warned of`() throws {
        world.destroyIsUnsupported = true
        world.sockets = [Samples.tcp(1, "192.0.2.1", 40000, "198.51.100.1", 443, cgroup: 11)]
        let report = try world.agent.attach(request())
        #expect(report.closedSockets == 0)
        #expect(
            report.warnings == [
                "tcp 192.0.2.1:40000 -> 198.51.100.1:443 is older than the attachment, and could not be closed: "
                    + "this kernel closes no sockets"
            ])
    }

    @Test(arguments: [false, true])
    func `whichever step fails, all is undone`(afterEffect: Bool) throws {
        _ = try world.agent.attach(request())
        let count = world.steps.count
        #expect(count > 12)
        for number in 0..<count {
            let world = FakeWorld()
            try world.publish(Samples.shop)
            world.failing = number
            world.failsAfterEffect = afterEffect
            let error = failure { _ = try world.agent.attach(request()) }
            if error == nil {
                #expect(world.records.count == 1)
            } else {
                #expect(world.records.isEmpty, "step \(number)")
            }
            // What a failing openCgroup opened is the fake's.
            if world.steps[number] == "openCgroup" { world.descriptors = [] }
            #expect(world.leftovers.isEmpty, "step \(number), \(world.steps[number])")
        }
    }

    @Test(arguments: [false, true], [Samples.shop, Samples.ping])
    func `whichever step it is killed at, the next command finishes or forgets it`(
        afterEffect: Bool, policy: String
    ) throws {
        try world.publish(policy)
        _ = try world.agent.attach(request())
        for number in 0..<world.steps.count {
            let world = FakeWorld()
            try world.publish(policy)
            world.failing = number
            world.failsAfterEffect = afterEffect
            world.dies = true
            _ = failure { _ = try world.agent.attach(request()) }
            world.descriptors = []
            #expect(world.violations.isEmpty)
            world.nextCommand()
            let repairs = try world.agent.recover()
            #expect(world.leftovers.isEmpty, "step \(number), \(repairs)")
            #expect(world.records.isEmpty || repairs.map(\.finding) == [.halfAttached] || repairs.isEmpty)
        }
    }

    @Test func `a kernel that closes no sockets is warned of by the command that finishes another's`() throws {
        _ = try world.agent.attach(request())
        world.records[11]?.state = .attaching
        world.open[11] = nil
        world.destroyIsUnsupported = true
        world.sockets = [Samples.tcp(1, "192.0.2.1", 40000, "198.51.100.1", 443, cgroup: 11)]
        var other = request("other")
        other.name = "other"
        let report = try world.agent.attach(other)
        #expect(report.repairs == [Repair("app", .halfAttached)])
        #expect(report.warnings.count == 1)
    }
}
