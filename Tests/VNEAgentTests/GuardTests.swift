import PolicyModel
import Testing
import VNEAgent

@Suite struct GuardTests {
    let world = FakeWorld()

    private static let guarded = Samples.shop + "guard: {cgroups: [other, absent], addresses: 192.0.2.1}\n"

    private func apply(_ text: String, by world: FakeWorld? = nil) throws -> ApplyReport {
        try (world ?? self.world).agent.apply(text, source: "policy.yaml")
    }

    private func failure(_ body: () throws -> Void) -> AgentError? {
        do {
            try body()
            return nil
        } catch {
            return error as? AgentError
        }
    }

    @Test func `apply guards what is there, and lets go what the policy drops`() throws {
        let report = try apply(Self.guarded)
        #expect(report.plan.description.contains("+ guard other\n! absent is not guarded"))
        #expect(world.guardHooks == [30])
        #expect(world.leftovers.isEmpty)
        #expect(try world.agent.status().guards.map(\.word) == ["guarded"])
        #expect(try world.agent.status().problems.contains { $0.contains("absent guarded and it is not") })

        world.cgroups["absent"] = 40
        #expect(try apply(Self.guarded).plan.description == "+ guard absent")
        #expect(world.guardHooks == [30, 40])
        _ = try apply(Samples.shop)
        #expect(world.guardHooks.isEmpty && world.guarded.isEmpty)
    }

    @Test func `the root cgroup is guarded by its own name`() throws {
        _ = try apply(Samples.shop + "guard: {cgroups: /}\n")
        #expect(world.guarded.values.map(\.path) == ["/"])
        #expect(world.guardHooks == [1])
        #expect(world.leftovers.isEmpty)
        _ = try world.agent.attach(AttachRequest(cgroup: "shop/web", environment: "shop", name: "web"))
        #expect(world.record(named: "web") != nil)
    }

    @Test func `an address that the host does not have is refused before anything changes`() throws {
        let error = failure { _ = try apply(Self.guarded.replacing("192.0.2.1", with: "192.0.2.9")) }
        #expect(error?.status == .conflict)
        #expect(world.published == nil && world.guarded.isEmpty)
    }

    @Test func `a guarded cgroup becomes no application, nor does one that holds it`() throws {
        world.cgroups["other/inner"] = 31
        _ = try apply(Samples.shop + "guard: {cgroups: other/inner}\n")
        for path in ["other", "other/inner"] {
            let error = failure {
                _ = try world.agent.attach(AttachRequest(cgroup: path, environment: "shop", name: "x"))
            }
            #expect(error?.status == .conflict, "\(path)")
        }
        _ = try apply(Samples.shop + "guard: {cgroups: other}\n")
        _ = try world.agent.attach(AttachRequest(cgroup: "other/inner", environment: "shop", name: "x"))
        #expect(world.record(named: "x")?.cgroupPath == "other/inner")
        #expect(world.leftovers.isEmpty)
    }

    @Test func `a guard whose cgroup is gone is forgotten by the next command`() throws {
        _ = try apply(Self.guarded)
        world.cgroups["other"] = nil
        #expect(try world.agent.status().guards.map(\.word) == ["cgroup-gone"])
        #expect(try world.agent.recover().map(\.finding) == [.cgroupGone])
        #expect(world.guarded.isEmpty)
        world.cgroups["other"] = 99
        #expect(try apply(Self.guarded).plan.description.contains("+ guard other"))
    }

    @Test(arguments: [false, true], [false, true])
    func `whichever step of a change of guards fails or is killed, applying again ends as if nothing had happened`(
        afterEffect: Bool, dies: Bool
    ) throws {
        let after = Samples.shop + "guard: {cgroups: [shop, other/inner]}\n"
        let (before, count) = (Self.guarded, try steps(from: Self.guarded, to: after))
        for number in 0..<count {
            let world = FakeWorld()
            world.cgroups["shop"] = 9
            try world.publish(before)
            world.failing = number
            world.failsAfterEffect = afterEffect
            world.dies = dies
            _ = failure { _ = try apply(after, by: world) }
            world.descriptors = []
            let moment = "step \(number), \(world.steps[number])"
            world.nextCommand()
            _ = try world.agent.recover()
            #expect(!world.guarded.values.contains { $0.state != .attached }, "\(moment)")
            world.nextCommand()
            #expect(try apply(after, by: world).failures.isEmpty, "\(moment)")
            #expect(world.leftovers.isEmpty, "\(moment)")
            #expect(Set(world.guarded.values.map(\.path)) == ["shop", "other/inner"], "\(moment)")
        }
    }

    private func steps(from before: String, to after: String) throws -> Int {
        let world = FakeWorld()
        world.cgroups["shop"] = 9
        try world.publish(before)
        _ = try apply(after, by: world)
        return world.steps.count
    }

    @Test func `check names the wildcards of guarded processes that were bound before`() throws {
        func socket(_ port: UInt16, _ local: String, in cgroup: UInt64, state: UInt8 = 10) -> ObservedSocket {
            ObservedSocket(
                family: 2, transport: .tcp, cookie: UInt64(port), state: state, local: address(local), localPort: port,
                remote: nil, remotePort: 0, cgroupID: cgroup, inode: 0, interface: 0)
        }
        world.sockets = [
            socket(80, "0.0.0.0", in: 30), socket(81, "::", in: 31), socket(82, "127.0.0.1", in: 30),
            socket(83, "0.0.0.0", in: 10), socket(84, "0.0.0.0", in: 30, state: 7),
        ]
        let warnings = try world.agent.check(Self.guarded, source: "policy.yaml").warnings
        #expect(warnings.contains { $0.hasPrefix("2 socket(s) of guarded processes") && $0.contains("tcp/80, tcp/81") })
        #expect(warnings.contains { $0.contains("absent is not guarded until it is there") })
        #expect(
            try world.agent.check(Samples.shop, source: "policy.yaml").warnings.allSatisfy { !$0.contains("guard") })
    }
}
