public import PolicyModel

/// Random policies that are valid, small enough that random attempts meet their rules, and views of a host to go with
/// them. Every policy has the same applications and the same names, so that it can follow another one in an instance.
public struct RandomPolicies: Sendable {
    /// What all choices are made with.
    public var generator: SeededGenerator

    /// The ports that rules begin and end at.
    public static let ports: [UInt16] = [0, 1, 22, 53, 80, 81, 443, 5432, 65535]

    /// The applications of every policy, one in each environment. The last one has its address from nowhere but
    /// ``subjects``.
    public static let applications = [
        Application(name: "web", environment: "shop", address: IPv4Address("10.10.0.1")),
        Application(name: "db", environment: "payments", address: IPv4Address("10.10.1.2")),
        Application(name: "cron", environment: "ops", address: IPv4Address("10.10.2.2")),
        Application(name: "later", environment: "lab", address: nil),
    ]

    /// The applications as the decision sees them, in their order.
    public static let subjects = applications.map {
        Subject(environment: $0.environment, address: $0.address ?? IPv4Address(rawValue: 0x0a0a_0305))
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

    /// An address near those that the policies name.
    public mutating func address() -> IPv4Address {
        let interesting: [UInt32] = [
            0x0a0a_0000, 0x0a0a_0100, 0x0a0a_0200, 0x0a0a_0300, 0x0a0a_ff00, 0x6440_0700, 0x6440_0900, 0xc000_0200,
            0xc000_0280, 0xc633_6400, 0x7f00_0000, 0xa9fe_0000, 0xe000_0000, 0xffff_ff00, 0, 0x0808_0800, 0xac10_0000,
        ]
        return IPv4Address(rawValue: pick(interesting) | (coin() ? number(in: 0..<4) : number(in: 0..<256)))
    }

    /// An address at an edge that a policy draws, or any near those that it names.
    public mutating func address(near landmarks: Landmarks) -> IPv4Address {
        coin(0.8) ? pick(pick(landmarks.addresses)) : address()
    }

    private mutating func remote() -> RemotePolicy {
        guard coin(0.7) else { return RemotePolicy(otherwise: coin()) }
        let rules = (0..<number(in: 1..<9)).map { line in
            let prefix = IPv4Prefix(holding: address(), length: pick([0, 1, 7, 8, 9, 15, 16, 20, 24, 25, 30, 31, 32]))
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

    /// A policy whose environments are a prefix, several, or single addresses, and hold their applications.
    public mutating func policy() -> Policy {
        let shapes: [(name: String, blocks: [[String]])] = [
            (
                "shop",
                [
                    ["10.10.0.0/24"], ["10.10.0.0/30", "10.10.0.128/25"], ["10.10.0.1"],
                    ["100.64.7.0/24", "10.10.0.0/28"],
                ]
            ),
            (
                "payments",
                [["10.10.1.0/25", "10.10.1.128/26"], ["10.10.1.0/24"], ["10.10.1.2", "10.10.1.4", "10.10.1.7"]]
            ),
            ("ops", [["10.10.2.1", "10.10.2.2", "10.10.2.3"], ["10.10.2.0/30"], ["10.10.2.0/24", "100.64.9.0/25"]]),
            ("lab", [["10.10.3.0/24"], ["10.10.3.4/31"], ["10.10.3.0/29", "10.10.3.64/26", "100.64.9.128/32"]]),
        ]
        let names = shapes.map(\.name)
        let environments = shapes.map { name, blocks in
            Environment(
                name: name, addresses: pick(blocks).compactMap { IPv4Prefix($0) }, remoteIn: remote(),
                remoteOut: remote(),
                host: coin(), linkLocal: coin(), permits: permits(from: name, among: names),
                protocols: coin(0.5) ? [.tcp, .udp, .ping] : (coin(0.7) ? [.tcp, .udp] : [pick([.tcp, .udp])]),
                strict: coin(0.4), mode: coin(0.25) ? .audit : .enforce)
        }
        let space = coin() ? ["10.10.0.0/16", "100.64.0.0/20"] : ["10.10.0.0/22", "10.10.255.0/24", "100.64.0.0/16"]
        return Policy(
            addressSpace: space.compactMap { IPv4Prefix($0) }, environments: environments,
            applications: Self.applications, source: "random.yaml")
    }

    /// A host with addresses of every kind, some of which are better known as something else.
    public mutating func host() -> HostView {
        let services = [0x7f00_0035, 0x7f00_0001].map { SharedService(address: IPv4Address(rawValue: $0), port: 53) }
        return HostView(
            addresses: Set((0..<4).map { _ in address() }), broadcasts: Set((0..<2).map { _ in address() }),
            sharedServices: Array(services.prefix(number(in: 0..<3))),
            interfaces: coin() ? ["eth7": 7, "eth9": 900] : [:])
    }

    // MARK: - Attempts

    /// An attempt to talk, or a packet to the application.
    public mutating func attempt(by subject: Subject, near landmarks: Landmarks) -> Attempt {
        let transport = pick(TransportProtocol.allCases)
        let port = transport == .ping ? 0 : pick(landmarks.ports)
        let other = transport == .ping ? 0 : pick(landmarks.ports)
        let peer = address(near: landmarks)
        guard coin() else {
            return .outgoing(
                Outgoing(transport, to: peer, port: port, answersFlow: coin(), localPort: transport == .tcp ? other : 0)
            )
        }
        let opens = transport != .tcp || coin()
        return .incoming(
            Incoming(
                transport, from: peer, port: port, to: coin(0.05) ? address(near: landmarks) : subject.address,
                port: other, arrival: coin() ? .thisHost : .interface(pick([7, 8, 900])), opensFlow: opens,
                answersFlow: transport != .tcp && coin(), senderOwnsSource: coin(0.6),
                acceptsFlow: !opens && coin(0.4)))
    }
}
