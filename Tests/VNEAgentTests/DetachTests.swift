import PolicyModel
import Testing
import VNEAgent

@Suite struct DetachTests {
    let world = FakeWorld()

    init() throws {
        try world.publish(Samples.attached)
    }

    @Test(arguments: ["web", "shop/web"])
    func `an application is named by its name or its cgroup`(selector: String) throws {
        let report = try world.agent.detach(selector)
        #expect(report.application.name == "web")
        #expect(report.warnings == ["the policy still names web: the next apply attaches it again"])
        #expect(world.record(named: "web") == nil)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `an unknown application is told with the nearest name`() {
        let error = #expect(throws: AgentError.self) { try world.agent.detach("wbe") }
        #expect(error?.status == .notFound)
        #expect(error?.hint == "did you mean “web”?")
    }

    @Test func `of two addresses the one that the host had before stays`() throws {
        try world.publish(Samples.dualAttached)
        world.records[10]?.ownsAddresses = [.ipv6]
        _ = try world.agent.detach("web")
        #expect(world.applicationAddresses.contains(address("10.10.2.1")))
        #expect(!world.applicationAddresses.contains(address("fd00:0:2::1")))
    }

    @Test func `what is connected over an address that goes is closed, as it would leave the host`() throws {
        let own = try #require(world.record(named: "web")?.loopback.ipv6)
        world.sockets = [
            Samples.tcp(1, "\(own)", 40000, "\(own)", 6379, cgroup: 10),
            Samples.tcp(2, "\(own)", 6379, "::", 0, cgroup: 10, state: 10),
            Samples.tcp(3, "10.10.2.1", 40000, "198.51.100.1", 443, cgroup: 10),
            Samples.tcp(4, "127.1.0.1", 40000, "127.1.0.1", 6379, cgroup: 10),
        ]
        _ = try world.agent.detach("web")
        #expect(world.destroyed.map(\.cookie) == [1, 3])
        world.destroyIsUnsupported = true
        world.sockets = [Samples.tcp(1, "\(own)", 40000, "\(own)", 6379, cgroup: 20)]
        _ = try world.agent.detach("db")
        #expect(world.leftovers.isEmpty)
    }

    @Test func `an address that the host had before stays`() throws {
        world.records[10]?.ownsAddresses = []
        _ = try world.agent.detach("web")
        #expect(!world.steps.contains("removeAddress"))
    }

    @Test func `what recovery took away on the way is told`() throws {
        world.cgroups["shop/web"] = nil
        let error = #expect(throws: AgentError.self) { try world.agent.detach("web") }
        #expect(error?.message == "nothing is left to detach: detached web: its cgroup is gone")
    }

    @Test(
        arguments: [false, true],
        [
            PolicySample(name: "IPv4", text: Samples.attached),
            PolicySample(name: "both families", text: Samples.dualAttached),
        ])
    func `whichever step it is killed at, the next command finishes it or leaves the application whole`(
        afterEffect: Bool, policy: PolicySample
    ) throws {
        try world.publish(policy.text)
        _ = try world.agent.detach("web")
        // What comes after it is told only: what is remembered of addresses, and the hosts file.
        let end = try #require(world.steps.firstIndex(of: "detach: forget"))
        for number in 0...end {
            let world = FakeWorld()
            try world.publish(policy.text)
            world.failing = number
            world.failsAfterEffect = afterEffect
            world.dies = true
            #expect(throws: (any Error).self) { try world.agent.detach("web") }
            #expect(world.violations.isEmpty)
            world.nextCommand()
            _ = try world.agent.recover()
            #expect(world.leftovers.isEmpty, "step \(number)")
        }
    }

    @Test func `detaching all leaves nothing`() throws {
        #expect(try world.agent.detachAll().count == 2)
        #expect(world.records.isEmpty)
        #expect(world.leftovers.isEmpty)
    }
}

@Suite struct RecoverTests {
    let world = FakeWorld()

    init() throws {
        try world.publish(Samples.attached)
    }

    @Test func `nothing is repaired where nothing is broken`() throws {
        #expect(try world.agent.recover().isEmpty)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `an attachment whose cgroup was replaced by another of its name is taken away`() throws {
        world.cgroups["shop/web"] = 77
        #expect(try world.agent.recover() == [Repair("web", .cgroupGone)])
        #expect(world.record(named: "web") == nil)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `an address that somebody took off the interface is put back`() throws {
        world.applicationAddresses = []
        #expect(Set(try world.agent.recover().map(\.finding)) == [.addressMissing])
        #expect(world.leftovers.isEmpty)
    }

    @Test func `one address of two, or the loopback, is put back as well`() throws {
        try world.publish(Samples.dualAttached)
        world.applicationAddresses.remove(address("fd00:0:3::1"))
        #expect(try world.agent.recover() == [Repair("db", .addressMissing)])
        world.loopbacks = []
        #expect(Set(try world.agent.recover()) == [Repair("db", .addressMissing), Repair("web", .addressMissing)])
        #expect(world.leftovers.isEmpty)
    }

    @Test func `a host that lost IPv6 leaves its applications as they are, and is told what helps`() throws {
        try world.publish(Samples.dualAttached)
        world.hasIPv6 = false
        let report = try world.agent.attach(
            AttachRequest(cgroup: "other", environment: "shop", addresses: .fixed(addresses("10.10.2.9")), name: "app"))
        #expect(Set(report.repairs.map(\.finding)) == [.failed])
        #expect(
            Set(report.warnings) == [
                "web is as it was found: switch IPv6 on", "db is as it was found: switch IPv6 on",
            ])
        #expect(world.open[10] != nil)
        world.hasIPv6 = true
        #expect(Set(try world.agent.recover()) == [Repair("web", .addressMissing), Repair("db", .addressMissing)])
    }

    @Test func `a repair that fails is told and does not keep the command from its work`() throws {
        world.records[10]?.state = .attaching
        world.open[10] = nil
        world.strangers = [:]
        world.cgroups["other"] = 30
        // The address is another's by now: it cannot be claimed.
        world.owners[address("10.10.2.1")] = 99
        let request = AttachRequest(cgroup: "other", environment: "shop", name: "app")
        let report = try world.agent.attach(request)
        #expect(report.repairs.map(\.finding) == [.failed])
        #expect(report.repairs.first?.description.hasPrefix("could not repair web: ") == true)
        #expect(world.open[10] == nil)
    }
}
