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
                  connect (cgroup/connect4) at web: allowed: a permit of the policy covers it [permit]  policy.yaml:6
                  ingress (cgroup_skb/ingress) at db: allowed: a permit of the policy covers it [permit]  policy.yaml:6
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
        ("web", "127.1.0.1:80", "loopback"), ("web", "192.0.2.1:22", "host"), ("web", "198.51.100.1:443", "remote"),
        ("web", "224.0.0.1:5/udp", "multicast"), ("web", "169.254.1.1:80", "link-local-denied"),
        ("web", "10.10.2.9/ping", "protocol"), ("db", "198.51.100.1:443", "remote-denied"),
        ("web", "2001:db8::9", "no-family"), ("web", "::1", "loopback"), ("web", "[::1]:80/udp", "own-loopback"),
    ])
    func `each reason is told`(name: String, peer: String, reason: String) throws {
        #expect(try explain(name, peer).cases.first?.sides.first?.reason == reason)
    }

    @Test func `udp is decided at send, and what the environment does not speak where sockets are made`() throws {
        #expect(try explain("web", "db:53/udp").cases.first?.sides.first?.hook == "send")
        #expect(try explain("web", "db/ping").cases.first?.sides.first?.hook == "create")
    }

    @Test func `the kernel's own name of the hook is told`() throws {
        func hooks(_ peer: String, incoming: Bool = false) throws -> [String]? {
            try explain("web", peer, incoming: incoming).cases.first?.sides.map(\.attachPoint)
        }
        #expect(try hooks("db:80") == ["cgroup/connect4", "cgroup_skb/ingress"])
        #expect(try hooks("db:80/udp") == ["cgroup/sendmsg4", "cgroup_skb/ingress"])
        #expect(try hooks("[2001:db8::9]:80") == ["cgroup/connect6"])
        #expect(try hooks("[2001:db8::9]:80/udp") == ["cgroup/sendmsg6"])
        #expect(try hooks("198.51.100.1/ping") == ["cgroup/sock_create"])
        #expect(try hooks("198.51.100.1:80", incoming: true) == ["cgroup_skb/ingress"])
    }

    @Test func `a datagram to its loopback is denied where a wildcard of the host would get it`() throws {
        func wildcard(_ local: String, _ port: UInt16, cgroup: UInt64 = 0) -> ObservedSocket {
            ObservedSocket(
                family: local.contains(":") ? 10 : 2, transport: .udp, cookie: UInt64(port), state: 7,
                local: IPAddress(local), localPort: port, remote: nil, remotePort: 0, cgroupID: cgroup, inode: 0,
                interface: 0)
        }
        world.sockets = [wildcard("0.0.0.0", 5_353), wildcard("0.0.0.0", 5_000), wildcard("::", 5_001)]
        let ranges = ["1-4999", "5000-5001", "5002-5352", "5353", "5354-65535"]
        #expect(try explain("web", "127.0.0.1/udp").cases.map(\.ports) == ranges)
        #expect(try explain("web", "127.0.0.1:5353/udp").cases.first?.sides.map(\.reason) == ["loopback"])
        #expect(try explain("web", "[::1]:5001/udp").cases.first?.sides.map(\.reason) == ["loopback"])
        #expect(try explain("web", "[::1]:5353/udp").allowed)
        // Its own socket at that port is found first.
        world.sockets.append(wildcard("10.10.2.1", 5_353, cgroup: 10))
        #expect(try explain("web", "127.0.0.1:5353/udp").allowed)
    }

    @Test func `an IPv6 flow is told as an IPv4 one is`() throws {
        try world.publish(Samples.dualAttached)
        #expect(
            try explain("web", "[fd00:0:3::1]:5432").description == """
                tcp: web (shop, fd00:0:2::1) to fd00:0:3::1 (application db of payments)
                ALLOWED, port 5432
                  connect (cgroup/connect6) at web: allowed: a permit of the policy covers it [permit]  policy.yaml:6
                  ingress (cgroup_skb/ingress) at db: allowed: a permit of the policy covers it [permit]  policy.yaml:6
                """)
        #expect(try explain("web", "fd00:0:3::1").cases.map(\.ports) == ["1-5431", "5432", "5433-65535"])
        let answer = try explain("db", "[2001:db8::99]:5432", incoming: true)
        #expect(answer.cases.first?.sides.map(\.reason) == ["remote-denied"])
        #expect(answer.addresses == [address("10.10.3.1"), address("fd00:0:3::1")])
    }

    @Test func `a name stands for an address of a family that both have`() throws {
        let only6 = Samples.dualAttached.replacing("[10.10.3.1, \"fd00:0:3::1\"]", with: "\"fd00:0:3::1\"")
        try world.publish(only6)
        #expect(try explain("web", "db:5432").peer == address("fd00:0:3::1"))
        #expect(try explain("db", "web:80").peer == address("fd00:0:2::1"))
        #expect(try explain("web", "web:80").peer == address("10.10.2.1"))
    }

    @Test func `a family that one of both lacks is told at the end that lacks it`() throws {
        let only6 = Samples.dualAttached.replacing("[10.10.3.1, \"fd00:0:3::1\"]", with: "\"fd00:0:3::1\"")
        try world.publish(only6)
        let outgoing = try explain("db", "10.10.2.1:80")
        #expect(outgoing.cases.first?.sides.map(\.reason) == ["no-family"])
        #expect(outgoing.description.hasPrefix("tcp: db (payments, fd00:0:3::1) to 10.10.2.1"))
        let incoming = try explain("db", "10.10.2.1:80", incoming: true)
        #expect(incoming.cases.first?.sides.map(\.reason) == ["not-addressed"])
        #expect(incoming.cases.first?.sides.map(\.hook) == ["ingress"])
    }

    @Test func `a loopback destination is the application's own where something of it listens`() throws {
        try world.publish(Samples.dualAttached)
        let loopback = try #require(world.record(named: "web")?.loopback)
        #expect(try explain("web", "127.0.0.1:6379").cases.first?.sides.map(\.reason) == ["loopback"])
        world.sockets = [
            Samples.tcp(1, "127.1.0.1", 6379, "0.0.0.0", 0, cgroup: 10, state: 10),
            // Bound to the wildcard, so it stands at the application address.
            Samples.tcp(2, "10.10.2.1", 80, "0.0.0.0", 0, cgroup: 10, state: 10),
            Samples.tcp(3, "\(loopback.ipv6)", 443, "::", 0, cgroup: 10, state: 10),
            // Not at 127.0.0.1: another address, another application, a connection, the host.
            Samples.tcp(4, "127.1.0.2", 90, "0.0.0.0", 0, cgroup: 10, state: 10),
            Samples.tcp(5, "127.1.1.1", 91, "0.0.0.0", 0, cgroup: 20, state: 10),
            Samples.tcp(6, "127.1.0.1", 92, "127.1.0.1", 6379, cgroup: 10),
            Samples.tcp(7, "0.0.0.0", 93, "0.0.0.0", 0, cgroup: 99, state: 10),
        ]
        let answer = try explain("web", "127.0.0.1")
        #expect(answer.peerKind == "loopback, its own is 127.1.0.1")
        #expect(answer.cases.map(\.ports) == ["1-79", "80", "81-6378", "6379", "6380-65535"])
        #expect(answer.cases.map(\.allowed) == [false, true, false, true, false])
        #expect(answer.cases[1].sides.map(\.reason) == ["own-loopback"])
        #expect(
            answer.warnings == [
                "what listens at 10.10.2.1:80 takes it if it was bound to the wildcard, and not if it was bound to that "
                    + "very address"
            ])
        #expect(try explain("web", "127.0.0.1:6379").warnings.isEmpty)
        #expect(try explain("web", "::1").cases.map(\.ports) == ["1-442", "443", "444-65535"])
        #expect(try explain("web", "127.0.0.2:90").allowed)
        // An IPv6 socket at the IPv4 address: bound to a wildcard of both families.
        world.sockets[1].family = 10
        #expect(try explain("web", "::1").cases.map(\.ports) == ["1-79", "80", "81-442", "443", "444-65535"])
        // A datagram needs no listener to be sent; 127.0.2.1 is no loopback address of an application.
        #expect(try explain("web", "127.0.0.1:53/udp").allowed)
        #expect(try explain("web", "127.0.2.1:80").cases.first?.sides.map(\.reason) == ["loopback"])
    }

    @Test func `a shared service on loopback is told`() throws {
        world.resolvers = [SharedService(address: address("127.0.0.53"), port: 53)]
        try world.publish(Samples.attached + "loopback: {shared: [\"127.0.0.1:11211\"]}\n")
        #expect(try explain("web", "127.0.0.53:53/udp").cases.first?.sides.map(\.reason) == ["shared"])
        #expect(try explain("web", "127.0.0.1").cases.map(\.ports) == ["1-11210", "11211", "11212-65535"])
        #expect(try explain("web", "127.0.0.1:11211").cases.first?.sides.map(\.reason) == ["shared"])
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
            ("10.0.0.1:53/udp", "10.0.0.1", 53, .udp), ("[fd00::1]:80", "fd00::1", 80, .tcp),
            ("[fd00::1]:53/udp", "fd00::1", 53, .udp), ("[fd00::1]", "fd00::1", nil, .tcp),
            ("fd00::1/ping", "fd00::1", nil, .ping), ("fd00::1:80", "fd00::1:80", nil, .tcp), ("::", "::", nil, .tcp),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1", nil, .tcp), ("web/ping", "web", nil, .ping),
            ("web:443", "web", 443, .tcp),
        ] as [(String, String, UInt16?, TransportProtocol)])
    func `an end of a flow is read`(text: String, host: String, port: UInt16?, transport: TransportProtocol) {
        #expect(Endpoint(text) == Endpoint(host: host, port: port, transport: transport))
    }

    @Test(arguments: [
        "", ":80", "a:", "a:70000", "a:-1", "a:+1", "a/xyz", "a:1/ping", "a/b/tcp", "a:1:2", "[fd00::1", "fd00::1]:80",
        "[fd00::1]80",
        "[10.0.0.1]:80", "[web]:80", "[fd00::1]:80/ping", "[]:80", "fe80::1%lo", "::ffff:10.0.0.1:80",
    ])
    func `what is no end of a flow is refused`(text: String) {
        #expect(Endpoint(text) == nil)
    }
}
