import PolicyModel
import Testing
import VNEAgent

@Suite struct ExecTests {
    let world = FakeWorld()
    let launcher = AttachedApplication.Launcher(process: 500, startTime: 9)

    init() throws {
        try world.publish(Samples.shop)
        world.alive = [500]
    }

    private func request(_ command: String = "/usr/bin/curl", name: String? = nil) -> ExecRequest {
        ExecRequest(environment: "shop", name: name, command: [command, "-s"], launcher: launcher)
    }

    @Test func `the cgroup is attached and open before the program starts, and nothing is left after it`() throws {
        let prepared = try world.agent.prepare(request())
        let application = prepared.report.application
        #expect(application.name == "curl")
        #expect(application.cgroupPath == "vne.vne/curl")
        #expect(application.launcher == launcher)
        #expect(world.open[application.cgroupID] == application.subject)
        #expect(world.descriptors == [prepared.cgroup.descriptor])
        #expect(try world.agent.finish(prepared).isEmpty)
        #expect(world.cgroups["vne.vne"] == nil)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `programs of the same name get numbers`() throws {
        let first = try world.agent.prepare(request())
        let second = try world.agent.prepare(request())
        #expect(second.report.application.name == "curl-2")
        #expect(try world.agent.finish(first).isEmpty)
        #expect(world.cgroups["vne.vne/curl-2"] != nil)
        #expect(try world.agent.finish(second).isEmpty)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `processes that are left behind stay isolated, and the first command after their end clears up`() throws
    {
        let prepared = try world.agent.prepare(request())
        world.populated.insert("vne.vne/curl")
        let warnings = try world.agent.finish(prepared)
        #expect(warnings.count == 1)
        #expect(world.record(named: "curl") != nil)
        world.alive = []
        #expect(try world.agent.recover().isEmpty)
        world.populated.remove("vne.vne/curl")
        #expect(try world.agent.recover() == [Repair("curl", .launcherGone)])
        #expect(world.cgroups["vne.vne/curl"] == nil)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `a launcher that lives keeps its empty cgroup`() throws {
        let prepared = try world.agent.prepare(request())
        #expect(try world.agent.recover().isEmpty)
        #expect(try world.agent.finish(prepared).isEmpty)
    }

    @Test func `one that was detached by hand leaves no cgroup`() throws {
        let prepared = try world.agent.prepare(request())
        world.populated.insert("vne.vne/curl")
        _ = try world.agent.detach("curl")
        world.populated.remove("vne.vne/curl")
        #expect(try world.agent.finish(prepared).isEmpty)
        #expect(world.cgroups["vne.vne/curl"] == nil)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `a name that is taken leaves the other's cgroup alone`() throws {
        let first = try world.agent.prepare(request(name: "job"))
        #expect(throws: AgentError.self) { try world.agent.prepare(request(name: "job")) }
        #expect(world.cgroups["vne.vne/job"] == first.cgroup.id)
        #expect(world.open[first.cgroup.id] != nil)
        #expect(try world.agent.finish(first).isEmpty)
        #expect(world.leftovers.isEmpty)
    }

    @Test(arguments: [(false, false), (true, false), (false, true), (true, true)])
    func `whichever step fails or is killed, no cgroup and no attachment is left`(afterEffect: Bool, dies: Bool) throws
    {
        _ = try world.agent.prepare(request())
        for number in 0..<world.steps.count {
            let world = FakeWorld()
            try world.publish(Samples.shop)
            world.alive = [500]
            world.failing = number
            world.failsAfterEffect = afterEffect
            world.dies = dies
            let prepared = try? world.agent.prepare(request())
            if let prepared { world.descriptors.remove(prepared.cgroup.descriptor) }
            if dies || world.steps[number] == "makeCgroup" { world.descriptors = [] }
            #expect(world.violations.isEmpty)
            world.nextCommand()
            world.alive = []
            _ = try world.agent.recover()
            #expect(world.records.isEmpty, "step \(number)")
            #expect(world.leftovers.isEmpty, "step \(number)")
            if world.cgroups["vne.vne/curl"] != nil {
                // Made and not recorded yet: empty, and the next exec takes it.
                _ = try world.agent.finish(try world.agent.prepare(request()))
                #expect(world.cgroups["vne.vne/curl"] == nil)
            }
        }
    }
}
