import PolicyModel
import Testing
import VNEAgent

/// Hostnames, and addresses that are chosen.
@Suite struct IdentityTests {
    let world = FakeWorld()
    private let policy = Samples.attached.replacing(
        "    address: 10.10.2.1\n    hostname: web.shop\n", with: "    address: auto\n")

    private func attach(_ cgroup: String, _ name: String, _ choice: AddressChoice = .auto) throws -> AttachedApplication
    {
        try world.agent.attach(
            AttachRequest(cgroup: cgroup, environment: "shop", addresses: choice, name: name)
        ).application
    }

    @Test func `the hosts file names what is attached, and nothing once it is detached`() throws {
        try world.publish(Samples.attached)
        #expect(world.named == ["web.shop": addresses("10.10.2.1")])
        _ = try world.agent.attach(
            AttachRequest(cgroup: "shop/db", environment: "shop", hostname: "DB.shop", name: "app"))
        #expect(world.named.keys.sorted() == ["db.shop", "web.shop"])
        _ = try world.agent.detach("web")
        #expect(world.named.keys.sorted() == ["db.shop"])
        world.cgroups["shop/db"] = nil
        _ = try world.agent.recover()
        #expect(world.named.isEmpty)
    }

    @Test func `a policy may say that hostnames are in no hosts file`() throws {
        try world.publish(Samples.attached)
        try world.publish("resolveHostnames: false\n" + Samples.attached)
        #expect(world.named.isEmpty)
        #expect(world.record(named: "web")?.hostname == "web.shop")
    }

    @Test func `a policy may have hostnames resolve wherever their applications run`() throws {
        let elsewhere =
            "  far: {environment: shop, address: 10.10.2.77, hostname: Far.shop}\n"
            + "  chosen: {environment: shop, address: auto, hostname: chosen.shop}\n"
        try world.publish(Samples.attached + elsewhere)
        #expect(world.named == ["web.shop": addresses("10.10.2.1")])
        try world.publish("resolveHostnames: all\n" + Samples.attached + elsewhere)
        let both = ["web.shop": addresses("10.10.2.1"), "far.shop": addresses("10.10.2.77")]
        #expect(world.named == both)
        // One that goes from here is somewhere else, and nobody else gets its name.
        _ = try world.agent.detach("web")
        #expect(world.named == both)
        #expect(throws: AgentError.self) {
            try world.agent.attach(
                AttachRequest(cgroup: "shop/db", environment: "shop", hostname: "FAR.shop", name: "thief"))
        }
        #expect(world.named == both)
    }

    @Test func `who is attached by a name of the policy has the addresses and the hostname of it`() throws {
        try world.publish(
            Samples.attached + "  known: {environment: shop, address: 10.10.2.77, hostname: known.shop}\n")
        let known = try world.agent.attach(AttachRequest(cgroup: "shop/db", environment: "shop", name: "known"))
        #expect(known.application.addresses == addresses("10.10.2.77"))
        #expect(world.named["known.shop"] == addresses("10.10.2.77"))
        _ = try world.agent.detach("known")
        // A name that only follows from the path is nobody's.
        world.cgroups["shop/known"] = 12
        let stranger = try world.agent.attach(AttachRequest(cgroup: "shop/known", environment: "shop"))
        #expect(stranger.application.addresses != addresses("10.10.2.77"))
        _ = try world.agent.detach(stranger.application.name)
        // What the command says counts.
        let other = try world.agent.attach(
            AttachRequest(
                cgroup: "shop/db", environment: "shop", addresses: .fixed(addresses("10.10.2.9")),
                hostname: "other.shop", name: "known"))
        #expect(other.application.addresses == addresses("10.10.2.9"))
        #expect(other.application.hostname == "other.shop")
    }

    @Test func `a name that others have, too, is warned of`() throws {
        world.foreignNames = ["web.shop"]
        let report = try world.agent.apply(Samples.attached, source: "policy.yaml")
        #expect(report.warnings.contains { $0.contains("web.shop") })
    }

    @Test func `a look of the daemon names what somebody took out of the hosts file`() throws {
        try world.publish(Samples.attached)
        var last: LastLook?
        world.named = [:]
        _ = try world.agent.mend(&last)
        #expect(world.named.keys.sorted() == ["web.shop"])
    }

    @Test func `an application of the policy whose address is chosen has a hostname made from it`() throws {
        try world.publish(policy)
        let web = try #require(world.record(named: "web"))
        #expect(web.hostname == web.addresses.hostname)
        #expect(world.named.keys.contains(web.addresses.hostname))
        // And nothing is to be done any more.
        #expect(try world.agent.apply(policy, source: "policy.yaml").plan.isEmpty)
        // One that a command attached has the hostname of the command.
        #expect(try attach("shop/db", "app").hostname == nil)
    }

    @Test func `an address that was given up is the last that is given out`() throws {
        try world.publish("addressSpace: 10.10.0.0/16\nenvironments: {shop: {addresses: 10.10.2.0/30}}\n")
        #expect(try attach("shop/web", "a").addresses == addresses("10.10.2.1"))
        _ = try world.agent.detach("a")
        #expect(try attach("shop/web", "b").addresses == addresses("10.10.2.2"))
        _ = try world.agent.detach("b")
        // None is left that nobody had: the one that was given up first.
        #expect(try attach("shop/web", "c").addresses == addresses("10.10.2.1"))
        #expect(try attach("shop/db", "b").addresses == addresses("10.10.2.2"))
        #expect(world.leftovers.isEmpty)
    }

    @Test func `one that was fixed counts as given up, too`() throws {
        try world.publish(Samples.shop)
        _ = try attach("shop/db", "a", .fixed(addresses("10.10.2.2")))
        _ = try world.agent.detach("a")
        #expect(try attach("shop/db", "b").addresses == addresses("10.10.2.3"))
    }

    @Test func `an application gets its address again, also after a reboot`() throws {
        try world.publish(Samples.shop)
        _ = try attach("shop/db", "a")
        let second = try attach("other", "b").addresses
        let after = FakeWorld()
        after.leases = world.leases
        try after.publish(Samples.shop)
        let again = try after.agent.attach(AttachRequest(cgroup: "other", environment: "shop", name: "b"))
        #expect(again.application.addresses == second)
    }

    @Test func `leases that cannot be read or kept keep nobody from being attached`() throws {
        try world.publish(Samples.shop)
        world.leases = "nonsense\na 10.10.2.300\n\nb\n c 10.10.2.9 10.10.2.8\n"
        #expect(try attach("shop/db", "a").addresses == addresses("10.10.2.2"))
    }

    @Test func `what is chosen on a link is what nobody on it has`() throws {
        world.interfaces = ["eth0": 2]
        world.onLink = [address("10.10.2.1"): "02:00:00:00:00:09"]
        let report = try world.agent.apply("interface: eth0\n" + policy, source: "policy.yaml")
        #expect(report.failures.isEmpty)
        #expect(world.record(named: "web")?.addresses == addresses("10.10.2.2"))
        // All at once; then who has the first, and whether the next is free.
        #expect(world.probes.map(\.count) == [2, 1, 1])
        #expect(world.leftovers.isEmpty)
    }

    @Test func `unloading forgets names and leases`() throws {
        try world.publish(policy)
        _ = try world.agent.detachAll()
        #expect(world.agent.forget().isEmpty)
        #expect(world.named.isEmpty)
        #expect(world.leases == nil)
    }
}
