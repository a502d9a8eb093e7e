import PolicyModel
import Testing
import VNEAgent

/// Application addresses on an interface whose link other hosts are on.
@Suite struct LinkTests {
    let world = FakeWorld()
    private let policy = "interface: eth0\n" + Samples.attached
    private let web = address("10.10.2.1")

    init() throws {
        world.interfaces = ["eth0": 2, "eth1": 3]
        world.cgroups = ["shop/db": 11]
        try world.publish(policy)
    }

    private func attach(_ text: String) throws -> AttachReport {
        try world.agent.attach(
            AttachRequest(cgroup: "shop/db", environment: "shop", addresses: .fixed(addresses(text)), name: "app"))
    }

    @Test func `an address is asked for before it is put, and announced once its application is open`() throws {
        _ = try attach("10.10.2.9")
        let order = ["attach: ingress", "holders", "addAddress", "open: record", "announce"]
        let positions = order.compactMap { world.steps.firstIndex(of: $0) }
        #expect(positions.count == order.count)
        #expect(positions == positions.sorted())
        #expect(world.carriers[address("10.10.2.9")] == ["eth0"])
        #expect(world.announced == [address("10.10.2.9")])
        #expect(world.leftovers.isEmpty)
    }

    @Test func `an address that another host has is refused, and nothing has changed`() throws {
        world.onLink = [address("10.10.2.9"): "02:00:00:00:00:09"]
        let error = #expect(throws: AgentError.self) { try attach("10.10.2.9") }
        #expect(error?.status == .conflict)
        #expect(
            error?.message == "10.10.2.9 of “app” is another host's on the link of eth0: 02:00:00:00:00:09 has it")
        #expect(error?.mayPass == true)
        #expect(world.records.isEmpty)
        #expect(world.announced.isEmpty)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `an application of the policy stays denied until the other host lets go`() throws {
        world.cgroups["shop/web"] = 10
        world.onLink = [web: "02:00:00:00:00:09"]
        let report = try world.agent.apply(policy, source: "policy.yaml")
        #expect(report.failures.map(\.application) == ["web"])
        #expect(world.records[10]?.state == .attaching)
        #expect(world.hooks[10] == Set(FakeWorld.allHooks))
        #expect(world.open.isEmpty)
        #expect(try world.agent.recover().map(\.finding) == [.contested])
        world.onLink = [:]
        #expect(try world.agent.recover().map(\.finding) == [.halfAttached])
        #expect(world.records[10]?.state == .attached)
        #expect(world.announced == [web])
        #expect(world.leftovers.isEmpty)
    }

    @Test func `the link is asked once for all that a policy names, and told once`() throws {
        world.cgroups["shop/web"] = 10
        world.cgroups["payments/db"] = 20
        let report = try world.agent.apply(policy, source: "policy.yaml")
        #expect(report.failures.isEmpty)
        #expect(world.probes == [[web, address("10.10.3.1")]])
        #expect(world.steps.count { $0 == "announce" } == 1)
        #expect(world.announced == [web, address("10.10.3.1")])
        #expect(world.leftovers.isEmpty)
    }

    @Test func `what somebody removed is put back only if nobody has it by now`() throws {
        world.cgroups["shop/web"] = 10
        _ = try world.agent.apply(policy, source: "policy.yaml")
        world.applicationAddresses = []
        world.carriers = [:]
        world.onLink = [web: "02:00:00:00:00:09"]
        #expect(try world.agent.recover().map(\.finding) == [.contested])
        #expect(world.applicationAddresses.isEmpty)
        world.onLink = [:]
        #expect(try world.agent.recover().map(\.finding) == [.addressMissing])
        #expect(world.announced == [web, web])
        #expect(world.leftovers.isEmpty)
    }

    @Test func `everything is denied before an address goes, and connections over it are closed`() throws {
        _ = try attach("10.10.2.9")
        world.populated = ["shop/db"]
        world.sockets = [Samples.tcp(1, "10.10.2.9", 80, "192.0.2.9", 4000, cgroup: 11)]
        world.nextCommand()
        _ = try world.agent.detach("app")
        let order = ["deny: attachment", "destroy", "removeAddress", "detach: record"]
        let positions = order.compactMap { world.steps.firstIndex(of: $0) }
        #expect(positions.count == order.count, "\(world.steps)")
        #expect(positions == positions.sorted())
        #expect(world.leftovers.isEmpty)
    }

    @Test func `addresses follow when the policy names another interface, or none`() throws {
        _ = try attach("10.10.2.9")
        for name in ["eth1", nil] as [String?] {
            let text = policy.replacing("interface: eth0\n", with: name.map { "interface: \($0)\n" } ?? "")
            let report = try world.agent.apply(text, source: "policy.yaml")
            #expect(report.repairs.map(\.finding) == [.addressMissing])
            #expect(world.carriers[address("10.10.2.9")] == [name])
            #expect(world.leftovers.isEmpty)
        }
    }

    @Test func `a daemon tries often as long as another host has an address`() throws {
        world.cgroups["shop/web"] = 10
        world.onLink = [web: "02:00:00:00:00:09"]
        let surroundings = FakeSurroundings(world, file: policy)
        surroundings.send(.stop, at: .seconds(4))
        try Daemon(surroundings).run()
        #expect((12...20).contains(surroundings.looks), "\(surroundings.looks)")
        #expect(surroundings.count(of: "web waits") == 1)
        #expect(surroundings.statuses.last?.contains("2 waiting") == true)
    }
}
