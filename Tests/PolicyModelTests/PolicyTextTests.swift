import PolicyModel
import TestSupport
import Testing

/// A policy that was written as a file and is read again.
@Suite struct PolicyTextTests {
    /// The policy without the places of what it says, and with its entries for remotes in one order: allowed ones first.
    private func bare(_ policy: Policy) -> Policy {
        var policy = policy
        for index in policy.environments.indices {
            policy.environments[index].line = 0
            for permit in policy.environments[index].permits.indices {
                policy.environments[index].permits[permit].line = 0
            }
            for path in [\Environment.remoteIn, \Environment.remoteOut] {
                policy.environments[index][keyPath: path] = bare(policy.environments[index][keyPath: path])
            }
        }
        for index in policy.applications.indices { policy.applications[index].line = 0 }
        policy.hostGuard?.line = 0
        return policy
    }

    private func bare(_ remote: RemotePolicy) -> RemotePolicy {
        let rules = remote.rules.map { rule in
            var rule = rule
            rule.line = 0
            // What covers everything says nothing else.
            if rule.ports.contains(where: { $0.transport == nil }) { rule.ports = [PortRule(nil)] }
            return rule
        }
        return RemotePolicy(otherwise: remote.otherwise, rules: rules.filter(\.allows) + rules.filter { !$0.allows })
    }

    private func expectSame(_ policy: Policy) throws {
        let again = try PolicyFile.parse(policy.yaml, source: policy.source)
        #expect(bare(again) == bare(policy), "\(policy.yaml)")
    }

    @Test(arguments: 0..<50)
    func `a random policy is the same once it was written and read`(seed: UInt64) throws {
        var random = RandomPolicies(seed: seed)
        try expectSame(random.policy().written().policy)
    }

    @Test func `whatever a policy may say is written`() throws {
        let text = """
            addressSpace: [10.10.0.0/16, "fd00:10::/32"]
            addressSpaceInterfaces: [wg0, "true"]
            interface: "eth0.7"
            resolveHostnames: all
            loopback: {shared: ["127.0.0.1:11211", "[::1]:5353"]}
            guard: {cgroups: [system.slice, 'user.slice/a"b\\c: #d'], addresses: [192.0.2.1, "2001:db8::1"]}
            environments:
              shop:
                addresses: [10.10.2.0/24, 10.10.20.7, "fd00:10:2::/64", "fd00:10:3::9"]
                remote: {in: deny, out: {allow: [192.0.2.0/24 tcp/443 udp/53, "2001:db8:7::/48"], deny: 192.0.2.128/25}}
                host: deny
                linkLocal: true
                permits: [{to: lab/probe, ports: [tcp/80, udp/5000-5010]}, {to: "true"}]
                protocols: [udp, tcp, ping]
                strict: true
                mode: audit
                multicast: true
                unix: private
                require: [bpf, families]
              lab: {addresses: 10.10.4.0/24, remote: {deny: 198.51.100.0/24}}
              "true": 10.10.5.0/24
              dark: {addresses: [10.10.6.0/24], remote: deny}
            applications:
              web: {environment: shop, address: [10.10.2.1, "fd00:10:2::1"], hostname: Web.shop, cgroup: 'a/b: "c"'}
              probe: {environment: lab, address: 10.10.4.9}
              chosen: {environment: "true", address: auto}
            """
        let policy = try PolicyFile.parse(text, source: "policy.yaml")
        #expect(policy.environments.map(\.addresses.count) == [4, 1, 1, 1])
        try expectSame(policy)
        for hostnames in ResolvedHostnames.allCases {
            var other = policy
            other.hostnames = hostnames
            try expectSame(other)
        }
    }

    @Test(arguments: [
        "a b", "x\u{80}", "a\u{85}b", "\"\u{301}c", "\\\u{301}", "ü/日本", "a\u{2028}b", "\u{1F600}", "it's", "#", "*",
    ])
    func `a path means the same once it was written and read, whatever is in it`(path: String) throws {
        let environment = Environment(name: "shop", addresses: [try #require(IPPrefix("10.10.2.0/24"))])
        let application = Application(name: "web", environment: "shop", addresses: nil, cgroup: "a/\(path)")
        let policy = Policy(
            addressSpace: environment.addresses, environments: [environment], applications: [application], source: "")
        let again = try PolicyFile.parse(policy.yaml, source: "")
        #expect(again.applications.first?.cgroup.map { Array($0.utf8) } == Array("a/\(path)".utf8))
    }

    @Test func `a policy of nothing is written`() throws {
        try expectSame(PolicyFile.parse("addressSpace: 10.10.0.0/16\nenvironments: {}", source: "policy.yaml"))
    }

    @Test func `an environment's addresses may stand alone`() throws {
        let short = """
            addressSpace: [10.10.0.0/16, "fd00:10::/32"]
            environments: {a: 10.10.2.0/24, b: [10.10.3.0/24, "fd00:10::/64"], c: 10.10.4.7, d: "fd00:10:4::7"}
            """
        let long = short.replacing("{a: 10", with: "{a: {addresses: 10").replacing(
            "24, b: [", with: "24}, b: {addresses: ["
        )
        .replacing(
            "], c: 10.10.4.7, d: \"fd00:10:4::7\"",
            with: "]}, c: {addresses: 10.10.4.7}, d: {addresses: \"fd00:10:4::7\"}")
        #expect(try PolicyFile.parse(short, source: "") == PolicyFile.parse(long, source: ""))
    }
}
