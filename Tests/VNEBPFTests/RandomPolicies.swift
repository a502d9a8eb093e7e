import PolicyModel

/// Random policies, valid, and small enough that random attempts meet their rules; and views of a host to go with them.
struct RandomPolicies {
    var generator: SeededGenerator
    private let ports: [UInt16] = [0, 1, 22, 53, 80, 81, 443, 5432, 65535]

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
    }

    mutating func coin(_ chance: Double = 0.5) -> Bool {
        Double.random(in: 0..<1, using: &generator) < chance
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &generator)]
    }

    mutating func port() -> UInt16 { pick(ports) }

    mutating func rule() -> PortRule {
        let (one, other) = (port(), port())
        let range = coin(0.2) ? 0...65535 : min(one, other)...max(one, other)
        return PortRule(coin(0.3) ? nil : pick(TransportProtocol.allCases), range)
    }

    mutating func rules() -> [PortRule] {
        (0..<Int.random(in: 1...4, using: &generator)).map { _ in rule() }
    }

    /// An address near those that the policies name.
    mutating func address() -> IPv4Address {
        let interesting: [UInt32] = [
            0x0a0a_0000, 0x0a0a_0100, 0x0a0a_0200, 0x0a0a_0300, 0x0a0a_ff00, 0xc000_0200, 0xc000_0280, 0xc633_6400,
            0x7f00_0000, 0xa9fe_0000, 0xe000_0000, 0xffff_ff00, 0, 0x0808_0800, 0xac10_0000,
        ]
        let low = coin() ? UInt32.random(in: 0...3, using: &generator) : UInt32.random(in: 0...255, using: &generator)
        return IPv4Address(rawValue: pick(interesting) | low)
    }

    mutating func remote() -> RemotePolicy {
        guard coin(0.7) else { return RemotePolicy(otherwise: coin()) }
        let rules = (0..<Int.random(in: 1...8, using: &generator)).map { line in
            let prefix = IPv4Prefix(holding: address(), length: pick([0, 1, 7, 8, 9, 15, 16, 20, 24, 25, 30, 31, 32]))
            return RemoteRule(prefix: prefix, ports: self.rules(), allows: coin(), line: line)
        }
        return RemotePolicy(otherwise: coin(), rules: rules)
    }

    mutating func policy() -> Policy {
        let names = ["shop", "payments", "ops", "lab"]
        let blocks: [[String]] = [
            ["10.10.0.0/24"], ["10.10.1.0/25", "10.10.1.128/26"], ["10.10.2.1", "10.10.2.2", "10.10.2.3"],
            ["10.10.3.0/24"],
        ]
        let applications = [
            Application(name: "web", environment: "shop", address: IPv4Address("10.10.0.1")),
            Application(name: "db", environment: "payments", address: IPv4Address("10.10.1.2")),
            Application(name: "cron", environment: "ops", address: IPv4Address("10.10.2.2")),
            Application(name: "later", environment: "lab", address: nil),
        ]
        let environments = zip(names, blocks).map { name, addresses in
            let permits = (0..<Int.random(in: 0...3, using: &generator)).compactMap { line -> Permit? in
                let to = pick(names.filter { $0 != name })
                let application = coin(0.4) ? applications.first { $0.environment == to }?.name : nil
                return Permit(to: to, application: application, ports: rules(), line: line)
            }
            return Environment(
                name: name, addresses: addresses.compactMap { IPv4Prefix($0) }, remoteIn: remote(), remoteOut: remote(),
                host: coin(), linkLocal: coin(), permits: permits,
                protocols: coin(0.5) ? [.tcp, .udp, .ping] : (coin() ? [.tcp, .udp] : [.tcp]), strict: coin(),
                mode: coin(0.2) ? .audit : .enforce)
        }
        return Policy(
            addressSpace: ["10.10.0.0/16"].compactMap { IPv4Prefix($0) }, environments: environments,
            applications: applications, source: "random.yaml")
    }

    mutating func host() -> HostView {
        HostView(
            addresses: Set((0..<4).map { _ in address() }), broadcasts: Set((0..<2).map { _ in address() }),
            sharedServices: [SharedService(address: IPv4Address(rawValue: 0x7f00_0035), port: 53)],
            interfaces: coin() ? ["eth7": 7] : [:])
    }

    mutating func subject(of policy: Policy) -> Subject {
        let application = pick(policy.applications)
        return Subject(
            environment: application.environment, address: application.address ?? IPv4Address(rawValue: 0x0a0a_0305))
    }

    mutating func attempt(by subject: Subject) -> Attempt {
        let transport = pick(TransportProtocol.allCases)
        let (port, other) = transport == .ping ? (0, 0) : (self.port(), self.port())
        let peer = coin(0.1) ? IPv4Address(rawValue: 0x7f00_0035) : address()
        guard coin() else {
            return .outgoing(
                Outgoing(transport, to: peer, port: port, answersFlow: coin(), localPort: transport == .tcp ? other : 0)
            )
        }
        let opens = transport != .tcp || coin()
        return .incoming(
            Incoming(
                transport, from: peer, port: port, to: coin(0.05) ? address() : subject.address, port: other,
                arrival: coin() ? .thisHost : .interface(coin() ? 7 : 8), opensFlow: opens,
                answersFlow: transport != .tcp && coin(), senderOwnsSource: coin(0.7),
                acceptsFlow: !opens && coin(0.3)))
    }
}
