import PolicyModel
import Testing
import VNEAgent

@Suite struct ProtectionTests {
    let world = FakeWorld()
    let launcher = AttachedApplication.Launcher(process: 500, startTime: 9)

    /// `Samples.attached` where `payments` requires this.
    private static func payments(requiring words: String) -> String {
        Samples.attached.replacing("    remote: deny", with: "    require: \(words)\n    remote: deny")
    }

    /// An environment for each of some requirements, and no application.
    private static let environments = """
        addressSpace: [10.10.0.0/16]
        environments:
          plain: {addresses: 10.10.1.0/24}
          closed: {addresses: 10.10.2.0/24, require: [closing, dualStack]}
          held: {addresses: 10.10.3.0/24, require: [families, bpf, netlink]}
          kept: {addresses: 10.10.4.0/24, require: [bpf, membership]}

        """

    private func failure(_ body: () throws -> Void) -> AgentError? {
        do {
            try body()
            return nil
        } catch {
            return error as? AgentError
        }
    }

    private func request(_ environment: String, confined: Bool = false) -> ExecRequest {
        ExecRequest(environment: environment, command: ["/bin/true"], launcher: launcher, confined: confined)
    }

    // MARK: Attach and exec

    @Test func `an attach without what the environment requires names it and why, and changes nothing`() throws {
        try world.publish(Self.environments)
        let error = failure {
            _ = try world.agent.attach(AttachRequest(cgroup: "shop/web", environment: "held", name: "web"))
        }
        #expect(error?.status == .unsupported)
        #expect(
            error?.message
                == "the environment “held” requires families, bpf and netlink, which do not hold for “web”")
        #expect(error?.details == ["families: no hook for it", "bpf: no hook for it", "netlink: no hook for it"])
        #expect(error?.hint == "start it with: vne-agent exec --confine --vne held …")
        #expect(world.records.isEmpty && world.leftovers.isEmpty)
        world.unheld = [:]
        _ = try world.agent.attach(AttachRequest(cgroup: "shop/web", environment: "held", name: "web"))
    }

    @Test func `what holds is no obstacle, and a kernel that closes no sockets is one where that is required`() throws {
        try world.publish(Self.environments)
        let wanted = AttachRequest(cgroup: "shop/web", environment: "closed", name: "web")
        world.destroyIsUnsupported = true
        let error = failure { _ = try world.agent.attach(wanted) }
        #expect(error?.message == "the environment “closed” requires closing, which does not hold for “web”")
        #expect(error?.details == ["closing: this kernel closes no sockets"])
        world.destroyIsUnsupported = false
        #expect(try world.agent.attach(wanted).application.environment == "closed")
    }

    @Test func `nothing is asked where nothing is required`() throws {
        try world.publish(Self.environments)
        _ = try world.agent.attach(AttachRequest(cgroup: "shop/web", environment: "plain", name: "web"))
        #expect(!world.steps.contains("unheldProtections"))
    }

    @Test func `a confined launch has families, bpf and netlink, and cannot have membership`() throws {
        try world.publish(Self.environments)
        world.alive = [500]
        #expect(failure { _ = try world.agent.prepare(request("held")) }?.status == .unsupported)
        let prepared = try world.agent.prepare(request("held", confined: true))
        #expect(prepared.report.application.confined)
        let error = failure { _ = try world.agent.prepare(request("kept", confined: true)) }
        #expect(error?.message == "the environment “kept” requires membership, which does not hold for “true-2”")
        #expect(error?.hint == "vne-agent check says what holds here; the policy's “require” says what has to")
        #expect(try world.agent.finish(prepared).isEmpty)
        #expect(world.leftovers.isEmpty)
    }

    @Test func `an attachment that was killed half-way is not opened without what its environment requires`() throws {
        world.unheld = [:]
        try world.publish(Self.environments)
        let wanted = AttachRequest(cgroup: "shop/web", environment: "held", name: "web")
        let rehearsal = FakeWorld()
        rehearsal.unheld = [:]
        try rehearsal.publish(Self.environments)
        _ = try rehearsal.agent.attach(wanted)
        let number: Int = try #require(rehearsal.steps.firstIndex(of: "open: judge"))
        world.failing = number
        world.dies = true
        _ = failure { _ = try world.agent.attach(wanted) }
        world.descriptors = []
        world.nextCommand()
        world.unheld = [.bpf: "gone with an upgrade"]
        let repairs = try world.agent.recover()
        #expect(repairs.map(\.finding) == [.failed])
        #expect(world.open.isEmpty)
        world.nextCommand()
        world.unheld = [:]
        #expect(try world.agent.recover().map(\.finding) == [.halfAttached])
        #expect(world.leftovers.isEmpty)
    }

    // MARK: Apply

    @Test(arguments: [false, true])
    func `apply attaches the others and says which one lacks what its environment requires`(dryRun: Bool) throws {
        let report = try world.agent.apply(
            Self.payments(requiring: "[membership, closing]"), source: "p", dryRun: dryRun)
        #expect(
            report.plan.changes.map(\.description).contains(
                "! db waits: its environment payments requires membership, which does not hold"))
        #expect(report.failures.map(\.application) == ["db"])
        #expect(report.failures.first?.error.status == .unsupported)
        #expect(report.failures.first?.error.details == ["membership: no hook for it"])
        #expect(world.records.values.map(\.name) == (dryRun ? [] : ["web"]))
        #expect(world.leftovers.isEmpty)
    }

    @Test(arguments: [false, true])
    func `a policy that requires what does not hold for an attached application is refused whole`(dryRun: Bool) throws {
        try world.publish(Samples.attached)
        let before = world.records
        let error = failure {
            _ = try world.agent.apply(
                Self.payments(requiring: "[bpf, membership]").replacing("10.10.2.1", with: "10.10.2.2"), source: "p",
                dryRun: dryRun)
        }
        #expect(error?.status == .unsupported)
        #expect(error?.message == "the policy requires what does not hold for 1 attached application(s)")
        #expect(
            error?.details == [
                "db in payments: membership and bpf", "membership: no hook for it", "bpf: no hook for it",
            ])
        #expect(world.records == before && world.published?.generation == 1 && world.leftovers.isEmpty)
    }

    @Test func `an application that would move to where more is required is one of them, one that goes is not`() throws
    {
        try world.publish(Samples.attached)
        let moving = Self.payments(requiring: "bpf")
            .replacing("    address: 10.10.2.1\n    hostname: web.shop", with: "    address: 10.10.3.9")
            .replacing(
                "environment: shop\n    address: 10.10.3.9", with: "environment: payments\n    address: 10.10.3.9")
        let gone = moving.replacing(
            "  db:\n    environment: payments\n    address: 10.10.3.1\n    cgroup: payments/db\n", with: "")
        let error = failure { _ = try world.agent.apply(gone, source: "p") }
        #expect(error?.details.first == "web in payments: bpf")
        #expect(error?.details.count == 2)
        #expect(world.published?.generation == 1)
    }

    @Test func `a confined application stays where its environment comes to require what its launch holds`() throws {
        try world.publish(Self.environments)
        world.alive = [500]
        let prepared = try world.agent.prepare(request("plain", confined: true))
        world.nextCommand()
        _ = try world.agent.apply(
            Self.environments.replacing("10.10.1.0/24", with: "10.10.1.0/24, require: [bpf, families]"), source: "p")
        #expect(world.published?.generation == 2)
        #expect(world.records[prepared.cgroup.id]?.confined == true)
        #expect(try world.agent.finish(prepared).isEmpty)
        #expect(world.leftovers.isEmpty)
    }

    // MARK: Showing

    @Test func `the host's protections are told, with what holds each or why it does not`() throws {
        world.destroyIsUnsupported = true
        let facts = HostFacts(kernelRelease: "6.1.0", cgroupMount: "/sys/fs/cgroup", bpfFileSystem: nil)
        #expect(
            world.agent.check(host: facts).description == """
                kernel 6.1.0
                cgroup2 at /sys/fs/cgroup
                BPF file system is not mounted: vne-agent apply mounts it

                PROTECTION  HELD  BY           EXEC --CONFINE  WHY NOT
                families    no    -            yes             no hook for it
                membership  no    -            -               no hook for it
                bpf         no    -            yes             no hook for it
                netlink     no    -            yes             no hook for it
                unix        no    -            -               no hook for it
                dualStack   yes   tcx/ingress  -               -
                closing     no    -            -               this kernel closes no sockets
                """)
    }

    @Test func `what may not be looked at is unknown, not held`() throws {
        let unseeing = UnloadedInstance { throw AgentError(.unsupported, "only root may ask the kernel") }
        let agent = Agent(instance: "vne", dataplane: unseeing, host: FakeHost(world: world))
        let facts = HostFacts(kernelRelease: "6.1.0", cgroupMount: nil, bpfFileSystem: nil)
        let protections = agent.check(host: facts).protections
        #expect(protections.filter { $0.held == nil }.count == Protection.allCases.count - 1)
        #expect(protections.allSatisfy { $0.held != nil || $0.reason == "only root may ask the kernel" })
        #expect(protections.last?.held == true)
        let check = try agent.check(Self.payments(requiring: "bpf"), source: "p")
        #expect(check.unmet.isEmpty)
        #expect(check.warnings.contains("line 7: payments requires bpf: only root can see whether it holds"))
    }

    @Test func `a policy file is checked for what its environments require`() throws {
        let attached = try world.agent.check(Self.payments(requiring: "[bpf, closing]"), source: "p")
        #expect(
            attached.unmet == [
                "line 7: payments requires what does not hold here (bpf: no hook for it): 1 application(s) would not be "
                    + "attached (db)"
            ])
        #expect(attached.description.contains("\nunmet: line 7: payments requires"))
        let others = try world.agent.check(Self.environments, source: "p")
        #expect(others.unmet.isEmpty)
        #expect(
            others.warnings == [
                "line 5: held requires what does not hold here (families: no hook for it; bpf: no hook for it; netlink: no "
                    + "hook for it): only what vne-agent exec --confine starts can be attached",
                "line 6: kept requires what does not hold here (membership: no hook for it; bpf: no hook for it): no "
                    + "application can be attached",
            ])
    }

    @Test func `the status says of each application what holds for it, by hooks or by its launch`() throws {
        try world.publish(Self.environments)
        world.alive = [500]
        _ = try world.agent.attach(AttachRequest(cgroup: "shop/web", environment: "plain", name: "web"))
        let prepared = try world.agent.prepare(request("held", confined: true))
        let web = try world.agent.status(of: "web")
        #expect(!web.confined)
        #expect(web.protections?.filter { $0.held == true }.map(\.protection) == [.closing])
        #expect(web.protections?.first { $0.protection == .dualStack }?.reason == "of no use")
        let confined = try world.agent.status(of: "true")
        #expect(confined.confined)
        #expect(
            confined.protections?.filter { $0.held == true }.map { "\($0.protection) by \($0.by ?? "")" } == [
                "families by exec --confine", "bpf by exec --confine", "netlink by exec --confine",
                "closing by SOCK_DESTROY",
            ])
        #expect(confined.description.contains("membership  no    -               -               no hook for it"))
        #expect(try world.agent.list().allSatisfy { $0.protections == nil })
        world.unheld[.dualStack] = "gone"
        world.published?.text = Self.environments.replacing("[families, bpf, netlink]", with: "[bpf, dualStack]")
        #expect(
            try world.agent.status().problems.contains("true lacks what its environment held requires: dualStack"))
        #expect(try world.agent.finish(prepared).isEmpty)
    }

    // MARK: Sockets from outside

    private func carried(_ socket: ObservedSocket?, _ summary: String) -> ForeignSocket {
        ForeignSocket(process: 7, command: "nginx", descriptor: 3, summary: summary, socket: socket)
    }

    @Test func `TCP sockets from outside are closed before anything is let through`() throws {
        try world.publish(Samples.shop)
        let listener = Samples.tcp(1, "192.0.2.1", 80, "0.0.0.0", 0, cgroup: 99, state: 10)
        let stream = Samples.tcp(2, "192.0.2.1", 80, "198.51.100.1", 40000, cgroup: 99)
        world.sockets = [listener, stream]
        world.foreign["shop/db"] = [carried(listener, "tcp 192.0.2.1:80 listening"), carried(stream, "tcp …")]
        let report = try world.agent.attach(
            AttachRequest(cgroup: "shop/db", environment: "shop", name: "app", clean: .close))
        #expect(world.destroyed.map(\.cookie) == [1, 2])
        #expect(report.closedForeignSockets.count == 2 && report.foreignSockets.isEmpty)
        let closing = try #require(world.steps.firstIndex(of: "destroy"))
        #expect(try #require(world.steps.firstIndex(of: "attach: ingress")) < closing)
        #expect(closing < (try #require(world.steps.firstIndex(of: "open: judge"))))
    }

    @Test func `a socket from outside that the kernel cannot close for good is named, and nothing changes`() throws {
        try world.publish(Samples.shop)
        let stream = Samples.tcp(2, "192.0.2.1", 80, "198.51.100.1", 40000, cgroup: 99)
        let datagram = Samples.tcp(3, "192.0.2.1", 53, "0.0.0.0", 0, cgroup: 99, state: 7, transport: .udp)
        world.foreign["shop/db"] = [
            carried(stream, "tcp …"), carried(datagram, "udp 192.0.2.1:53"), carried(nil, "packet socket"),
        ]
        let error = failure {
            _ = try world.agent.attach(
                AttachRequest(cgroup: "shop/db", environment: "shop", name: "app", clean: .close))
        }
        #expect(error?.status == .refused)
        #expect(
            error?.details == [
                "nginx (7) holds descriptor 3: udp 192.0.2.1:53", "nginx (7) holds descriptor 3: packet socket",
            ])
        #expect(world.destroyed.isEmpty && world.records.isEmpty && world.leftovers.isEmpty)
    }

    @Test func `a kernel that closes no sockets leaves nothing of an attachment that asked for it`() throws {
        try world.publish(Samples.shop)
        world.destroyIsUnsupported = true
        let stream = Samples.tcp(2, "192.0.2.1", 80, "198.51.100.1", 40000, cgroup: 99)
        world.foreign["shop/db"] = [carried(stream, "tcp …")]
        let error = failure {
            _ = try world.agent.attach(
                AttachRequest(cgroup: "shop/db", environment: "shop", name: "app", clean: .close))
        }
        #expect(error?.message == "this kernel closes no sockets")
        #expect(world.records.isEmpty && world.leftovers.isEmpty)
    }
}
