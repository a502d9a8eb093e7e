import PolicyModel
import Testing
import VNEAgent

@Suite struct ExplainTests {
    let world = FakeWorld()

    init() throws {
        try world.publish(Samples.attached)
    }

    private func explain(_ name: String, _ text: String, incoming: Bool = false) throws -> Explanation {
        try world.agent.explain(name, try #require(Endpoint(text)), incoming: incoming)
    }

    @Test func `a permit is told with its line, at both ends`() throws {
        let answer = try explain("web", "10.10.3.1:5432")
        #expect(answer.allowed)
        #expect(
            answer.description == """
                tcp: web (shop, 10.10.2.1) to 10.10.3.1 (application db of payments)
                ALLOWED, port 5432
                  connect at web: allowed: a permit of the policy covers it [permit]  policy.yaml:6
                  ingress at db: allowed: a permit of the policy covers it [permit]  policy.yaml:6
                """)
    }

    @Test func `another port is denied at both ends`() throws {
        let answer = try explain("web", "db:22")
        #expect(!answer.allowed)
        #expect(answer.cases.first?.sides.map(\.reason) == ["other-environment", "other-environment"])
        #expect(answer.cases.first?.sides.map(\.hook) == ["connect", "ingress"])
    }

    @Test func `without a port the ranges that are judged alike are told`() throws {
        let answer = try explain("web", "db")
        #expect(answer.cases.map(\.ports) == ["1-5431", "5432", "5433-65535"])
        #expect(answer.cases.map(\.allowed) == [false, true, false])
        #expect(!answer.allowed)
        let remote = try explain("web", "198.51.100.1")
        #expect(remote.cases.map(\.ports) == [nil])
        #expect(remote.allowed)
        #expect(remote.cases.first?.sides.first?.reason == "remote")
    }

    @Test func `the way in is asked with the peer as the one who begins`() throws {
        let fromShop = try explain("db", "web:5432", incoming: true)
        #expect(fromShop.allowed)
        #expect(fromShop.cases.first?.sides.map(\.application) == ["web", "db"])
        #expect(fromShop.cases.first?.sides.map(\.hook) == ["connect", "ingress"])
        let remote = try explain("db", "198.51.100.1:5432", incoming: true)
        #expect(remote.cases.first?.sides.map(\.reason) == ["remote-denied"])
        #expect(remote.cases.first?.sides.first?.line == 9)
        let host = try explain("db", "192.0.2.1:5432", incoming: true)
        #expect(host.cases.first?.sides.map(\.reason) == ["host-denied"])
        #expect(host.peerKind == "the host")
    }

    @Test func `an address of the space that no application of this host has cannot send from here`() throws {
        let answer = try explain("web", "10.10.2.200:80", incoming: true)
        #expect(answer.cases.first?.sides.map(\.reason) == ["forged"])
    }

    @Test(arguments: [
        ("web", "10.10.2.1:80", "own-environment"), ("web", "10.10.99.1:80", "unassigned"),
        ("web", "127.0.0.1:80", "loopback"), ("web", "192.0.2.1:22", "host"), ("web", "198.51.100.1:443", "remote"),
        ("web", "224.0.0.1:5/udp", "multicast"), ("web", "169.254.1.1:80", "link-local-denied"),
        ("web", "10.10.2.9/ping", "protocol"), ("db", "198.51.100.1:443", "remote-denied"),
    ])
    func `each reason is told`(name: String, peer: String, reason: String) throws {
        #expect(try explain(name, peer).cases.first?.sides.first?.reason == reason)
    }

    @Test func `udp is decided at send, and what the environment does not speak where sockets are made`() throws {
        #expect(try explain("web", "db:53/udp").cases.first?.sides.first?.hook == "send")
        #expect(try explain("web", "db/ping").cases.first?.sides.first?.hook == "create")
    }

    @Test func `audit mode is told`() throws {
        try world.publish(Samples.attached.replacing("host: deny", with: "host: deny\n    mode: audit"))
        let answer = try explain("db", "198.51.100.1:443")
        #expect(answer.allowed)
        #expect(answer.description.contains("denied, but audit mode lets it through"))
    }

    @Test func `an application that is not attached, or half so, is told with a note`() throws {
        _ = try world.agent.detach("db")
        let detached = try explain("db", "web:80")
        #expect(detached.warnings.first?.hasPrefix("db is not attached") == true)
        world.records[10]?.state = .attaching
        let half = try explain("web", "198.51.100.1:443")
        #expect(
            half.warnings == ["web is attaching: it is denied everything until the next command finishes that"])
    }

    @Test func `unknown names are told with the nearest`() {
        let error = #expect(throws: AgentError.self) { try explain("wev", "10.10.3.1:1") }
        #expect(error?.status == .notFound)
        #expect(error?.hint == "did you mean “web”?")
        #expect(throws: AgentError.self) { try explain("web", "nobody:1") }
    }

    @Test(
        arguments: [
            ("10.0.0.1", "10.0.0.1", nil, TransportProtocol.tcp), ("10.0.0.1:80", "10.0.0.1", 80, .tcp),
            ("10.0.0.1:53/udp", "10.0.0.1", 53, .udp), ("web/ping", "web", nil, .ping), ("web:443", "web", 443, .tcp),
        ] as [(String, String, UInt16?, TransportProtocol)])
    func `an end of a flow is read`(text: String, host: String, port: UInt16?, transport: TransportProtocol) {
        #expect(Endpoint(text) == Endpoint(host: host, port: port, transport: transport))
    }

    @Test(arguments: ["", ":80", "a:", "a:70000", "a:-1", "a:+1", "a/xyz", "a:1/ping", "fe80::1", "a/b/tcp", "a:1:2"])
    func `what is no end of a flow is refused`(text: String) {
        #expect(Endpoint(text) == nil)
    }
}
