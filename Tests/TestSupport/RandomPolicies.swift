public import PolicyModel

/// Random policies that are valid, small enough that random attempts meet their rules, and views of a host to go with
/// them. Every policy has the same applications and the same names, so that it can follow another one in an instance.
public struct RandomPolicies: Sendable {
    /// What all choices are made with.
    public var generator: SeededGenerator

    /// The ports that rules begin and end at.
    public static let ports: [UInt16] = [0, 1, 22, 53, 80, 81, 443, 5432, 65535]

    /// The applications of every policy, one in each environment: one with addresses of both families, one with each
    /// family only, and one that has its addresses from nowhere but ``subjects``.
    public static let applications = [
        Application(name: "web", environment: "shop", addresses: addresses("10.10.0.1", "fd0a:10::1")),
        Application(name: "db", environment: "payments", addresses: addresses("10.10.1.2")),
        Application(name: "cron", environment: "ops", addresses: addresses("fd0a:10:2::2")),
        Application(name: "later", environment: "lab", addresses: nil),
    ]

    /// The applications as the decision sees them, in their order.
    public static let subjects = zip(applications, loopbacks).map { application, loopback in
        Subject(
            environment: application.environment,
            addresses: application.addresses ?? addresses("10.10.3.5", "fd0a:10:3::5"), loopback: loopback)
    }

    /// The applications' private loopbacks, in their order.
    public static let loopbacks = applications.indices.map { index in
        PrivateLoopback(
            ipv4: IPAddress(ipv4: 0x7f01_0000 + UInt32(index) << 8),
            ipv6: IPAddress(high: 0xfd56_4e45_0a0a_0a0a, low: UInt64(index)))
    }

    private static func addresses(_ texts: String...) -> ApplicationAddresses {
        guard let addresses = ApplicationAddresses(texts.lazy.compactMap { IPAddress($0) }) else {
            preconditionFailure("no addresses: \(texts)")
        }
        return addresses
    }

    /// The same policies for the same seed.
    public init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
    }

    // MARK: - Choices

    /// True with this chance.
    public mutating func coin(_ chance: Double = 0.5) -> Bool {
        Double.random(in: 0..<1, using: &generator) < chance
    }

    /// One of these.
    public mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &generator)]
    }

    /// A number of a range.
    public mutating func number<Number: FixedWidthInteger>(in range: Range<Number>) -> Number {
        Number.random(in: range, using: &generator)
    }

    /// One of a range that may reach to the greatest number that there is.
    public mutating func number<Number: FixedWidthInteger>(in range: ClosedRange<Number>) -> Number {
        Number.random(in: range, using: &generator)
    }

    // MARK: - Policies

    /// Protocols and ports that begin and end at ``ports``.
    public mutating func rule() -> PortRule {
        let (one, other) = (pick(Self.ports), pick(Self.ports))
        let range = coin(0.2) ? 0...65535 : min(one, other)...max(one, other)
        return PortRule(coin(0.3) ? nil : pick(TransportProtocol.allCases), range)
    }

    private mutating func rules() -> [PortRule] {
        (0..<number(in: 1..<5)).map { _ in rule() }
    }

    /// An address near those that the policies name, of either family.
    public mutating func address() -> IPAddress {
        coin() ? address4() : address6()
    }

    private mutating func address4() -> IPAddress {
        let interesting: [UInt32] = [
            0x0a0a_0000, 0x0a0a_0100, 0x0a0a_0200, 0x0a0a_0300, 0x0a0a_ff00, 0x6440_0700, 0x6440_0900, 0xc000_0200,
            0xc000_0280, 0xc633_6400, 0x7f00_0000, 0xa9fe_0000, 0xe000_0000, 0xffff_ff00, 0, 0x0808_0800, 0xac10_0000,
        ]
        return IPAddress(ipv4: pick(interesting) | (coin() ? number(in: 0..<4) : number(in: 0..<256)))
    }

    private mutating func address6() -> IPAddress {
        let interesting: [UInt64] = [
            0xfd0a_0010_0000_0000, 0xfd0a_0010_0001_0000, 0xfd0a_0010_0002_0000, 0xfd0a_0010_0003_0000,
            0xfd0a_0010_ffff_0000, 0x2001_0db8_0064_0007, 0x2001_0db8_0064_0009, 0x2001_0db8_0000_0000,
            0x2001_0db8_0000_0080, 0x2600_0000_0000_0000, 0xfd56_4e45_0a0a_0a0a, 0xfe80_0000_0000_0000,
            0xff02_0000_0000_0000, 0xffff_ffff_ffff_ff00, 0,
        ]
        let high = pick(interesting) | (coin(0.7) ? 0 : number(in: 0..<4))
        return IPAddress(high: high, low: coin() ? number(in: 0..<8) : number(in: 0...UInt64.max))
    }

    /// An address at an edge that a policy draws, or any near those that it names.
    public mutating func address(near landmarks: Landmarks) -> IPAddress {
        coin(0.8) ? pick(pick(landmarks.addresses)) : address()
    }

    /// The same of one family only.
    public mutating func address(_ family: AddressFamily, near landmarks: Landmarks) -> IPAddress {
        for _ in 0..<16 {
            let address = address(near: landmarks)
            if address.family == family { return address }
        }
        return family == .ipv4 ? address4() : address6()
    }

    private mutating func remote() -> RemotePolicy {
        guard coin(0.7) else { return RemotePolicy(otherwise: coin()) }
        let rules = (0..<number(in: 1..<9)).map { line in
            let address = address()
            let lengths =
                address.family == .ipv4
                ? [0, 1, 7, 8, 9, 15, 16, 20, 24, 25, 30, 31, 32]
                : [0, 1, 7, 8, 10, 16, 31, 32, 47, 48, 49, 63, 64, 65, 96, 120, 126, 127, 128]
            let prefix = IPPrefix(holding: address, length: pick(lengths))
            return RemoteRule(prefix: prefix, ports: self.rules(), allows: coin(), line: line)
        }
        return RemotePolicy(otherwise: coin(), rules: rules)
    }

    private mutating func permits(from name: String, among names: [String]) -> [Permit] {
        (0..<number(in: 0..<5)).map { line in
            let to = pick(names.filter { $0 != name })
            let application = coin(0.4) ? Self.applications.first { $0.environment == to }?.name : nil
            return Permit(to: to, application: application, ports: rules(), line: line)
        }
    }

    /// What an environment may have as its addresses: one choice of each family.
    private struct Shape {
        var name: String
        var ipv4: [[String]]
        var ipv6: [[String]]
    }

    private static let shapes = [
        Shape(
            name: "shop",
            ipv4: [
                ["10.10.0.0/24"], ["10.10.0.0/30", "10.10.0.128/25"], ["10.10.0.1"], ["100.64.7.0/24", "10.10.0.0/28"],
            ],
            ipv6: [
                ["fd0a:10::/64"], ["fd0a:10::/126", "fd0a:10:0:0:8000::/65"], ["fd0a:10::1"],
                ["2001:db8:64:7::/64", "fd0a:10::/124"],
            ]),
        Shape(
            name: "payments",
            ipv4: [["10.10.1.0/25", "10.10.1.128/26"], ["10.10.1.0/24"], ["10.10.1.2", "10.10.1.4", "10.10.1.7"]],
            ipv6: [[], ["fd0a:10:1::/64"], ["fd0a:10:1::2", "fd0a:10:1::4", "fd0a:10:1:ff00::/56"]]),
        Shape(
            name: "ops",
            ipv4: [
                [], ["10.10.2.1", "10.10.2.2", "10.10.2.3"], ["10.10.2.0/30"], ["10.10.2.0/24", "100.64.9.0/25"],
            ],
            ipv6: [["fd0a:10:2::1", "fd0a:10:2::2", "fd0a:10:2::3"], ["fd0a:10:2::/126"], ["fd0a:10:2::/48"]]),
        Shape(
            name: "lab",
            ipv4: [["10.10.3.0/24"], ["10.10.3.4/31"], ["10.10.3.0/29", "10.10.3.64/26", "100.64.9.128/32"]],
            ipv6: [
                ["fd0a:10:3::/48"], ["fd0a:10:3::4/127"],
                ["fd0a:10:3::/125", "fd0a:10:3:0:1::/80", "2001:db8:64:9::8000"],
            ]),
    ]

    /// A policy whose environments are a prefix, several, or single addresses of one family or both, and hold their
    /// applications.
    public mutating func policy() -> Policy {
        let names = Self.shapes.map(\.name)
        let environments = Self.shapes.map { shape in
            Environment(
                name: shape.name, addresses: (pick(shape.ipv4) + pick(shape.ipv6)).compactMap { IPPrefix($0) },
                remoteIn: remote(), remoteOut: remote(), host: coin(), linkLocal: coin(),
                multicast: coin(0.4), permits: permits(from: shape.name, among: names),
                protocols: coin(0.5) ? [.tcp, .udp, .ping] : (coin(0.7) ? [.tcp, .udp] : [pick([.tcp, .udp])]),
                strict: coin(0.4), mode: coin(0.25) ? .audit : .enforce)
        }
        let space4 = coin() ? ["10.10.0.0/16", "100.64.0.0/20"] : ["10.10.0.0/22", "10.10.255.0/24", "100.64.0.0/16"]
        let space6 =
            coin()
            ? ["fd0a:10::/32", "2001:db8:64::/60"] : ["fd0a:10::/46", "fd0a:10:ffff::/48", "2001:db8:64::/48"]
        let shared = ["127.0.0.1:80", "[::1]:53", "127.0.1.1:5432", "127.255.0.1:443"].compactMap { SharedService($0) }
        return Policy(
            addressSpace: (space4 + space6).compactMap { IPPrefix($0) }, environments: environments,
            applications: Self.applications, loopbackShared: shared.filter { _ in coin(0.3) }, source: "random.yaml")
    }

    /// A host with addresses of every kind, some of which are better known as something else.
    public mutating func host() -> HostView {
        let resolvers = ["127.0.0.53:53", "127.0.0.1:53", "[::1]:53"].compactMap { SharedService($0) }
        return HostView(
            addresses: Set((0..<6).map { _ in address() }), broadcasts: Set((0..<2).map { _ in address4() }),
            sharedServices: resolvers.filter { _ in coin() }, interfaces: coin() ? ["eth7": 7, "eth9": 900] : [:])
    }

    // MARK: - Attempts

    /// Loopback addresses as programs name them, and some that look like one.
    private static let asked = [
        "127.0.0.1", "127.0.0.53", "127.0.0.126", "127.0.1.1", "127.0.1.126", "::1", "0.0.0.0", "::", "127.0.0.0",
        "127.0.0.127", "127.0.1.0", "127.0.1.255", "127.0.2.1", "127.1.0.1", "127.255.0.1",
    ].compactMap { IPAddress($0) }

    /// Multicast groups of both families, and the broadcast address.
    public static let groups = ["224.0.0.251", "239.1.2.3", "255.255.255.255", "ff02::fb", "ff15::7", "ff0e::1:2"]
        .compactMap { IPAddress($0) }

    /// An address of the private loopback of an application, or right beside one.
    public mutating func loopback(of subject: Subject) -> IPAddress {
        guard coin(0.7) else { return coin(0.8) ? subject.loopback.ipv6 : pick(Self.loopbacks).ipv6 }
        let base = coin(0.8) ? subject.loopback.ipv4 : pick(Self.loopbacks).ipv4
        return IPAddress(rawValue: base.rawValue + pick([1, 53, 126, 129, 254, 0, 127, 128, 255]))
    }

    /// An address of a private loopback, of one family only.
    private mutating func loopback(_ family: AddressFamily, of subject: Subject) -> IPAddress {
        let address = loopback(of: subject)
        guard address.family != family else { return address }
        return family == .ipv4 ? IPAddress(rawValue: subject.loopback.ipv4.rawValue + 1) : subject.loopback.ipv6
    }

    /// An attempt to talk, or a packet to the application. Both ends of a packet are of one family.
    public mutating func attempt(by subject: Subject, near landmarks: Landmarks) -> Attempt {
        let transport = pick(TransportProtocol.allCases)
        let port = transport == .ping ? 0 : pick(landmarks.ports)
        let other = transport == .ping ? 0 : pick(landmarks.ports)
        return coin()
            ? .outgoing(outgoing(transport, port: port, from: other, by: subject, near: landmarks))
            : .incoming(incoming(transport, port: port, to: other, by: subject, near: landmarks))
    }

    private mutating func outgoing(
        _ transport: TransportProtocol, port: UInt16, from localPort: UInt16, by subject: Subject,
        near landmarks: Landmarks
    ) -> Outgoing {
        let peer =
            coin(0.7)
            ? address(near: landmarks)
            : coin(0.3) ? pick(Self.groups) : coin() ? pick(Self.asked) : loopback(of: subject)
        var source: IPAddress?
        if coin(0.4) {
            let own = coin(0.8) ? subject.addresses[peer.family] : nil
            source = own ?? (coin() ? loopback(peer.family, of: subject) : address(peer.family, near: landmarks))
        }
        return Outgoing(
            transport, to: peer, port: port, source: source, loopbackListens: coin(), answersFlow: coin(),
            localPort: transport == .tcp ? localPort : 0)
    }

    private mutating func incoming(
        _ transport: TransportProtocol, port: UInt16, to localPort: UInt16, by subject: Subject,
        near landmarks: Landmarks
    ) -> Incoming {
        let destination =
            coin(0.8)
            ? pick(subject.addresses.all)
            : coin(0.5) ? loopback(of: subject) : coin() ? pick(Self.groups) : address(near: landmarks)
        let family = destination.family
        let source =
            coin(0.7)
            ? address(family, near: landmarks)
            : coin() ? loopback(family, of: subject) : subject.addresses[family] ?? loopback(family, of: subject)
        let opens = transport != .tcp || coin()
        return Incoming(
            transport, from: source, port: port, to: destination, port: localPort,
            arrival: coin() ? .thisHost : .interface(pick([7, 8, 900])), opensFlow: opens,
            answersFlow: transport != .tcp && coin(), sender: coin(0.5) ? .owner : pick([.other, .unknown]),
            acceptsFlow: !opens && coin(0.4))
    }
}
