import PolicyModel
import Testing

/// What is learnt from which denials, and how it is written.
@Suite struct SuggestionsTests {
    static let file = """
        addressSpace: [10.10.0.0/16, "fd00:10::/32"]
        environments:
          shop:
            addresses: [10.10.2.0/24, "fd00:10:2::/64"]
            mode: audit
            host: deny
            remote: deny
            unix: private
            protocols: [tcp, udp, ping]
            permits:
              - {to: payments/db, ports: [tcp/5432]}
          payments:
            addresses: [10.10.3.0/24, "fd00:10:3::/64"]
            mode: audit
            remote:
              out: {deny: [192.0.2.0/24, 198.51.100.7 tcp/25]}
          lab: {addresses: 10.10.4.0/24, protocols: udp}
        applications:
          web: {environment: shop, address: [10.10.2.1, "fd00:10:2::1"]}
          db: {environment: payments, address: [10.10.3.1, "fd00:10:3::1"]}
          jobs: {environment: payments, address: auto}

        """
    let policy: Policy

    init() throws {
        policy = try PolicyFile.parse(Self.file, source: "policy.yaml")
    }

    /// A denial of `web`, unless it is said to be another application's.
    private func denial(
        _ hook: Hook, _ reason: Reason = .otherEnvironment, _ transport: TransportProtocol? = .tcp,
        of name: String = "web",
        at local: String? = "10.10.2.1", _ localPort: UInt16 = 0, with remote: String?, _ remotePort: UInt16 = 0,
        audited: Bool = true
    ) -> RecordedDenial {
        RecordedDenial(
            application: name, environment: name == "web" ? "shop" : "payments", hook: hook, reason: reason,
            audited: audited, transport: transport, local: local.map { ip($0) }, localPort: localPort,
            remote: remote.map { ip($0) }, remotePort: remotePort)
    }

    private func suggestions(_ denials: RecordedDenial..., enforced: Bool = false) -> Suggestions {
        var tally = DenialTally()
        denials.forEach { tally.add($0) }
        return Suggestions(policy, denials: tally, enforced: enforced)
    }

    private func permits(_ suggestions: Suggestions) -> [String] {
        suggestions.environments.flatMap { environment in
            environment.permits.map { "\(environment.environment) -> \($0.permit.target) \($0.permit.ports)" }
        }
    }

    @Test func `a denied call is a permit to the application that was called`() {
        #expect(
            suggestions(denial(.connect, with: "10.10.3.1", 443)).yaml() == """
                # Permits are added to those that an environment has. Every other key takes the place of its present one.
                environments:
                  shop:
                    permits:
                      - {to: payments/db, ports: [tcp/443]}  # 1 denial of web
                """)
    }

    @Test func `an address that the file gives to no application is all of its environment`() {
        let found = suggestions(denial(.connect, with: "10.10.3.77", 443), denial(.connect, with: "10.10.3.1", 443))
        #expect(
            found.yaml().hasSuffix(
                """
                    permits:
                      - {to: payments, ports: [tcp/443]}  # 1 denial of web; to all, as the file gives 10.10.3.77 to no application
                """))
    }

    @Test func `both ends of a flow are one permit, from who began`() {
        let found = suggestions(
            denial(.connect, with: "10.10.3.1", 443),
            denial(.ingress, of: "db", at: "10.10.3.1", 443, with: "10.10.2.1", 40001),
            denial(.ingress, at: "10.10.2.1", 40001, with: "10.10.3.1", 443),
            denial(.egress, of: "db", at: "10.10.3.1", 443, with: "10.10.2.1", 40001))
        #expect(permits(found) == ["shop -> payments/db [tcp/443]"])
        #expect(found.environments.first?.permits.first?.evidence.description == "4 denials of db, web")
    }

    @Test func `an incoming denial alone is a permit of the peer's environment`() {
        #expect(
            permits(suggestions(denial(.ingress, of: "db", at: "10.10.3.1", 443, with: "10.10.2.1", 40001)))
                == ["shop -> payments/db [tcp/443]"])
    }

    @Test func `the answer to a datagram, and a client's port, are no rules`() {
        let found = suggestions(
            denial(.send, .otherEnvironment, .udp, of: "db", at: "10.10.3.1", 53, with: "10.10.2.1", 40001),
            denial(.ingress, .otherEnvironment, .udp, at: "10.10.2.1", 40001, with: "10.10.3.1", 53))
        #expect(permits(found) == ["shop -> payments/db [udp/53]"])
    }

    @Test func `where the ports do not tell, a connect or the first record does`() {
        let high = suggestions(
            denial(.egress, of: "db", at: "10.10.3.1", 50000, with: "10.10.2.1", 40001),
            denial(.ingress, at: "10.10.2.1", 40001, with: "10.10.3.1", 50000),
            denial(.connect, with: "10.10.3.1", 50000))
        #expect(permits(high) == ["shop -> payments/db [tcp/50000]"])
        let low = suggestions(
            denial(.send, .otherEnvironment, .udp, with: "10.10.3.1", 123),
            denial(.send, .otherEnvironment, .udp, at: "10.10.2.1", 68, with: "10.10.3.1", 67),
            denial(.ingress, .otherEnvironment, .udp, at: "10.10.2.1", 68, with: "10.10.3.1", 67),
            denial(.send, .otherEnvironment, .udp, of: "db", at: "10.10.3.1", 67, with: "10.10.2.1", 68))
        #expect(permits(low) == ["shop -> payments/db [udp/67, udp/123]"])
    }

    @Test func `ports that follow each other are a range, and others are not`() {
        let found = suggestions(
            denial(.connect, with: "10.10.3.1", 82), denial(.connect, with: "10.10.3.1", 80),
            denial(.connect, with: "fd00:10:3::1", 81), denial(.connect, with: "10.10.3.1", 84),
            denial(.send, .otherEnvironment, .ping, with: "10.10.3.1"))
        // Payments speaks no ping.
        #expect(permits(found) == ["shop -> payments/db [tcp/80-82, tcp/84]"])
        #expect(found.unallowable.map(\.why) == ["ping is not among the protocols of environment payments"])
    }

    @Test func `what the policy allows by now is not suggested again`() {
        let found = suggestions(denial(.connect, with: "10.10.3.1", 5432), denial(.connect, with: "10.10.2.9", 1))
        #expect(found.environments.isEmpty)
        #expect(
            found.yaml() == "# Nothing to add to the policy.\n# 2 denials of what the policy allows by now.")
    }

    @Test func `what was enforced is learnt from only when that is asked for`() {
        let refused = denial(.connect, with: "10.10.3.1", 443, audited: false)
        #expect(suggestions(refused).enforced == 1)
        #expect(suggestions(refused).environments.isEmpty)
        #expect(permits(suggestions(refused, enforced: true)) == ["shop -> payments/db [tcp/443]"])
    }

    @Test func `a remote is an entry of its list, which says the rest as before`() throws {
        let found = suggestions(
            denial(.connect, .remoteDenied, with: "192.0.2.9", 443),
            denial(.connect, .remoteDenied, with: "2001:db8::9", 443),
            denial(.connect, .remoteDenied, of: "db", at: "10.10.3.1", with: "192.0.2.9", 443),
            denial(.ingress, .remoteDenied, at: "10.10.2.1", 443, with: "198.51.100.9", 40001))
        #expect(
            found.yaml().hasSuffix(
                """
                  shop:
                    remote:  # in place of what line 7 says
                      in:
                        allow:
                          - 198.51.100.9 tcp/443  # 1 denial of web
                      out:
                        allow:
                          - 192.0.2.9 tcp/443  # 1 denial of web
                          - "2001:db8::9 tcp/443"  # 1 denial of web
                  payments:
                    remote:  # in place of what line 16 says
                      in: allow
                      out:
                        allow:
                          - 0.0.0.0/0
                          - "::/0"
                          - 192.0.2.9 tcp/443  # 1 denial of db
                        deny:
                          - 192.0.2.0/24
                          - 198.51.100.7 tcp/25
                """))
    }

    @Test func `the host and Unix sockets are keys, which say how far they go`() {
        let found = suggestions(
            denial(.connect, .hostDenied, with: "192.0.2.1", 22),
            denial(.connect, .unix, nil, at: nil, with: nil))
        #expect(
            found.yaml().hasSuffix(
                """
                  shop:
                    host: allow  # 1 denial of web; allows all flows between the environment and the host
                    unix: shared  # 1 denial of web; allows the abstract Unix sockets of others
                """))
    }

    @Test func `what no rule allows is told, with the reason`() {
        let found = suggestions(
            denial(.bind, .foreignAddress, with: "192.0.2.1", audited: false),
            denial(.connect, .unassigned, with: "10.10.9.9", 80),
            denial(.connect, .unassigned, with: "10.10.9.8", 80),
            denial(.ingress, .forged, of: "db", at: "10.10.3.1", 80, with: "10.10.2.1", 40001, audited: false),
            denial(.create, .protocol, nil, at: nil, with: nil, audited: false),
            denial(.connect, .remoteDenied, of: "db", at: "10.10.3.1", with: "198.51.100.7", 25),
            denial(.connect, with: "10.10.4.1", 80),
            denial(.connect, .multicast, with: "224.0.0.1", 80))
        #expect(
            found.yaml() == """
                # Nothing to add to the policy.
                # No rule allows:
                # - web: 1 denial, such as bind tcp to 192.0.2.1: the local address is not the application's
                # - web: 2 denials, such as connect tcp to 10.10.9.9 port 80: the address is in the address space, but in no environment
                # - db: 1 denial, such as ingress tcp from 10.10.2.1 to port 80: the source cannot come from where the packet came from
                # - web: 1 denial, such as create: the environment does not allow this protocol
                # - db: 1 denial, such as connect tcp to 198.51.100.7 port 25: an entry of remote denies just this address (line 16): it would have to go
                # - web: 1 denial, such as connect tcp to 10.10.4.1 port 80: tcp is not among the protocols of environment lab
                # - web: 1 denial, such as connect tcp to 224.0.0.1 port 80: groups and broadcast addresses are for UDP only
                """)
    }

    @Test func `more ranges than the kernel's list holds are told, not written`() {
        var tally = DenialTally()
        for port in stride(from: 2 as UInt16, through: 130, by: 2) {
            tally.add(denial(.connect, with: "10.10.3.1", port))
        }
        let found = Suggestions(policy, denials: tally)
        #expect(found.environments.isEmpty)
        #expect(found.unallowable.map(\.denials) == [65])
        #expect(found.unallowable.first?.why.hasPrefix("the ports come to 66 ranges") == true)
    }

    @Test func `no name in a record gets out of its comment`() {
        let found = suggestions(denial(.connect, of: "x\nenvironments:", with: "10.10.3.1", 443))
        #expect(found.yaml(notes: ["a\nb"]).contains("# a?b\n"))
        #expect(found.yaml().contains("# 1 denial of x?environments:"))
    }
}
