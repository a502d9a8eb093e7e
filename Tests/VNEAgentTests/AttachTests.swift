import PolicyModel
import Testing
import VNEAgent

@Suite struct AttachTests {
    let world = FakeWorld()

    init() throws {
        try world.publish(Samples.shop)
    }

    private func request(_ cgroup: String = "shop/db", _ addresses: AddressChoice = .auto) -> AttachRequest {
        AttachRequest(cgroup: cgroup, environment: "shop", addresses: addresses, name: "app")
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
        #expect(report.application.ownsAddresses == [.ipv4])
        #expect(world.leftovers.isEmpty)
    }

    @Test func `the plain path does not read the policy's text`() throws {
        world.textReads = 0
        _ = try world.agent.attach(request("shop/db", .fixed(addresses("10.10.2.9"))))
        #expect(world.textReads == 0)
    }

    @Test func `auto takes the lowest address that nobody has`() throws {
        world.hostAddresses.insert(address("10.10.2.2"))
        let first = try world.agent.attach(request("shop/db"))
        // .0 is the network's, .1 the policy's for web, .2 the host's.
        #expect(first.application.addresses == addresses("10.10.2.3"))
        var second = request("other")
        second.name = "second"
        #expect(try world.agent.attach(second).application.addresses == addresses("10.10.2.4"))
    }

    @Test func `auto takes the lowest free address of each family that the environment has`() throws {
        try world.publish(Samples.dual)
        let report = try world.agent.attach(request("shop/db"))
        // fd00:0:2:: is the routers' anycast address, fd00:0:2::1 the policy's for web.
        #expect(report.application.addresses == addresses("10.10.2.2", "fd00:0:2::2"))
        #expect(report.application.ownsAddresses == [.ipv4, .ipv6])
        #expect(world.leftovers.isEmpty)
    }

    @Test func `auto uses both addresses of an IPv6 pair, and says which family has none left`() throws {
        try world.publish(
            "addressSpace: [10.0.0.0/8, \"fd00::/32\"]\n"
                + "environments:\n  shop:\n    addresses: [10.1.0.0/24, \"fd00:0:2::/127\"]\n")
        #expect(try world.agent.attach(request("shop/web")).application.addresses.ipv6 == address("fd00:0:2::"))
        var second = request("shop/db")
        second.name = "second"
        #expect(try world.agent.attach(second).application.addresses.ipv6 == address("fd00:0:2::1"))
        var third = request("other")
        third.name = "third"
        let error = failure { _ = try world.agent.attach(third) }
        #expect(error?.message == "no IPv6 address of the environment “shop” is free")
        #expect(world.leftovers.isEmpty)
    }

    @Test(arguments: [["fd00:0:2::9"], ["10.10.2.9"], ["10.10.2.9", "fd00:0:2::9"]])
    func `an application has the addresses that were named and no other`(texts: [String]) throws {
        try world.publish(Samples.dual)
        let choice = try AddressChoice(texts)
        let application = try world.agent.attach(request("shop/db", choice)).application
        #expect(application.addresses.all == texts.map(address))
        #expect(world.applicationAddresses == Set(texts.map(address)))
        #expect(world.leftovers.isEmpty)
        _ = try world.agent.detach("app")
        #expect(world.applicationAddresses.isEmpty)
        #expect(world.loopbacks.isEmpty)
    }

    @Test(arguments: [
        ("fd01::1", "fd01::1 is outside the address space"),
        ("fd00:0:9::1", "fd00:0:9::1 is in no environment, so not in “shop”"),
        ("fd00:0:3::1", "fd00:0:3::1 is another environment's, not one of “shop”"),
        ("fd00:0:2::1", "the policy gives fd00:0:2::1 to the application “web”"),
        ("fd00:0:2::77", "fd00:0:2::77 is on an interface of this host already"),
        ("fd00:0:2::78", "fd00:0:2::78 is taken by the application “first”"),
    ])
    func `one address that is not free is enough to refuse`(text: String, message: String) throws {
        try world.publish(Samples.dual)
        world.hostAddresses.insert(address("fd00:0:2::77"))
        var first = request("other", .fixed(addresses("fd00:0:2::78")))
        first.name = "first"
        _ = try world.agent.attach(first)
        let error = failure {
            _ = try world.agent.attach(request("shop/db", .fixed(addresses("10.10.2.9", text))))
        }
        #expect(error?.status == .conflict)
        #expect(error?.message == message)
        #expect(world.records.count == 1)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `a family that the environment does not have is told`() {
        let error = failure { _ = try world.agent.attach(request("shop/db", .fixed(addresses("fd00:0:2::9")))) }
        #expect(error?.status == .conflict)
        #expect(error?.message == "the environment “shop” has no IPv6 addresses")
        #expect(error?.hint == "leave fd00:0:2::9 out, or give the environment IPv6 addresses")
    }

    @Test func `a host without IPv6 says so, takes back what was done, and takes IPv4 addresses`() throws {
        world.hasIPv6 = false
        try world.publish(Samples.dual)
        let error = failure { _ = try world.agent.attach(request()) }
        #expect(error?.status == .unsupported)
        #expect(error?.hint == "switch IPv6 on")
        #expect(world.records.isEmpty)
        #expect(world.leftovers.isEmpty)
        _ = try world.agent.attach(request("shop/db", .fixed(addresses("10.10.2.9"))))
        #expect(world.loopbacks.isEmpty)
        #expect(try world.agent.recover().isEmpty)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `a private loopback is on the interface before anything is let through, and gone with the application`()
        throws
    {
        let report = try world.agent.attach(request())
        #expect(report.application.loopback == FakeHost(world: world).privateLoopback(block: 0))
        #expect(world.loopbacks == [report.application.loopback.ipv6])
        let adding = try #require(world.steps.firstIndex(of: "addLoopback"))
        #expect(try #require(world.steps.firstIndex(of: "attach: record")) < adding)
        #expect(try #require(world.steps.firstIndex(of: "open: judge")) > adding)
        _ = try world.agent.detach("app")
        #expect(world.loopbacks.isEmpty)
    }

    @Test func `each application has a private loopback of its own, the lowest that is free`() throws {
        let cgroups = ["shop/web", "shop/db", "payments/db", "other"]
        for (number, cgroup) in cgroups.enumerated() {
            var wanted = request(cgroup)
            wanted.name = "app\(number)"
            let loopback = try world.agent.attach(wanted).application.loopback
            #expect(loopback == FakeHost(world: world).privateLoopback(block: UInt32(number)))
        }
        world.cgroups["one/more"] = 40
        var last = request("one/more")
        last.name = "last"
        let error = failure { _ = try world.agent.attach(last) }
        #expect(error?.status == .conflict)
        #expect(error?.message == "each of the 4 private loopbacks is taken")
        _ = try world.agent.detach("app2")
        // One that is half made keeps its own, too.
        world.records[10]?.state = .attaching
        world.strangers["one/more"] = nil
        #expect(try world.agent.attach(last).application.loopback.ipv4 == address("127.1.2.0"))
        #expect(world.leftovers.isEmpty)
    }

    @Test func `auto says when no address is left, and uses both addresses of a pair`() throws {
        try world.publish("addressSpace: [10.0.0.0/8]\nenvironments:\n  shop:\n    addresses: [10.1.0.0/31]\n")
        #expect(try world.agent.attach(request("shop/web")).application.addresses == addresses("10.1.0.0"))
        var second = request("shop/db")
        second.name = "second"
        #expect(try world.agent.attach(second).application.addresses == addresses("10.1.0.1"))
        var third = request("other")
        third.name = "third"
        let error = failure { _ = try world.agent.attach(third) }
        #expect(error?.status == .conflict)
        #expect(error?.message == "no IPv4 address of the environment “shop” is free")
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
        var first = request("other", .fixed(addresses("10.10.2.78")))
        first.name = "first"
        _ = try world.agent.attach(first)
        let error = failure { _ = try world.agent.attach(request("shop/db", .fixed(addresses(text)))) }
        #expect(error?.status == .conflict)
        #expect(error?.message == message)
        #expect(world.records.count == 1)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `a reserved address goes to the application of its name`() throws {
        var wanted = request("shop/web", .fixed(addresses("10.10.2.1")))
        wanted.name = "web"
        #expect(try world.agent.attach(wanted).application.addresses == addresses("10.10.2.1"))
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
        wanted.clean = .refuse
        let error = failure { _ = try world.agent.attach(wanted) }
        #expect(error?.status == .refused)
        #expect(error?.details == ["nginx (7) holds descriptor 3: tcp 0.0.0.0:80"])
        #expect(world.records.isEmpty)
        wanted.clean = nil
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
            Samples.tcp(5, "2001:db8::1", 40000, "2001:db8::2", 443, cgroup: 11),
            Samples.tcp(6, "127.0.0.1", 40000, "127.0.0.1", 6379, cgroup: 11),
            // Another's, at the loopback address that is the application's now.
            Samples.tcp(7, "127.1.0.1", 40000, "127.1.0.1", 6379, cgroup: 99),
        ]
        let report = try world.agent.attach(request())
        #expect(report.closedSockets == 4)
        #expect(Set(world.destroyed.map(\.cookie)) == [1, 2, 5, 6])
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

    @Test(arguments: [false, true], Samples.unattached)
    func `whichever step fails, all is undone`(afterEffect: Bool, policy: PolicySample) throws {
        try world.publish(policy.text)
        _ = try world.agent.attach(request())
        let count = world.steps.count
        #expect(count > 12)
        for number in 0..<count {
            let world = FakeWorld()
            try world.publish(policy.text)
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

    @Test(arguments: [false, true], Samples.unattached)
    func `whichever step it is killed at, the next command finishes or forgets it`(
        afterEffect: Bool, policy: PolicySample
    ) throws {
        try world.publish(policy.text)
        _ = try world.agent.attach(request())
        for number in 0..<world.steps.count {
            let world = FakeWorld()
            try world.publish(policy.text)
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

@Suite struct AddressChoiceTests {
    @Test func `addresses are named once for each family, and auto alone`() throws {
        #expect(try AddressChoice([]) == .auto)
        #expect(try AddressChoice(["auto"]) == .auto)
        #expect(try AddressChoice(["10.0.0.1"]) == .fixed(addresses("10.0.0.1")))
        #expect(try AddressChoice(["fd00::1", "10.0.0.1"]) == .fixed(addresses("10.0.0.1", "fd00::1")))
        // The mapped spelling is the IPv4 address.
        #expect(try AddressChoice(["::ffff:10.0.0.1"]) == .fixed(addresses("10.0.0.1")))
    }

    @Test(arguments: [
        (["10.0.0"], "“10.0.0” is neither an IP address nor auto"),
        (["fe80::1%lo"], "“fe80::1%lo” is neither an IP address nor auto"),
        (["10.0.0.1", "10.0.0.2"], "10.0.0.1 and 10.0.0.2 are both IPv4: an application has one address of a family"),
        (["fd00::1", "fd00::2"], "fd00::1 and fd00::2 are both IPv6: an application has one address of a family"),
        (["auto", "fd00::1"], "auto chooses for every family: name auto alone, or only addresses"),
    ])
    func `what is no choice is told`(words: [String], message: String) {
        let error = #expect(throws: AgentError.self) { try AddressChoice(words) }
        #expect(error?.status == .usage)
        #expect(error?.message == message)
    }
}
