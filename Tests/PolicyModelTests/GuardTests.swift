import PolicyModel
import Testing

/// Cgroups of the host that keep clear of applications' addresses: in the file, and in the plan.
@Suite struct GuardTests {
    private static let space = "addressSpace: [10.10.0.0/16]\nenvironments: {shop: {addresses: 10.10.2.0/24}}\n"

    private func hostGuard(_ text: String) throws -> HostGuard? {
        try PolicyFile.parse(Self.space + text, source: "p").hostGuard
    }

    @Test func `cgroups and addresses of a guard are read`() throws {
        #expect(try hostGuard("") == nil)
        #expect(try hostGuard("guard: {cgroups: system.slice}") == HostGuard(cgroups: ["system.slice"], line: 3))
        let both = try hostGuard(
            "guard:\n  cgroups: [system.slice, user.slice]\n  addresses: [192.0.2.10, \"2001:db8::10\"]\n")
        #expect(
            both
                == HostGuard(
                    cgroups: ["system.slice", "user.slice"], addresses: own("192.0.2.10", "2001:db8::10"), line: 3))
    }

    @Test func `the whole host is guarded only where it is written so`() throws {
        #expect(try hostGuard("guard: {cgroups: /}")?.cgroups == [HostGuard.root])
        for text in [".", "''", "//", "./"] {
            #expect(throws: DocumentErrors.self) { try hostGuard("guard: {cgroups: \(text)}") }
        }
    }

    @Test func `a guard may hold applications, and be none`() throws {
        let application = "applications: {web: {environment: shop, address: auto, cgroup: system.slice/web.service}}\n"
        #expect(try hostGuard(application + "guard: {cgroups: system.slice}")?.cgroups == ["system.slice"])
        #expect(try hostGuard(application + "guard: {cgroups: /}")?.cgroups == ["/"])
        for path in ["system.slice/web.service", "system.slice/web.service/child"] {
            #expect(throws: DocumentErrors.self) { try hostGuard(application + "guard: {cgroups: \(path)}") }
        }
        #expect(
            try hostGuard(application + "guard: {cgroups: system.slice/web.service2}")?.cgroups
                == ["system.slice/web.service2"])
    }

    // MARK: - The plan

    private func policy(_ cgroups: [String]?) -> Policy {
        Policy(
            addressSpace: [net("10.10.0.0/16")],
            environments: [Environment(name: "shop", addresses: [net("10.10.2.0/24")])],
            hostGuard: cgroups.map { HostGuard(cgroups: $0) })
    }

    private func plan(
        _ cgroups: [String]?, guarded: [GuardedCgroup] = [], attached: [AttachedApplication] = [],
        missing: Set<String> = []
    ) -> Plan {
        let desired = policy(cgroups)
        return Plan.make(
            current: desired, desired: desired, attached: attached, guarded: guarded,
            cgroupsPresent: { !missing.contains($0) })
    }

    private func guarded(_ path: String, _ state: AttachedApplication.State = .attached) -> GuardedCgroup {
        GuardedCgroup(state: state, path: path, id: 7)
    }

    @Test func `what is to be guarded is guarded once`() {
        #expect(plan(["system.slice", "/"]).changes == [.protect("system.slice"), .protect("/")])
        #expect(plan(["system.slice"], guarded: [guarded("system.slice")]) == Plan())
        #expect(
            plan(["system.slice"], guarded: [guarded("system.slice", .detaching)]).changes == [.protect("system.slice")]
        )
        #expect(plan(["/"]).description == "+ guard the whole host (/)")
        #expect(!plan(["system.slice"]).revokes)
    }

    @Test func `what the policy no longer names, or what is gone, is guarded no longer`() {
        #expect(
            plan(["user.slice"], guarded: [guarded("system.slice")]).changes
                == [.unprotect("system.slice", reason: .dropped), .protect("user.slice")])
        #expect(plan(nil, guarded: [guarded("/")]).changes == [.unprotect("/", reason: .dropped)])
        #expect(
            plan(["a"], guarded: [guarded("a")], missing: ["a"]).description == """
                - guard a no longer: the cgroup is gone
                ! a is not guarded: there is no such cgroup yet
                """)
    }

    @Test func `what a command attached is not guarded`() {
        let web = AttachedApplication(
            state: .attached, name: "web", environment: "shop", addresses: own("10.10.2.1"), loopback: loopback(0),
            cgroupPath: "system.slice/web", cgroupID: 1, cgroupLevel: 2)
        #expect(plan(["system.slice"], attached: [web]).changes == [.protect("system.slice")])
        #expect(plan(["/"], attached: [web]).changes == [.protect("/")])
        for path in ["system.slice/web", "system.slice/web/child"] {
            let found = plan([path], attached: [web])
            #expect(found.changes == [.unprotected(path, for: .application("web"))])
            #expect(found.isEmpty)
        }
        #expect(plan(["system.slice/web2"], attached: [web]).changes == [.protect("system.slice/web2")])
    }
}
