import PolicyModel
import Testing
import VNEAgent

@Suite struct ApplyTests {
    let world = FakeWorld()

    private func apply(_ text: String, dryRun: Bool = false) throws -> ApplyReport {
        try world.agent.apply(text, source: "policy.yaml", dryRun: dryRun)
    }

    private func failure(_ body: () throws -> Void) -> AgentError? {
        do {
            try body()
            return nil
        } catch {
            return error as? AgentError
        }
    }

    /// `Samples.attached` with other text in some places.
    private func edited(_ edits: (String, String)...) -> String {
        edits.reduce(Samples.attached) { text, edit in
            text.split(separator: "\n", omittingEmptySubsequences: false)
                .map { $0.contains(edit.0) ? edit.1 : String($0) }.joined(separator: "\n")
        }
    }

    @Test func `a first policy is published, then its applications are attached`() throws {
        let report = try apply(Samples.attached)
        #expect(report.generation == 1)
        #expect(Set(report.attached.map(\.application.name)) == ["web", "db"])
        #expect(world.record(named: "web")?.fromPolicy == true)
        #expect(world.record(named: "web")?.hostname == "web.shop")
        let publishing = try #require(world.steps.firstIndex(of: "publish"))
        let attaching = try #require(world.steps.firstIndex(of: "attach: record"))
        #expect(publishing < attaching)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `a dry run plans and changes nothing`() throws {
        let report = try apply(Samples.attached, dryRun: true)
        #expect(report.generation == nil)
        #expect(report.plan.description.contains("+ attach web to shop as 10.10.2.1 (shop/web)"))
        #expect(world.published == nil)
        #expect(world.records.isEmpty)
    }

    @Test(arguments: [true, false])
    func `what the host has in the address space is named before it hurts`(dryRun: Bool) throws {
        world.hostAddresses.insert(address("10.10.77.1"))
        let report = try world.agent.apply(
            Samples.attached, source: "policy.yaml", dryRun: dryRun,
            dependencies: HostDependencies(gateways: [address("10.10.3.254")]))
        #expect(report.warnings.contains { $0.contains("this host's own address 10.10.77.1 is inside") })
        #expect(report.warnings.contains { $0.contains("the gateway 10.10.3.254 is inside") })
        #expect(report.warnings.count == 2)
        #expect(try apply(Samples.attached).warnings.count == 1)
    }

    @Test func `a file with errors changes nothing and tells all of them`() {
        let text = Samples.shop.replacing("host: deny", with: "hots: deny").replacing("10.10.2.1", with: "10.10.2")
        let error = failure { _ = try apply(text) }
        #expect(error?.status == .policyFile)
        #expect(error?.details.count == 2)
        #expect(error?.message == "policy.yaml has 2 errors")
        #expect(world.published == nil)
    }

    @Test func `an application whose cgroup is not there waits`() throws {
        world.cgroups["payments/db"] = nil
        let report = try apply(Samples.attached)
        #expect(report.plan.description.contains("! db waits: its cgroup payments/db is not there yet"))
        #expect(report.attached.map(\.application.name) == ["web"])
        #expect(report.failures.isEmpty)
    }

    @Test func `flows that the new policy forbids are cut, and others are not`() throws {
        _ = try apply(Samples.attached)
        world.sockets = [
            Samples.tcp(9, "10.10.3.1", 5432, "0.0.0.0", 0, cgroup: 20, state: 10),
            // To the database by the permit, and its other end.
            Samples.tcp(1, "10.10.2.1", 40000, "10.10.3.1", 5432, cgroup: 10),
            Samples.tcp(2, "10.10.3.1", 5432, "10.10.2.1", 40000, cgroup: 20),
            // To a remote, which only shop may.
            Samples.tcp(3, "10.10.2.1", 40001, "198.51.100.1", 443, cgroup: 10),
            // Listening, and another's.
            Samples.tcp(4, "10.10.2.1", 80, "0.0.0.0", 0, cgroup: 10, state: 10),
            Samples.tcp(5, "192.0.2.1", 22, "10.10.2.1", 40000, cgroup: 99),
            // Accepted from a remote.
            Samples.tcp(6, "10.10.2.1", 80, "198.51.100.2", 50000, cgroup: 10),
        ]
        world.nextCommand()
        #expect(try apply(Samples.attached).cutFlows.isEmpty)
        let stricter = edited(("{to: payments", "      - {to: payments, ports: [udp/53]}"))
        let report = try apply(stricter)
        #expect(Set(world.destroyed.map(\.cookie)) == [1, 2])
        #expect(report.cutFlows.count == 2)
        #expect(world.publications.last?.revoking == true)
        _ = try apply(
            edited(("addresses: [10.10.2.0/24]", "    addresses: [10.10.2.0/24]\n    remote: {in: allow, out: deny}")))
        // The accepted one too, this once: a program chooses its ports, and it might have been let out by what is gone.
        #expect(Set(world.destroyed.map(\.cookie)) == [1, 2, 3, 6])
    }

    @Test func `a connection of a host process that borrows the application's address is judged as the host`() throws {
        _ = try apply(Samples.attached)
        world.sockets = [
            Samples.tcp(1, "10.10.2.1", 80, "10.10.2.1", 50000, cgroup: 10),
            Samples.tcp(2, "10.10.2.1", 50000, "10.10.2.1", 80, cgroup: 99),
        ]
        world.cgroups["system.slice/monitor.service"] = 99
        #expect(try apply(Samples.attached).cutFlows.isEmpty)
        _ = try apply(edited(("addresses: [10.10.2.0/24]", "    addresses: [10.10.2.0/24]\n    host: deny")))
        #expect(world.destroyed.map(\.cookie) == [1])
    }

    @Test func `a connected datagram socket is kept by what the application may do only`() throws {
        _ = try apply(Samples.attached)
        world.sockets = [
            Samples.tcp(1, "10.10.3.1", 53, "10.10.2.1", 40000, cgroup: 20, transport: .udp),
            Samples.tcp(2, "10.10.2.1", 40000, "10.10.3.1", 53, cgroup: 10, transport: .udp),
        ]
        _ = try apply(Samples.attached)
        #expect(world.destroyed.map(\.cookie) == [1])
    }

    @Test func `a kernel that closes no sockets is warned of`() throws {
        _ = try apply(Samples.attached)
        world.destroyIsUnsupported = true
        world.sockets = [Samples.tcp(1, "10.10.2.1", 40000, "10.10.3.1", 22, cgroup: 10)]
        let report = try apply(Samples.attached)
        #expect(report.cutFlows.isEmpty)
        #expect(
            report.warnings == [
                "tcp 10.10.2.1:40000 -> 10.10.3.1:22 is forbidden now, and could not be closed: "
                    + "this kernel closes no sockets"
            ])
    }

    @Test func `an application that moves is denied everything from before the publication until it has`() throws {
        _ = try apply(Samples.attached)
        world.nextCommand()
        let report = try apply(edited(("address: 10.10.2.1", "    address: 10.10.2.7")))
        let order = ["deny: attachment", "publish", "removeAddress", "update", "addAddress", "open: judge"]
        let positions = order.compactMap { world.steps.firstIndex(of: $0) }
        #expect(positions.count == order.count && positions == positions.sorted())
        #expect(report.failures.isEmpty)
        #expect(world.record(named: "web")?.addresses == addresses("10.10.2.7"))
        #expect(world.leftovers.isEmpty)
    }

    @Test func `an application that moves in one family keeps its address in the other`() throws {
        _ = try apply(Samples.dualAttached)
        world.nextCommand()
        let moved = Samples.dualAttached.replacing("\"fd00:0:2::1\"", with: "\"fd00:0:2::7\"")
        #expect(try apply(moved).failures.isEmpty)
        #expect(world.steps.count { $0 == "removeAddress" } == 1)
        #expect(world.record(named: "web")?.addresses == addresses("10.10.2.1", "fd00:0:2::7"))
        #expect(world.leftovers.isEmpty)
    }

    @Test func `an application gains and loses a family`() throws {
        _ = try apply(Samples.dualAttached)
        let only6 = Samples.dualAttached.replacing("[10.10.2.1, \"fd00:0:2::1\"]", with: "\"fd00:0:2::1\"")
        #expect(try apply(only6).failures.isEmpty)
        #expect(world.record(named: "web")?.addresses == addresses("fd00:0:2::1"))
        #expect(world.record(named: "web")?.ownsAddresses == [.ipv6])
        #expect(world.leftovers.isEmpty)
        #expect(try apply(Samples.dualAttached).failures.isEmpty)
        #expect(world.record(named: "web")?.ownsAddresses == [.ipv4, .ipv6])
        #expect(world.leftovers.isEmpty)
    }

    @Test func `auto keeps an address that the environment still holds, and chooses in the other family`() throws {
        let auto = Samples.dualAttached.replacing("[10.10.2.1, \"fd00:0:2::1\"]", with: "auto")
        _ = try apply(auto)
        #expect(world.record(named: "web")?.addresses == addresses("10.10.2.1", "fd00:0:2::1"))
        #expect(try apply(auto.replacing("fd00:0:2::/64", with: "fd00:0:4::/64")).failures.isEmpty)
        #expect(world.record(named: "web")?.addresses == addresses("10.10.2.1", "fd00:0:4::1"))
        #expect(world.leftovers.isEmpty)
        #expect(try apply(auto.replacing(", \"fd00:0:2::/64\"", with: "")).failures.isEmpty)
        #expect(world.record(named: "web")?.addresses == addresses("10.10.2.1"))
        #expect(world.leftovers.isEmpty)
    }

    @Test func `IPv6 flows that the new policy forbids are cut, and those on the own loopback are left alone`() throws {
        _ = try apply(Samples.dualAttached)
        let own4 = "127.1.0.1"
        let loopback = try #require(world.record(named: "web")?.loopback)
        #expect(loopback.ipv4 == address("127.1.0.0"))
        let own6 = "\(loopback.ipv6)"
        world.sockets = [
            Samples.tcp(1, "fd00:0:2::1", 40000, "fd00:0:3::1", 5432, cgroup: 10),
            Samples.tcp(2, "fd00:0:3::1", 5432, "fd00:0:2::1", 40000, cgroup: 20),
            Samples.tcp(3, "fd00:0:3::1", 5432, "::", 0, cgroup: 20, state: 10),
            Samples.tcp(4, own4, 6379, "0.0.0.0", 0, cgroup: 10, state: 10),
            Samples.tcp(5, own4, 40000, own4, 6379, cgroup: 10),
            Samples.tcp(6, own4, 6379, own4, 40000, cgroup: 10),
            Samples.tcp(7, own6, 40000, "fd00:0:2::1", 80, cgroup: 10),
            Samples.tcp(8, "fd00:0:2::1", 80, own6, 40000, cgroup: 10),
            // Not rewritten, so older than the attachment; to another's loopback; from the host's.
            Samples.tcp(9, "10.10.2.1", 40000, "127.0.0.1", 6379, cgroup: 10),
            Samples.tcp(10, own4, 40001, "127.1.1.1", 6379, cgroup: 10),
            Samples.tcp(11, own4, 6379, "127.0.0.1", 50000, cgroup: 10),
            Samples.tcp(12, "::1", 40000, "::1", 6379, cgroup: 10),
        ]
        #expect(try apply(Samples.dualAttached).cutFlows.count == 4)
        #expect(Set(world.destroyed.map(\.cookie)) == [9, 10, 11, 12])
        let stricter = Samples.dualAttached.replacing("[tcp/5432, udp/53]", with: "[udp/53]")
        #expect(
            try apply(stricter).cutFlows == [
                "tcp [fd00:0:2::1]:40000 -> [fd00:0:3::1]:5432", "tcp [fd00:0:3::1]:5432 -> [fd00:0:2::1]:40000",
            ])
    }

    @Test func `a socket on the own loopback outlives the child cgroup that made it`() throws {
        _ = try apply(Samples.attached)
        // 55 is no cgroup any more.
        world.sockets = [
            Samples.tcp(1, "127.1.0.1", 40000, "127.1.0.1", 6379, cgroup: 55),
            Samples.tcp(2, "127.1.0.1", 40000, "198.51.100.1", 443, cgroup: 55),
        ]
        _ = try apply(Samples.attached)
        #expect(world.destroyed.map(\.cookie) == [2])
    }

    @Test func `only a new hostname denies nothing meanwhile`() throws {
        _ = try apply(Samples.attached)
        world.nextCommand()
        _ = try apply(edited(("hostname:", "    hostname: www.shop")))
        #expect(!world.steps.contains("deny: record"))
        #expect(world.record(named: "web")?.hostname == "www.shop")
        #expect(world.leftovers.isEmpty)
    }

    @Test func `egress is judged before a protocol that needs it, and until it is gone`() throws {
        _ = try apply(Samples.attached)
        world.nextCommand()
        let ping = edited(
            ("addresses: [10.10.2.0/24]", "    addresses: [10.10.2.0/24]\n    protocols: [tcp, udp, ping]"))
        _ = try apply(ping)
        #expect(world.egress == [10])
        var publishing = try #require(world.steps.firstIndex(of: "publish"))
        #expect(try #require(world.steps.firstIndex(of: "egress: attach")) < publishing)
        world.nextCommand()
        _ = try apply(Samples.attached)
        #expect(world.egress.isEmpty)
        publishing = try #require(world.steps.firstIndex(of: "publish"))
        #expect(try #require(world.steps.firstIndex(of: "egress: detach")) > publishing)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `an application that the policy names no longer is detached after the publication`() throws {
        _ = try apply(Samples.attached)
        world.nextCommand()
        let lines = Samples.attached.split(separator: "\n", omittingEmptySubsequences: false)
        let without = lines.prefix { $0 != "  db:" }.joined(separator: "\n") + "\n"
        _ = try apply(without)
        #expect(world.record(named: "db") == nil)
        let publishing = try #require(world.steps.firstIndex(of: "publish"))
        let detaching = try #require(world.steps.firstIndex(of: "detach: record"))
        #expect(publishing < detaching)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `an address that the host has is found before anything changes`() {
        world.hostAddresses.insert(address("10.10.2.1"))
        let error = failure { _ = try apply(Samples.attached) }
        #expect(error?.status == .conflict)
        #expect(world.published == nil)
    }

    @Test func `one application that cannot be attached does not keep the others from it`() throws {
        world.strangers["shop/web"] = [4]
        let report = try apply(Samples.attached)
        #expect(report.failures.map(\.application) == ["web"])
        #expect(report.failures.first?.error.status == .refused)
        #expect(report.attached.map(\.application.name) == ["db"])
        #expect(world.leftovers.isEmpty)
    }

    @Test func `an interface that is not there is warned of`() throws {
        world.interfaces = ["wg0": 7]
        let text = "addressSpaceInterfaces: [wg0, wg1]\n" + Samples.attached
        let report = try apply(text)
        #expect(report.warnings.count == 1)
        #expect(report.warnings.first?.contains("“wg1”") == true)
        #expect(world.publications.last?.view.interfaces == ["wg0": 7])
    }

    @Test func `a published policy that cannot be read is replaced as one that revokes`() throws {
        _ = try apply(Samples.attached)
        world.published?.text = "from: another version\n"
        _ = try apply(Samples.attached)
        #expect(world.publications.last?.revoking == true)
    }

    /// Everything at once: a move, an egress hook, an attachment, a detachment.
    private static let change = """
        addressSpace: [10.10.0.0/16]
        environments:
          shop:
            addresses: [10.10.2.0/24]
            protocols: [tcp, udp, ping]
          payments:
            addresses: [10.10.3.0/24]
        applications:
          web:
            environment: shop
            address: 10.10.2.7
            cgroup: shop/web
          other:
            environment: shop
            address: 10.10.2.1
            cgroup: other

        """

    /// The same over both families: an address changes hands in one of them.
    private static let dualChange = """
        addressSpace: [10.10.0.0/16, "fd00::/32"]
        environments:
          shop:
            addresses: [10.10.2.0/24, "fd00:0:2::/64"]
            protocols: [tcp, udp, ping]
          payments:
            addresses: [10.10.3.0/24, "fd00:0:3::/64"]
        applications:
          web:
            environment: shop
            address: [10.10.2.1, "fd00:0:2::7"]
            cgroup: shop/web
          other:
            environment: shop
            address: "fd00:0:2::1"
            cgroup: other

        """

    /// Records without their loopbacks: which one is free may depend on what failed.
    private func places(_ records: [UInt64: AttachedApplication]) -> [UInt64: AttachedApplication] {
        records.mapValues { record in
            var place = record
            place.loopback = FakeHost(world: world).privateLoopback(block: 0)
            return place
        }
    }

    @Test(
        arguments: [(false, false), (true, false), (false, true), (true, true)],
        ["one family", "both families"])
    func `whichever step of a change fails or is killed, applying again ends as if nothing had happened`(
        fault: (afterEffect: Bool, dies: Bool), families: String
    ) throws {
        let isDual = families == "both families"
        let policies =
            isDual
            ? (before: Samples.dualAttached, after: Self.dualChange)
            : (before: Samples.attached, after: Self.change)
        _ = try apply(policies.before)
        world.nextCommand()
        _ = try apply(policies.after)
        let expected = world.records
        let count = world.steps.count
        #expect(count > 40)
        for number in 0..<count {
            let world = FakeWorld()
            try world.publish(policies.before)
            let before = world.records
            world.failing = number
            world.failsAfterEffect = fault.afterEffect
            world.dies = fault.dies
            let error = failure { _ = try world.agent.apply(policies.after, source: "policy.yaml") }
            world.descriptors = []
            let moment = "step \(number), \(world.steps[number])"
            #expect(world.violations.isEmpty, "\(moment)")
            if error != nil, !fault.dies, !fault.afterEffect, world.published?.generation == 1 {
                // Not published: all is as it was, or denied.
                for (id, subject) in world.open { #expect(before[id]?.subject == subject, "\(moment)") }
            }
            world.nextCommand()
            _ = try world.agent.recover()
            world.nextCommand()
            let report = try world.agent.apply(policies.after, source: "policy.yaml")
            #expect(report.failures.isEmpty, "\(moment)")
            #expect(world.leftovers.isEmpty, "\(moment)")
            #expect(places(world.records) == places(expected), "\(moment)")
        }
    }

    @Test func `killed between the publication and a move, recovery follows the policy that is published`() throws {
        _ = try apply(Samples.attached)
        world.nextCommand()
        let moved = edited(("address: 10.10.2.1", "    address: 10.10.2.7"))
        _ = try apply(moved, dryRun: true)
        for (step, expected) in [("publish", "10.10.2.1"), ("removeAddress", "10.10.2.7"), ("update", "10.10.2.7")] {
            let world = FakeWorld()
            try world.publish(Samples.attached)
            let rehearsal = FakeWorld()
            try rehearsal.publish(Samples.attached)
            _ = try rehearsal.agent.apply(moved, source: "policy.yaml")
            let number: Int = try #require(rehearsal.steps.firstIndex(of: step))
            world.failing = number
            world.dies = true
            _ = failure { _ = try world.agent.apply(moved, source: "policy.yaml") }
            #expect(world.open[10] == nil)
            world.descriptors = []
            world.nextCommand()
            #expect(try world.agent.recover().map(\.finding) == [.halfAttached])
            #expect(world.record(named: "web")?.addresses == addresses(expected))
            #expect(world.leftovers.isEmpty)
        }
    }
}
