import PolicyModel
import TestSupport
import Testing

/// Random flows under random policies: with the suggestions pasted into the file, what was recorded is allowed, what was
/// allowed before still is, and nothing else.
@Suite struct SuggestionsPropertyTests {
    private static let host = HostView(addresses: [ip("192.0.2.10")], broadcasts: [ip("192.0.2.255")])

    @Test(arguments: 0..<60)
    func `the suggestions allow what was recorded, and nothing else`(seed: UInt64) throws {
        var world = RandomFlows(seed: seed)
        let file = world.policyFile()
        let policy = try PolicyFile.parse(file, source: "random.yaml")
        let index = PolicyIndex(policy)
        var tally = DenialTally()
        var learnt: [RandomFlows.Flow] = []
        var recorded: [RandomFlows.Step] = []
        for _ in 0..<40 {
            let flow = world.flow()
            let steps = world.steps(of: flow, judgedBy: index, on: Self.host)
            steps.forEach { tally.add($0.denial) }
            let audited = steps.filter(\.denial.audited)
            recorded += audited
            if !audited.isEmpty { learnt.append(flow) }
        }
        let suggestions = Suggestions(policy, denials: tally)
        let pasted = Self.paste(suggestions.yaml(), into: file)
        let after = try PolicyFile.parse(pasted, source: "pasted.yaml")
        let before = PolicyIndex(Self.enforced(policy))
        let now = PolicyIndex(Self.enforced(after))

        for step in recorded {
            let verdict = now.verdict(step.afterwards, by: step.subject, on: Self.host)
            #expect(
                verdict.allowed || Self.isTold(step.denial, of: policy), "\(step) \(verdict)\n\(pasted)")
        }
        #expect(Suggestions(after, denials: tally).environments.isEmpty)

        for _ in 0..<400 {
            var probe = learnt.isEmpty ? world.flow() : world.pick(learnt)
            if world.coin() { probe = world.coin() ? world.flow() : world.changed(probe) }
            for (subject, attempt) in world.openings(of: probe) {
                let wasAllowed = before.verdict(attempt, by: subject, on: Self.host).allowed
                let verdict = now.verdict(attempt, by: subject, on: Self.host)
                let isMeant =
                    verdict.allowed == wasAllowed
                    || verdict.allowed
                        && learnt.contains {
                            world.justifies($0, probe, of: subject, reason: verdict.reason, in: policy)
                        }
                #expect(isMeant, "\(subject.environment) \(attempt) \(verdict)\n\(suggestions.yaml())")
            }
        }
    }

    /// Whether a denial is said to be one that no rule allows.
    private static func isTold(_ denial: RecordedDenial, of policy: Policy) -> Bool {
        var tally = DenialTally()
        tally.add(denial)
        return !Suggestions(policy, denials: tally).unallowable.isEmpty
    }

    /// The policy with every environment enforcing.
    private static func enforced(_ policy: Policy) -> Policy {
        var policy = policy
        for index in policy.environments.indices { policy.environments[index].mode = .enforce }
        return policy
    }

    /// Puts suggestions into a policy file as its first comment says: permits are added, other keys take their place.
    private static func paste(_ suggestions: String, into file: String) -> String {
        var lines = file.split(separator: "\n").map(String.init)
        var environment = ""
        var key = ""
        for line in suggestions.split(separator: "\n").map(String.init) where !line.hasPrefix("#") {
            let depth = line.prefix { $0 == " " }.count
            switch depth {
            case 2: environment = line
            case 4:
                key = String(line.prefix { $0 != ":" })
                let (begin, end) = block(of: environment, in: lines)
                let present = lines[begin..<end].firstIndex { $0.hasPrefix(key + ":") }
                if let present, key != "    permits" { lines.remove(at: present) }
                if present == nil || key != "    permits" {
                    lines.insert(line, at: block(of: environment, in: lines).end)
                }
            case 6...:
                // Below its key, behind what is there already.
                var (position, end) = block(of: environment, in: lines)
                while !lines[position].hasPrefix(key + ":") { position += 1 }
                position += 1
                while position < end, lines[position].hasPrefix("      ") { position += 1 }
                end = position
                lines.insert(line, at: end)
            default: break
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func block(of environment: String, in lines: [String]) -> (begin: Int, end: Int) {
        guard let begin = lines.firstIndex(of: environment) else { preconditionFailure("no \(environment)") }
        let end = lines[(begin + 1)...].firstIndex { !$0.hasPrefix("    ") } ?? lines.endIndex
        return (begin, end)
    }
}

/// Policy files with a key a line, and flows of their applications.
private struct RandomFlows {
    private var random: SeededGenerator

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
    }

    mutating func coin(_ chance: Double = 0.5) -> Bool { Double.random(in: 0..<1, using: &random) < chance }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &random)]
    }

    // MARK: - The file

    private static let names = ["shop", "payments", "lab"]
    private static let remotes = ["192.0.2.9", "192.0.2.200", "198.51.100.7", "2001:db8::7", "2001:db8::9"]
    /// Some follow each other; the last one is of those that clients get.
    private static let ports: [UInt16] = [22, 53, 80, 81, 82, 443, 5432, 50000]

    private mutating func port() -> String {
        let number = pick(Self.ports)
        return pick(["tcp", "udp", "tcp/\(number)", "udp/\(number)", "tcp/\(number)-\(number + 1)"])
    }

    private mutating func entries() -> String {
        let entries = (0..<Int.random(in: 1...3, using: &random)).map { _ in
            let prefix = pick(Self.remotes + ["192.0.2.0/24", "0.0.0.0/0", "2001:db8::/64", "198.51.100.0/25"])
            return coin() ? "\"\(prefix)\"" : "\"\(prefix) \(port())\""
        }
        return "[\(entries.joined(separator: ", "))]"
    }

    private mutating func direction() -> String {
        switch Int.random(in: 0..<5, using: &random) {
        case 0: "allow"
        case 1: "deny"
        case 2: "{allow: \(entries())}"
        case 3: "{deny: \(entries())}"
        default: "{allow: \(entries()), deny: \(entries())}"
        }
    }

    /// An environment for each name, with two applications that have fixed addresses and one that has none in the file.
    mutating func policyFile() -> String {
        var lines = ["addressSpace: [10.10.0.0/16, \"fd00:10::/32\"]", "environments:"]
        for (number, name) in Self.names.enumerated() {
            lines += ["  \(name):", "    addresses: [10.10.\(number).0/24, \"fd00:10:\(number)::/64\"]"]
            if coin(0.7) { lines.append("    mode: audit") }
            if coin() { lines.append("    host: deny") }
            if coin() { lines.append("    linkLocal: true") }
            if coin(0.3) { lines.append("    multicast: true") }
            lines.append("    protocols: [tcp, udp\(coin() ? ", ping" : "")]")
            if coin(0.8) {
                lines.append("    remote: " + (coin() ? direction() : "{in: \(direction()), out: \(direction())}"))
            }
            let permitted = Self.names.filter { $0 != name }.filter { _ in coin(0.4) }
            if !permitted.isEmpty { lines.append("    permits:") }
            for to in permitted { lines.append("      - {to: \(to)\(coin() ? "/\(to)1" : ""), ports: [\(port())]}") }
        }
        lines.append("applications:")
        for (number, name) in Self.names.enumerated() {
            lines.append(
                "  \(name)1: {environment: \(name), address: [10.10.\(number).1, \"fd00:10:\(number)::1\"]}")
            lines.append("  \(name)2: {environment: \(name), address: 10.10.\(number).2}")
            lines.append("  \(name)3: {environment: \(name), address: auto}")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    // MARK: - Flows

    /// An end of a flow.
    struct End: Hashable {
        /// Nil for whatever is no application.
        var application: String?
        var address: IPAddress
    }

    /// Somebody calls somebody.
    struct Flow: Hashable {
        var transport: TransportProtocol
        var client: End
        var server: End
        var port: UInt16
        var clientPort: UInt16
    }

    private static let applications: [String: (environment: String, addresses: ApplicationAddresses)] = {
        var all: [String: (environment: String, addresses: ApplicationAddresses)] = [:]
        for (number, name) in names.enumerated() {
            all["\(name)1"] = (name, own("10.10.\(number).1", "fd00:10:\(number)::1"))
            all["\(name)2"] = (name, own("10.10.\(number).2"))
            all["\(name)3"] = (name, own("10.10.\(number).3", "fd00:10:\(number)::3"))
        }
        return all
    }()

    private static func subject(_ end: End) -> Subject? {
        guard let application = end.application.flatMap({ applications[$0] }) else { return nil }
        return Subject(environment: application.environment, addresses: application.addresses, loopback: loopback(1))
    }

    private mutating func application(_ family: AddressFamily) -> End {
        while true {
            let name = pick(Self.applications.keys.sorted())
            guard let address = Self.applications[name]?.addresses[family] else { continue }
            return End(application: name, address: address)
        }
    }

    private mutating func other(_ family: AddressFamily) -> End {
        let others = Self.remotes + ["192.0.2.10", "169.254.1.1", "fe80::1"]
        while true {
            let address = ip(pick(others))
            if address.family == family { return End(application: nil, address: address) }
        }
    }

    mutating func flow() -> Flow {
        let family: AddressFamily = coin(0.7) ? .ipv4 : .ipv6
        let transport = pick([TransportProtocol.tcp, .tcp, .udp, .udp, .ping])
        var ends = [application(family), coin(0.6) ? application(family) : other(family)]
        if transport != .ping, coin() { ends.swapAt(0, 1) }
        var flow = Flow(
            transport: transport, client: ends[0], server: ends[1], port: transport == .ping ? 0 : pick(Self.ports),
            clientPort: UInt16.random(in: 32768...60999, using: &random))
        if transport == .udp, flow.client.application != nil, coin(0.15) {
            flow.server = End(application: nil, address: family == .ipv4 ? ip("224.0.0.251") : ip("ff02::fb"))
        }
        if flow.client.application != nil, coin(0.05) { flow.server = End(application: nil, address: ip("10.10.77.1")) }
        if flow.server.address.family != flow.client.address.family { flow.server.address = ip("fd00:10:77::1") }
        return flow
    }

    /// A flow that differs in one thing.
    mutating func changed(_ flow: Flow) -> Flow {
        var changed = flow
        let family = flow.client.address.family
        switch Int.random(in: 0..<5, using: &random) {
        case 0 where flow.transport != .ping: changed.port = flow.port + pick([1, 2])
        case 1 where flow.transport != .ping: changed.transport = flow.transport == .tcp ? .udp : .tcp
        case 2: changed.client = flow.client.application == nil ? other(family) : application(family)
        case 3: changed.server = flow.server.application == nil ? other(family) : application(family)
        default: if flow.transport != .ping { swap(&changed.client, &changed.server) }
        }
        return changed
    }

    // MARK: - What hooks see of them

    /// What one hook sees of a flow.
    struct Step {
        var subject: Subject
        var denial: RecordedDenial
        /// The same once its flow is let through.
        var afterwards: Attempt
    }

    private static func outgoing(_ flow: Flow, answering: Bool, known: Bool, source: Bool) -> Attempt {
        let peer = answering ? flow.client : flow.server
        let own = answering ? flow.server : flow.client
        let ports = answering ? (flow.clientPort, flow.port) : (flow.port, flow.clientPort)
        let isPing = flow.transport == .ping
        return .outgoing(
            Outgoing(
                flow.transport, to: peer.address, port: isPing ? 0 : ports.0, source: source ? own.address : nil,
                answersFlow: known, localPort: isPing ? 0 : ports.1))
    }

    private static func incoming(_ flow: Flow, answering: Bool, known: Bool, isSegment: Bool = false) -> Attempt {
        let (peer, own) = answering ? (flow.server, flow.client) : (flow.client, flow.server)
        let ports = answering ? (flow.port, flow.clientPort) : (flow.clientPort, flow.port)
        let isPing = flow.transport == .ping
        let isHere = peer.application != nil || SuggestionsPropertyTests.isHost(peer.address)
        return .incoming(
            Incoming(
                flow.transport, from: peer.address, port: isPing ? 0 : ports.0, to: own.address,
                port: isPing ? 0 : ports.1, arrival: isHere ? .thisHost : .interface(7),
                opensFlow: flow.transport != .tcp || !(answering || isSegment), answersFlow: known,
                acceptsFlow: flow.transport == .tcp && answering))
    }

    /// The first calls and packets of a flow: what a policy is asked of it.
    func openings(of flow: Flow) -> [(subject: Subject, attempt: Attempt)] {
        var openings: [(subject: Subject, attempt: Attempt)] = []
        if let subject = Self.subject(flow.client) {
            openings.append((subject, Self.outgoing(flow, answering: false, known: false, source: false)))
        }
        if let subject = Self.subject(flow.server), flow.transport != .ping {
            openings.append((subject, Self.incoming(flow, answering: false, known: false)))
        }
        return openings
    }

    /// What was recorded of a flow, in order, as far as it got: the kernel leaves some records out.
    mutating func steps(of flow: Flow, judgedBy index: PolicyIndex, on host: HostView) -> [Step] {
        var recorded: [Step] = []
        /// Judges a step; nil where the flow ends there, else whether a rule let it through.
        func judge(_ isClient: Bool, _ hook: Hook, _ attempt: Attempt, later: Attempt, isKept: Bool) -> Bool? {
            let (end, peer) = isClient ? (flow.client, flow.server) : (flow.server, flow.client)
            guard let subject = Self.subject(end) else { return true }
            let verdict = index.verdict(attempt, by: subject, on: host)
            guard !verdict.reason.allows else { return true }
            let (local, remote) = isClient ? (flow.clientPort, flow.port) : (flow.port, flow.clientPort)
            let denial = RecordedDenial(
                application: end.application ?? "", environment: subject.environment, hook: hook,
                reason: verdict.reason, audited: verdict.audited, transport: flow.transport, local: end.address,
                localPort: hook == .connect ? 0 : local, remote: peer.address,
                remotePort: flow.transport == .ping ? 0 : remote)
            if isKept { recorded.append(Step(subject: subject, denial: denial, afterwards: later)) }
            return verdict.allowed ? false : nil
        }
        let isTCP = flow.transport == .tcp
        // Where the ports do not tell who began, the first record has to.
        let isAmbiguous = RecordedDenial.ephemeralPorts.contains(flow.port)
        let call = Self.outgoing(flow, answering: false, known: false, source: false)
        let hook: Hook = isTCP || flow.transport == .udp && coin(0.3) ? .connect : .send
        guard let isLetOut = judge(true, hook, call, later: call, isKept: isAmbiguous || coin(0.7)) else {
            return recorded
        }
        if flow.transport != .ping {
            let first = Self.incoming(flow, answering: false, known: false)
            guard let isLetIn = judge(false, .ingress, first, later: first, isKept: isAmbiguous || coin(0.7)) else {
                return recorded
            }
            let answer = Self.outgoing(flow, answering: true, known: isTCP || isLetIn, source: true)
            let later = Self.outgoing(flow, answering: true, known: true, source: true)
            guard judge(false, isTCP ? .egress : .send, answer, later: later, isKept: coin(0.7)) != nil else {
                return recorded
            }
        }
        let answer = Self.incoming(flow, answering: true, known: !isTCP && isLetOut)
        let later = Self.incoming(flow, answering: true, known: !isTCP)
        _ = judge(true, .ingress, answer, later: later, isKept: coin(0.7))
        return recorded
    }

    // MARK: - What a suggestion may allow

    /// Whether a flow that was learnt from says that another one be allowed, for this reason.
    func justifies(_ learnt: Flow, _ probe: Flow, of subject: Subject, reason: Reason, in policy: Policy) -> Bool {
        func environment(_ end: End) -> String? { policy.environments.first { $0.contains(end.address) }?.name }
        switch reason {
        case .permit:
            let isFixed = policy.applications.contains { $0.addresses?.contains(learnt.server.address) == true }
            // An application is called by all of its addresses.
            let isSameServer =
                isFixed
                ? learnt.server.application == probe.server.application
                : environment(learnt.server) == environment(probe.server)
            return isSameServer && environment(learnt.client) == environment(probe.client)
                && learnt.transport == probe.transport && learnt.port == probe.port
        case .remote:
            let isIncoming = probe.client.application == nil
            return learnt.transport == probe.transport && learnt.port == probe.port
                && (isIncoming
                    ? learnt.client == probe.client && environment(learnt.server) == subject.environment
                    : learnt.server == probe.server && environment(learnt.client) == subject.environment)
        case .host, .linkLocal, .group:
            // A key for all of the kind.
            let ends = [learnt.client, learnt.server]
            return ends.contains { environment($0) == subject.environment } && ends.contains { $0.application == nil }
        default: return false
        }
    }
}

extension SuggestionsPropertyTests {
    fileprivate static func isHost(_ address: IPAddress) -> Bool { host.addresses.contains(address) }
}
