extension Suggestions {
    /// What would have allowed these denials, and nothing else, as far as the policy file can say it: the ports that were
    /// called, of the applications that were called, from the environments that called them.
    /// - Parameter enforced: learn from denials that were enforced, too, and not only from what audit mode let through.
    public init(_ policy: Policy, denials: DenialTally, enforced: Bool = false) {
        var learning = Learning(policy, beginnings: FlowBeginnings(denials.denials), enforced: enforced)
        for denial in denials.denials { learning.learn(denial, count: denials.count(of: denial)) }
        self = learning.suggestions()
    }
}

/// Suggestions while they are made.
private struct Learning {
    private let index: PolicyIndex
    private let beginnings: FlowBeginnings
    private let learnsEnforced: Bool
    private var result = Suggestions()
    private var permits: [PermitKey: Called] = [:]
    private var remotes: [RemoteKey: Called] = [:]
    private var switches: [SwitchKey: Evidence] = [:]
    /// Position in ``Suggestions/unallowable``.
    private var unallowable: [UnallowableKey: Int] = [:]

    private struct PermitKey: Hashable {
        var from: String
        var to: String
        var application: String?
    }

    private struct RemoteKey: Hashable {
        var environment: String
        var isOutgoing: Bool
        var address: IPAddress
    }

    private struct SwitchKey: Hashable {
        var environment: String
        var key: SuggestedSwitch.Key
    }

    private struct UnallowableKey: Hashable {
        var application: String
        var why: String
    }

    /// What was called in one place.
    private struct Called {
        var ports: [TransportProtocol: Set<UInt16>] = [:]
        var addresses: Set<IPAddress> = []
        var evidence = Evidence()
        /// For telling that it is too much.
        var example: RecordedDenial

        mutating func add(
            _ denial: RecordedDenial, _ count: Int, _ transport: TransportProtocol, _ port: UInt16,
            _ address: IPAddress
        ) {
            ports[transport, default: []].insert(port)
            addresses.insert(address)
            evidence.add(count, of: denial.application)
        }
    }

    init(_ policy: Policy, beginnings: FlowBeginnings, enforced: Bool) {
        index = PolicyIndex(policy)
        self.beginnings = beginnings
        learnsEnforced = enforced
    }

    // MARK: - A denial

    mutating func learn(_ denial: RecordedDenial, count: Int) {
        guard denial.reason.isReachability else { return cannotAllow(denial, count, because: denial.reason.sentence) }
        guard denial.audited || learnsEnforced else {
            result.enforced += count
            return
        }
        let name = denial.local.flatMap { index.environment(holding: $0)?.name } ?? denial.environment
        guard let environment = name.flatMap({ index.environment(named: $0) }) else {
            return cannotAllow(denial, count, because: "the application is in no environment of the policy")
        }
        switch denial.reason {
        case .otherEnvironment: learnPermit(denial, count, in: environment)
        case .remoteDenied: learnRemote(denial, count, in: environment)
        case .hostDenied: learn(.host, denial, count, in: environment, isThere: environment.host)
        case .linkLocalDenied: learn(.linkLocal, denial, count, in: environment, isThere: environment.linkLocal)
        case .multicast, .broadcast: learnGroup(denial, count, in: environment)
        case .unix: learn(.unix, denial, count, in: environment, isThere: !environment.unixPrivate)
        default: cannotAllow(denial, count, because: denial.reason.sentence)
        }
    }

    private mutating func learnPermit(_ denial: RecordedDenial, _ count: Int, in environment: Environment) {
        guard let own = denial.local, let peer = denial.remote, let other = index.environment(holding: peer) else {
            return cannotAllow(denial, count, because: "the peer is in no environment of the policy any more")
        }
        guard other.name != environment.name else { return result.allowedNow += count }
        let isOwn = beginnings.isOwn(denial)
        let (client, server) = isOwn ? (environment, other) : (other, environment)
        let (address, port) = isOwn ? (peer, denial.remotePort) : (own, denial.localPort)
        guard let transport = named(denial, count, port: port, spoken: [client, server]) else { return }
        let permit = index.permit(from: client.name, to: server.name, address: address, covering: transport, port)
        guard permit == nil else { return result.allowedNow += count }
        let application = index.policy.applications.first { $0.addresses?.contains(address) == true }
        let key = PermitKey(from: client.name, to: server.name, application: application?.name)
        permits[key, default: Called(example: denial)].add(denial, count, transport, port, address)
    }

    private mutating func learnRemote(_ denial: RecordedDenial, _ count: Int, in environment: Environment) {
        guard let peer = denial.remote, index.classify(peer, on: HostView()) == .remote else {
            return cannotAllow(denial, count, because: "the peer is no remote to the policy any more")
        }
        let isOutgoing = beginnings.isOwn(denial)
        let port = isOutgoing ? denial.remotePort : denial.localPort
        guard let transport = named(denial, count, port: port, spoken: [environment]) else { return }
        let policy = isOutgoing ? environment.remoteOut : environment.remoteIn
        let decision = policy.decide(peer, transport, port)
        guard !decision.allows else { return result.allowedNow += count }
        let refusal = policy.rules.first { rule in
            !rule.allows && rule.prefix == IPPrefix(peer) && rule.ports.contains { $0.covers(transport, port) }
        }
        guard refusal == nil else {
            let place = decision.line.map { " (line \($0))" } ?? ""
            return cannotAllow(
                denial, count, because: "an entry of remote denies just this address\(place): it would have to go")
        }
        let key = RemoteKey(environment: environment.name, isOutgoing: isOutgoing, address: peer)
        remotes[key, default: Called(example: denial)].add(denial, count, transport, port, peer)
    }

    private mutating func learnGroup(_ denial: RecordedDenial, _ count: Int, in environment: Environment) {
        guard denial.transport == .udp else {
            return cannotAllow(denial, count, because: "groups and broadcast addresses are for UDP only")
        }
        learn(.multicast, denial, count, in: environment, isThere: environment.multicast)
    }

    private mutating func learn(
        _ key: SuggestedSwitch.Key, _ denial: RecordedDenial, _ count: Int, in environment: Environment, isThere: Bool
    ) {
        guard !isThere else { return result.allowedNow += count }
        switches[SwitchKey(environment: environment.name, key: key), default: Evidence()]
            .add(count, of: denial.application)
    }

    /// The denial's protocol, if a rule can name it with this port in these environments.
    private mutating func named(
        _ denial: RecordedDenial, _ count: Int, port: UInt16, spoken environments: [Environment]
    ) -> TransportProtocol? {
        guard let transport = denial.transport else {
            cannotAllow(denial, count, because: Reason.protocol.sentence)
            return nil
        }
        for environment in environments where !environment.protocols.contains(transport) {
            cannotAllow(
                denial, count,
                because: "\(transport.rawValue) is not among the protocols of environment \(environment.name)")
            return nil
        }
        guard transport == .ping || port > 0 else {
            cannotAllow(denial, count, because: "no rule names port 0")
            return nil
        }
        return transport
    }

    private mutating func cannotAllow(_ denial: RecordedDenial, _ count: Int, because why: String) {
        let key = UnallowableKey(application: denial.application, why: why)
        if let position = unallowable[key] {
            result.unallowable[position].denials += count
        } else {
            unallowable[key] = result.unallowable.count
            result.unallowable.append(UnallowableDenial(example: denial, why: why, denials: count))
        }
    }

    // MARK: - All of them

    mutating func suggestions() -> Suggestions {
        for environment in index.policy.environments {
            var suggestion = EnvironmentSuggestion(environment: environment.name)
            suggestion.permits = suggestedPermits(of: environment)
            suggestion.remote = suggestedRemote(of: environment)
            suggestion.switches = SuggestedSwitch.Key.allCases.compactMap { key in
                switches[SwitchKey(environment: environment.name, key: key)]
                    .map { SuggestedSwitch(key: key, evidence: $0) }
            }
            if !suggestion.isEmpty { result.environments.append(suggestion) }
        }
        return result
    }

    private mutating func suggestedPermits(of environment: Environment) -> [SuggestedPermit] {
        // Those to a whole environment first: what they cover needs no permit to an application of it.
        let keys = permits.keys.filter { $0.from == environment.name }
            .sorted { ($0.to, $0.application ?? "") < ($1.to, $1.application ?? "") }
        var wide: [String: [TransportProtocol: Set<UInt16>]] = [:]
        var suggested: [SuggestedPermit] = []
        for key in keys {
            guard var called = permits[key] else { continue }
            for (transport, ports) in wide[key.to, default: [:]] { called.ports[transport]?.subtract(ports) }
            let ports = PortRule.covering(called.ports)
            let present = environment.permits.filter { $0.environment == key.to && $0.application == key.application }
            guard !ports.isEmpty, fits(called, ports, besides: present.flatMap(\.ports)) else { continue }
            if key.application == nil { wide[key.to] = called.ports }
            suggested.append(
                SuggestedPermit(
                    permit: Permit(to: key.to, application: key.application, ports: ports),
                    addresses: key.application == nil ? called.addresses.sorted() : [], evidence: called.evidence))
        }
        return suggested
    }

    private mutating func suggestedRemote(of environment: Environment) -> SuggestedRemote? {
        let entriesIn = entries(of: environment, isOutgoing: false, besides: environment.remoteIn)
        let entriesOut = entries(of: environment, isOutgoing: true, besides: environment.remoteOut)
        guard !entriesIn.isEmpty || !entriesOut.isEmpty else { return nil }
        return SuggestedRemote(in: entriesIn, out: entriesOut, of: environment)
    }

    private mutating func entries(
        of environment: Environment, isOutgoing: Bool, besides present: RemotePolicy
    ) -> [SuggestedRemote.Entry] {
        let keys = remotes.keys.filter { $0.environment == environment.name && $0.isOutgoing == isOutgoing }
            .sorted { $0.address < $1.address }
        var entries: [SuggestedRemote.Entry] = []
        for key in keys {
            guard let called = remotes[key] else { continue }
            let ports = PortRule.covering(called.ports)
            let around = present.rules.filter { $0.prefix.contains(key.address) }
            guard fits(called, ports, besides: around.flatMap(\.ports)) else { continue }
            entries.append(SuggestedRemote.Entry(address: key.address, ports: ports, evidence: called.evidence))
        }
        return entries
    }

    /// Whether the kernel's list has room for these ports beside those that are there; it is told if not.
    private mutating func fits(_ called: Called, _ ports: [PortRule], besides present: [PortRule]) -> Bool {
        let count = ports.count + present.count
        guard count > Suggestions.rangesAtMost else { return true }
        cannotAllow(
            called.example, called.evidence.denials,
            because:
                "the ports come to \(count) ranges, of which a policy holds \(Suggestions.rangesAtMost) for one peer: "
                + "write wider ones")
        return false
    }
}

extension PortRule {
    /// Rules for just these ports: ranges where they follow each other.
    static func covering(_ ports: [TransportProtocol: Set<UInt16>]) -> [PortRule] {
        TransportProtocol.allCases.flatMap { transport -> [PortRule] in
            guard let ports = ports[transport], !ports.isEmpty else { return [] }
            guard transport != .ping else { return [PortRule(.ping)] }
            var ranges: [ClosedRange<UInt16>] = []
            for port in ports.sorted() {
                if let last = ranges.last, last.upperBound == port - 1 {
                    ranges[ranges.count - 1] = last.lowerBound...port
                } else {
                    ranges.append(port...port)
                }
            }
            return ranges.map { PortRule(transport, $0) }
        }
    }
}
