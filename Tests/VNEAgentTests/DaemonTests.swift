import PolicyModel
import Testing
import VNEAgent

@Suite struct DaemonTests {
    let world = FakeWorld()
    let process: FakeSurroundings

    init() {
        process = FakeSurroundings(world, file: Samples.attached)
    }

    private func run() throws { try Daemon(process).run() }

    @Test func `the policy holds before the daemon is ready, and after it ended`() throws {
        try run()
        #expect(Set(world.records.values.map(\.name)) == ["web", "db"])
        #expect(process.told.first == .ready)
        #expect(process.told.last == .stopping)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `it listens before it looks, and to what the policy names`() throws {
        try run()
        #expect(process.watched.first == [])
        #expect(process.watched.last == ["shop/web", "payments/db"])
    }

    @Test func `an application is attached when its cgroup comes, and detached when it goes`() throws {
        world.cgroups["payments/db"] = nil
        process.send(.cgroups, at: .seconds(1)) { [world] in
            #expect(world.record(named: "db") == nil)
            world.cgroups["payments/db"] = 21
        }
        process.send(.cgroups, at: .seconds(2)) { [world] in
            #expect(world.record(named: "db")?.cgroupID == 21)
            world.cgroups["payments/db"] = nil
        }
        process.send(.cgroups, at: .seconds(3)) { [world] in #expect(world.record(named: "db") == nil) }
        try run()
        #expect(world.published?.generation == 1)
        #expect(world.leftovers.isEmpty)
        // It waited, came and went, and each line of the log says of whom.
        #expect(process.namedApplications.count { $0 == "db" } >= 3)
    }

    @Test func `a cgroup that came back is another one, and attached anew`() throws {
        process.send(.cgroups, at: .seconds(1)) { [world] in world.cgroups["shop/web"] = 99 }
        try run()
        #expect(world.record(named: "web")?.cgroupID == 99)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `an address that somebody removed is put back`() throws {
        process.send(.addresses, at: .seconds(1)) { [world] in world.applicationAddresses = [] }
        try run()
        #expect(world.applicationAddresses == [address("10.10.2.1"), address("10.10.3.1")])
        #expect(world.published?.generation == 1)
    }

    @Test func `a host with another address has the policy published for it`() throws {
        process.send(.addresses, at: .seconds(1)) { [world] in world.hostAddresses.insert(address("198.51.100.7")) }
        process.send(.addresses, at: .seconds(2)) { [world] in #expect(world.published?.generation == 2) }
        try run()
        #expect(world.published?.generation == 2)
        #expect(world.publications.last?.view.addresses.contains(address("198.51.100.7")) == true)
    }

    @Test func `a changed file is applied, an unchanged one is not`() throws {
        process.send(.policyFile, at: .seconds(1))
        process.send(.policyFile, at: .seconds(2)) { [world, process] in
            #expect(world.published?.generation == 1)
            process.file = Samples.attached.replacing("tcp/5432", with: "tcp/5433")
        }
        process.send(.cgroups, at: .seconds(3)) { [world] in #expect(world.published?.generation == 2) }
        try run()
    }

    @Test func `a reload applies the file in any case`() throws {
        process.send(.reload, at: .seconds(1))
        process.send(.cgroups, at: .seconds(2)) { [world] in #expect(world.published?.generation == 2) }
        try run()
        let states = process.told.filter { $0 == .reloading || $0 == .ready }
        #expect(states == [.ready, .reloading, .ready])
    }

    @Test func `a broken file keeps the old policy, and is told once with its place`() throws {
        process.send(.policyFile, at: .seconds(1)) { [process] in
            process.file = Samples.attached.replacing("host: deny", with: "hots: deny")
        }
        // Rounds go by.
        process.send(.cgroups, at: .seconds(200)) { [world] in world.cgroups["shop/web"] = 99 }
        try run()
        #expect(world.published?.generation == 1)
        #expect(world.record(named: "web")?.cgroupID == 99)
        #expect(process.count(of: "policy.yaml:10:5:") == 1)
        #expect(process.lines.contains { $0.priority == .error && $0.text.contains("the policy from before") })
        #expect(process.statuses.last?.contains("policy.yaml:10:5:") == true)
    }

    @Test func `a file that is put right is in force again`() throws {
        process.send(.policyFile, at: .seconds(1)) { [process] in process.file = nil }
        process.send(.policyFile, at: .seconds(2)) { [process] in
            #expect(process.statuses.last?.contains("not in force") == true)
            process.file = Samples.attached
        }
        process.send(.cgroups, at: .seconds(3))
        try run()
        #expect(process.statuses.last?.hasPrefix("Policy in force") == true)
    }

    @Test func `without any policy a broken file is an error of the start`() {
        process.file = "addressSpace: nonsense"
        #expect(throws: AgentError.self) { try run() }
        #expect(!process.told.contains(.ready))
    }

    @Test func `with a policy from before a broken file is none`() throws {
        try world.publish(Samples.attached)
        process.file = "addressSpace: nonsense"
        try run()
        #expect(process.told.contains(.ready))
        #expect(process.statuses.last?.contains("not in force") == true)
    }

    @Test func `a policy that a command applied holds until the file changes`() throws {
        let other = Samples.attached.replacing("10.10.2.1", with: "10.10.2.7")
        process.send(.addresses, at: .seconds(1)) { [world] in
            do { try world.publish(other) } catch { Issue.record(error) }
        }
        process.send(.cgroups, at: .seconds(100)) { [world] in
            #expect(world.record(named: "web")?.addresses == addresses("10.10.2.7"))
        }
        try run()
        #expect(world.record(named: "web")?.addresses == addresses("10.10.2.7"))
    }

    @Test func `what goes on being wrong is told once, tried again, and told when it is something else`() throws {
        world.strangers["shop/web"] = [7]
        process.send(.cgroups, at: .seconds(100)) { [world] in world.strangers["shop/web"] = nil }
        process.send(.cgroups, at: .seconds(101))
        try run()
        #expect(process.count(of: "live in another network namespace") == 1)
        #expect(world.record(named: "web") != nil)
        #expect(process.statuses.contains { $0.contains("1 failed") })
        #expect(process.statuses.last?.contains("failed") == false)
    }

    @Test func `a cgroup that cannot be opened is a failure, and none that is waited for`() throws {
        world.openCgroupFails = "shop/web"
        try run()
        #expect(process.count(of: "web: injected at openCgroup") == 1)
        #expect(process.count(of: "web waits") == 0)
        #expect(process.statuses.contains { $0.contains("1 failed") })
    }

    @Test func `a look that fails as a whole is told once and made again`() throws {
        process.send(.cgroups, at: .seconds(1)) { [world] in
            world.cgroups["shop/web"] = 99
            world.interfaceAddressesFail = true
        }
        process.send(.stop, at: .seconds(60)) { [world] in world.interfaceAddressesFail = false }
        try run()
        #expect(process.count(of: "injected") == 1)
        #expect(process.looks > 5)
    }

    @Test func `a gateway inside the address space is named`() throws {
        process.dependencies = HostDependencies(
            gateways: [address("10.10.2.254"), address("192.0.2.254")], resolvers: [address("10.10.200.53")])
        try run()
        #expect(process.count(of: "the gateway 10.10.2.254 is inside the address space, in the environment shop") == 1)
        #expect(process.count(of: "the name server 10.10.200.53 is inside the address space, in no environment") == 1)
        #expect(process.count(of: "192.0.2.254") == 0)
        #expect(process.lines.contains { $0.priority == .warning && $0.text.contains("10.10.2.254") })
    }

    @Test func `who asks for an application is told once it is attached`() throws {
        world.cgroups["payments/db"] = nil
        process.send(.asked(application: "db", by: "first"), at: .seconds(1)) { [world] in
            world.cgroups["payments/db"] = 21
        }
        process.send(.asked(application: "db", by: "second"), at: .seconds(2)) { [world] in
            world.cgroups["payments/db"] = 22
        }
        process.send(.asked(application: "db", by: "third"), at: .seconds(3)) { [world] in
            world.cgroups["payments/db"] = nil
        }
        process.send(.asked(application: "bd", by: "fourth"), at: .seconds(4))
        try run()
        #expect(process.answers.map(\.asker) == ["first", "second", "third", "fourth"])
        #expect(process.answers[0].problem == nil)
        #expect(process.answers[1].problem == nil)
        #expect(process.answers[2].problem?.contains("is not attached") == true)
        #expect(process.answers[3].problem?.contains("db") == true)
    }

    @Test func `the watchdog hears from it at half the interval, and nothing wakes it more often`() throws {
        process.watchdogInterval = .seconds(20)
        process.send(.stop, at: .seconds(101))
        try run()
        #expect(process.told.count { $0 == .alive } == 11)
    }

    @Test func `an idle daemon looks once a round`() throws {
        process.send(.cgroups, at: .seconds(1))
        process.send(.stop, at: .seconds(601))
        let before = process.looks
        try run()
        // Start, the first listening, one event, and ten rounds.
        #expect(process.looks - before <= 14)
    }

    @Test func `a kill at any step of a look leaves what the next one finishes`() throws {
        try world.publish(Samples.attached)
        var last: LastLook?
        _ = try world.agent.mend(&last)
        let steps = try steps(after: { world in world.cgroups["shop/web"] = 99 })
        #expect(steps > 10)
        for step in 0..<steps {
            for afterEffect in [false, true] {
                let world = FakeWorld()
                try world.publish(Samples.attached)
                world.cgroups["shop/web"] = 99
                world.failing = step
                world.failsAfterEffect = afterEffect
                world.dies = true
                var last: LastLook?
                _ = try? world.agent.mend(&last)
                world.nextCommand()
                world.descriptors = []
                var next: LastLook?
                let report = try world.agent.mend(&next)
                #expect(report?.failures.isEmpty == true)
                #expect(world.leftovers.isEmpty, "killed at step \(step)")
                #expect(world.record(named: "web")?.cgroupID == 99)
            }
        }
    }

    private func steps(after change: (FakeWorld) -> Void) throws -> Int {
        let world = FakeWorld()
        try world.publish(Samples.attached)
        change(world)
        var last: LastLook?
        _ = try world.agent.mend(&last)
        return world.steps.count
    }
}

@Suite struct TrialTests {
    let world = FakeWorld()
    private let other = Samples.attached.replacing("tcp/5432", with: "tcp/5433")

    private func apply(_ text: String) throws { _ = try world.agent.apply(text, source: "policy.yaml") }

    @Test func `the policy from before comes back whole`() throws {
        try apply(Samples.attached)
        let trial = try world.agent.trial(of: other, source: "policy.yaml")
        try apply(other)
        #expect(try world.agent.rollBack(trial) != nil)
        #expect(world.published?.text == Samples.attached)
    }

    @Test func `a policy that was published meanwhile stays`() throws {
        try apply(Samples.attached)
        let trial = try world.agent.trial(of: other, source: "policy.yaml")
        try apply(other)
        try apply(Samples.attached.replacing("tcp/5432", with: "tcp/5434"))
        #expect(try world.agent.rollBack(trial) == nil)
        #expect(world.published?.text.contains("5434") == true)
    }

    @Test func `publishing it again for another host changes nothing about the trial`() throws {
        try apply(Samples.attached)
        let trial = try world.agent.trial(of: other, source: "policy.yaml")
        try apply(other)
        try apply(other)
        #expect(try world.agent.rollBack(trial) != nil)
    }

    @Test func `a first policy has nothing to go back to`() {
        #expect(throws: AgentError.self) { _ = try world.agent.trial(of: other, source: "policy.yaml") }
    }
}
