import PolicyModel
import Testing

@testable import VNEAgent

@Suite struct ShowTests {
    let world = FakeWorld()

    init() throws {
        try world.publish(Samples.attached)
    }

    @Test func `a table is aligned and has no blanks at the end of lines`() {
        let table = Table(
            ["NAME", "COUNT", "X"], rows: [["a", "7", ""], ["longer", "1234567", "y"]], rightAligned: [1])
        #expect(
            table.description == """
                NAME      COUNT  X
                a             7
                longer  1234567  y
                """)
    }

    @Test func `the status is told`() throws {
        world.counters[10] = VerdictCounters(
            verdicts: [.connect: [.permit: 3, .otherEnvironment: 2], .ingress: [.ownEnvironment: 4]],
            audited: [.connect: 1])
        #expect(
            try world.agent.status().description == """
                instance vne: policy policy.yaml, generation 1, 2 environment(s), 2 named application(s)

                APPLICATION  ENVIRONMENT  ADDRESS    HOSTNAME  STATE     BY      EGRESS  ALLOWED  DENIED  PROTECTIONS  CGROUP
                db           payments     10.10.3.1  -         attached  policy  no            0       0  closing      payments/db
                web          shop         10.10.2.1  web.shop  attached  policy  no            8       1  closing      shop/web
                """)
        let web = try world.agent.status(of: "web")
        #expect(web.counters?.counts.map(\.reason) == ["permit", "other-environment", "own-environment"])
        #expect(web.description.contains("connect  other-environment  deny         2"))
        #expect(web.description.hasSuffix("audit mode let 1 denial(s) through"))
    }

    @Test func `what is not as it should be is told`() throws {
        world.cgroups["payments/db"] = nil
        world.records[10]?.state = .attaching
        world.applicationAddresses.remove(address("10.10.2.1"))
        let status = try world.agent.status()
        #expect(
            status.problems == [
                "the cgroup of db is gone: the next changing command detaches it",
                "web is attaching and denied everything: the next changing command finishes that",
                "the address 10.10.2.1 of web is on no interface",
            ])
        #expect(status.applications.map(\.word) == ["cgroup-gone", "attaching"])
    }

    @Test func `an application of the policy that is not attached is a problem`() throws {
        _ = try world.agent.detach("db")
        #expect(
            try world.agent.status().problems == [
                "db is named by the policy and not attached: its processes, if there are any, are not isolated"
            ])
    }

    @Test func `an instance that is not loaded has nothing to show`() throws {
        let agent = Agent(instance: "vne", dataplane: UnloadedInstance(), host: FakeHost(world: world))
        #expect(
            try agent.status().description
                == "instance vne: no policy is published\nno application is attached")
        #expect(try agent.list().isEmpty)
        #expect(try agent.flows().isEmpty)
        #expect(throws: AgentError.self) { try agent.apply(Samples.shop, source: "policy.yaml") }
    }

    @Test func `both addresses are listed`() throws {
        try world.publish(Samples.dualAttached)
        #expect(
            try world.agent.list().table.description == """
                APPLICATION  ENVIRONMENT  ADDRESS                HOSTNAME  STATE     BY      EGRESS  CGROUP
                db           payments     10.10.3.1,fd00:0:3::1  -         attached  policy  no      payments/db
                web          shop         10.10.2.1,fd00:0:2::1  -         attached  policy  no      shop/web
                """)
        #expect(try world.agent.list().first?.addresses == [address("10.10.3.1"), address("fd00:0:3::1")])
    }

    @Test func `one address that is missing or not the environment's is a problem`() throws {
        try world.publish(Samples.dualAttached)
        world.applicationAddresses.remove(address("fd00:0:2::1"))
        world.loopbacks.remove(try #require(world.record(named: "db")?.loopback.ipv6))
        #expect(
            try world.agent.status().problems == [
                "the private loopback of db is on no interface: the next changing command puts it back",
                "the address fd00:0:2::1 of web is on no interface",
            ])
        // By hand, so that it stays where it is.
        world.records[10]?.fromPolicy = false
        let lines = Samples.dual.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let named = try #require(lines.firstIndex(of: "  web:"))
        try world.publish(
            (lines[..<named] + lines[(named + 3)...]).joined(separator: "\n").replacing(
                "fd00:0:2::/64", with: "fd00:0:4::/64"))
        let web = try world.agent.status(of: "web")
        #expect(web.word == "stranded")
        #expect(
            try world.agent.status().problems.contains(
                "web is denied everything: the policy has no environment shop with the addresses 10.10.2.1 and fd00:0:2::1"
            ))
    }

    @Test func `IPv6 flows, and those on the own loopback, are told`() throws {
        try world.publish(Samples.dualAttached)
        world.sockets = [
            Samples.tcp(1, "fd00:0:2::1", 40000, "fd00:0:3::1", 5432, cgroup: 10),
            Samples.tcp(2, "127.1.0.1", 40001, "127.1.0.1", 6379, cgroup: 10),
            Samples.tcp(3, "fd00:0:2::1", 80, "::", 0, cgroup: 10, state: 10),
        ]
        world.recorded[10] = [
            RecordedFlow(remote: address("2001:db8::9"), remotePort: 53, localPort: 41000, incoming: false, idle: 5)
        ]
        #expect(
            try world.agent.flows().table.description == """
                APPLICATION  PROTO  STATE        LOCAL                REMOTE              PEER  VERDICT  REASON
                web          tcp    listening    [fd00:0:2::1]:80     -                   -     -        -
                web          tcp    established  [fd00:0:2::1]:40000  [fd00:0:3::1]:5432  db    allow    permit
                web          tcp    established  127.1.0.1:40001      127.1.0.1:6379      web   allow    own-loopback
                web          udp    let out      [fd00:0:2::1]:41000  [2001:db8::9]:53    -     -        -
                """)
    }

    @Test func `flows are told with what the policy says of them`() throws {
        world.sockets = [
            Samples.tcp(1, "10.10.2.1", 40000, "10.10.3.1", 5432, cgroup: 10),
            Samples.tcp(2, "10.10.2.1", 40001, "10.10.3.1", 22, cgroup: 10),
            Samples.tcp(3, "10.10.2.1", 80, "0.0.0.0", 0, cgroup: 10, state: 10),
            Samples.tcp(4, "10.10.2.1", 80, "0.0.0.0", 0, cgroup: 99, state: 10),
        ]
        world.recorded[10] = [
            RecordedFlow(remote: address("198.51.100.1"), remotePort: 53, localPort: 41000, incoming: false, idle: 5)
        ]
        #expect(
            try world.agent.flows().table.description == """
                APPLICATION  PROTO  STATE        LOCAL            REMOTE           PEER  VERDICT  REASON
                web          tcp    listening    10.10.2.1:80     -                -     -        -
                web          tcp    established  10.10.2.1:40000  10.10.3.1:5432   db    allow    permit
                web          tcp    established  10.10.2.1:40001  10.10.3.1:22     db    deny     other-environment
                web          udp    let out      10.10.2.1:41000  198.51.100.1:53  -     -        -
                """)
        #expect(try world.agent.flows(deniedOnly: true).map(\.remotePort) == [22])
    }

    @Test func `a denial is one line`() throws {
        let denial = Denial(
            time: 12_000_345_678, cgroupID: 10, hook: .connect, reason: .otherEnvironment, audited: false, transport: 6,
            remote: address("10.10.3.1"), remotePort: 22, local: nil, localPort: 0, process: 812,
            command: "curl")
        var packet = denial
        packet.hook = .ingress
        packet.process = 0
        packet.local = address("10.10.2.1")
        packet.localPort = 80
        packet.cgroupID = 5
        var native = denial
        native.remote = address("fd00:0:3::1")
        native.reason = .noFamily
        var reader = DenialReader()
        #expect(
            try reader.records(of: [denial, packet, native], by: world.agent).map(\.description) == [
                "12.000345 web connect denied tcp - -> 10.10.3.1:22 (db): other-environment (curl, 812)",
                "12.000345 cgroup 5 ingress denied tcp 10.10.2.1:80 <- 10.10.3.1:22 (db): other-environment",
                "12.000345 web connect denied tcp - -> [fd00:0:3::1]:22: no-family (curl, 812)",
            ])
    }

    @Test func `a denial by a line of the policy names it, as the policy is at that time`() throws {
        func denial(_ hook: Hook) -> Denial {
            Denial(
                time: 0, cgroupID: 20, hook: hook, reason: .remoteDenied, audited: false, transport: 6,
                remote: address("198.51.100.9"), remotePort: 443, local: address("10.10.3.1"), localPort: 5432,
                process: 0, command: "")
        }
        var reader = DenialReader()
        func lines() throws -> [String] {
            try reader.records(of: [denial(.connect), denial(.ingress)], by: world.agent)
                .map { "\($0.file ?? "-"):\($0.line ?? 0)" }
        }
        #expect(try lines() == ["policy.yaml:9", "policy.yaml:9"])
        try world.publish("\n" + Samples.attached)
        #expect(try lines() == ["policy.yaml:10", "policy.yaml:10"])
        try world.publish(Samples.attached.replacing("remote: deny", with: "remote: allow"))
        #expect(try lines() == ["-:0", "-:0"])
    }

    @Test func `a policy file is checked against this host`() throws {
        world.hostAddresses.insert(address("10.10.3.77"))
        world.cgroups["shop/web"] = nil
        let text = Samples.attached.replacing("remote: deny", with: "mode: audit")
        let check = try world.agent.check(
            text, source: "new.yaml",
            dependencies: HostDependencies(gateways: [address("10.10.0.1")], resolvers: [address("9.9.9.9")]))
        #expect(
            check.warnings == [
                "this host's own address 10.10.3.77 is inside the address space, in the environment payments: applications "
                    + "are judged by permits when they talk to it, not as to the host or a remote",
                "the gateway 10.10.0.1 is inside the address space, in no environment: applications "
                    + "are judged by permits when they talk to it, not as to the host or a remote",
                "line 12: web waits for its cgroup shop/web: there is no cgroup shop/web",
                "line 7: payments is in audit mode: what it denies is let through",
            ])
        #expect(check.description.hasPrefix("new.yaml: no errors; 2 environment(s), 2 application(s)\nwarning: "))
    }

    @Test func `a policy file is checked against this host in both families`() throws {
        world.hostAddresses.insert(address("fd00:0:3::77"))
        let check = try world.agent.check(
            Samples.dual, source: "new.yaml", dependencies: HostDependencies(gateways: [address("fd00:0:9::1")]))
        #expect(check.warnings.count == 2)
        #expect(
            check.warnings.first?.hasPrefix("this host's own address fd00:0:3::77 is inside the address space") == true)
        #expect(check.warnings.last?.hasPrefix("the gateway fd00:0:9::1 is inside the address space, in no") == true)
    }

    @Test func `what cannot be on a host without IPv6 is told`() throws {
        world.hasIPv6 = false
        #expect(
            try world.agent.check(Samples.dual, source: "new.yaml").warnings == [
                "this host has no IPv6: 2 application(s) with an IPv6 address cannot be attached (web, db); switch it on "
                    + "(sysctl net.ipv6.conf.all.disable_ipv6=0), or give them IPv4 addresses only"
            ])
        #expect(try world.agent.check(Samples.attached, source: "new.yaml").warnings.isEmpty)
    }

    @Test func `an error knows its status`() {
        struct Told: ReportedError {
            let report = AgentError(.unsupported, "no")
        }
        struct Other: Error, CustomStringConvertible {
            let description = "what"
        }
        #expect(AgentError(Told()) == AgentError(.unsupported, "no"))
        #expect(AgentError(Other()) == AgentError(.failure, "what"))
        #expect(ExitStatus.allCases.map(\.rawValue) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 125, 255])
    }

    @Test(arguments: [
        ("system.slice/nginx.service", "nginx.service"), ("a/b c", "b-c"), ("a/..x", "x"), ("a/---", "application"),
        (String(repeating: "y", count: 80), String(repeating: "y", count: 63)),
    ])
    func `a name is made from the last part of a path`(path: String, name: String) {
        #expect(Name.suggested(for: path) == name)
    }
}
