import PolicyModel
import TestSupport
import Testing

/// What holds for whatever comes; the seed of a failure is the test's argument.
@Suite struct PropertyTests {
    private func randomAddress(_ random: inout SeededGenerator) -> IPAddress {
        guard random.one(in: 2) else { return IPAddress(ipv4: UInt32.random(in: 0...UInt32.max, using: &random)) }
        // With runs of zeros and of ones, where texts and prefixes have their edges.
        let groups = (0..<8).map { _ in
            [0, 0, 0xffff, UInt16.random(in: 0...15, using: &random), UInt16.random(in: 0...0xffff, using: &random)]
                .randomElement(using: &random) ?? 0
        }
        return IPAddress(rawValue: groups.reduce(0) { $0 << 16 | UInt128($1) })
    }

    private func randomPrefix(_ random: inout SeededGenerator) -> IPPrefix {
        let address = randomAddress(&random)
        return IPPrefix(holding: address, length: Int.random(in: 0...address.family.width, using: &random))
    }

    @Test(arguments: 0..<10)
    func `addresses and prefixes survive writing and reading`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let address = randomAddress(&random)
            #expect(IPAddress(address.description) == address)
            #expect(IPAddress(networkBytes: address.networkBytes) == address)
            #expect(IPAddress(high: address.high, low: address.low) == address)
            #expect(address.ipv4.map { IPAddress(ipv4: $0) } ?? address == address)
            #expect(address.networkBytes.count == address.family.width / 8)
            let prefix = randomPrefix(&random)
            #expect(IPPrefix(prefix.description) == prefix)
            #expect(IPPrefix("\(prefix.network)/\(prefix.length)") == prefix)
        }
    }

    @Test(arguments: 0..<10)
    func `a prefix holds what lies between its ends`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let prefix = randomPrefix(&random)
            let address = random.one(in: 2) ? randomAddress(&random) : prefix.last
            let isBetween = prefix.network <= address && address <= prefix.last && address.family == prefix.family
            #expect(prefix.contains(address) == isBetween)
            #expect(prefix.last.rawValue & ~prefix.mask == ~prefix.mask && prefix.network.rawValue & ~prefix.mask == 0)
            #expect(prefix.isSingleAddress == (prefix.network == prefix.last))
            #expect(prefix.bits == prefix.mask.nonzeroBitCount)
            let other = randomPrefix(&random)
            let isOneFamily = prefix.family == other.family
            #expect(
                prefix.overlaps(other)
                    == (isOneFamily && prefix.network <= other.last && other.network <= prefix.last))
            #expect(
                prefix.contains(other)
                    == (isOneFamily && prefix.network <= other.network && other.last <= prefix.last))
        }
    }

    @Test(arguments: [
        "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "+1.2.3.4", "1.2.3.-4", "a.b.c.d", "1..2.3",
        "１.2.3.4", "0x1.2.3.4", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/32/", "1.2.3.4/032", "1.2.3.4/24", "/24",
        "::/129", "::/", "::1/64", "::/0128", "::/+1", "/64", "::ffff:10.0.0.0/95", "::ffff:11.0.0.0/103",
        "::ffff:10.0.0.0/8", "fe80::1%eth0", "[::1]",
    ])
    func `what is no prefix is none`(text: String) {
        #expect(IPPrefix(text) == nil)
    }

    /// A valid policy over 10.0.0.0/8 with environments of one to four disjoint prefixes.
    private func randomPolicy(_ random: inout SeededGenerator) -> Policy {
        var free = Array(0..<64)
        free.shuffle(using: &random)
        let environments = (0..<Int.random(in: 1...8, using: &random)).map { index in
            let addresses = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                let block = free.removeLast()
                return random.one(in: 2)
                    ? IPPrefix(
                        holding: IPAddress(ipv4: 0x0a00_0000 | UInt32(block) << 16),
                        length: [16, 17, 24, 32].randomElement(using: &random) ?? 16)
                    : IPPrefix(
                        holding: IPAddress(high: 0xfd00_0000_0000_0000 | UInt64(block) << 16, low: 0),
                        length: [48, 49, 64, 120, 128].randomElement(using: &random) ?? 64)
            }
            return Environment(name: "e\(index)", addresses: addresses, line: index)
        }
        return Policy(addressSpace: [net("10.0.0.0/10"), net("fd00::/42")], environments: environments)
    }

    @Test(arguments: 0..<20)
    func `the index finds what a search through the policy finds`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let policy = randomPolicy(&random)
        let index = PolicyIndex(policy)
        for _ in 0..<500 {
            // Small numbers behind the network, so that the ends of prefixes are tried.
            let block = UInt32.random(in: 0..<80, using: &random)
            let rest = UInt32.random(in: random.one(in: 2) ? 0...2 : 0...65535, using: &random)
            let address =
                random.one(in: 2)
                ? IPAddress(ipv4: 0x0a00_0000 | block << 16 | rest)
                : IPAddress(
                    high: 0xfd00_0000_0000_0000 | UInt64(block) << 16 | UInt64(random.one(in: 2) ? rest : 0),
                    low: UInt64(rest))
            let owner = policy.environments.first { $0.contains(address) }
            #expect(index.environment(holding: address) == owner)
            #expect(index.isInAddressSpace(address) == policy.addressSpace.contains { $0.contains(address) })
            #expect((policy.classify(address, on: HostView()) == .environment(owner?.name ?? "")) == (owner != nil))
        }
    }

    @Test(arguments: 0..<20)
    func `the remote policy decides as its list sorted by length and denial does`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let rules = (0..<20).map { line in
            RemoteRule(
                prefix: IPPrefix(
                    holding: IPAddress(ipv4: 0xc000_0200 | UInt32.random(in: 0...255, using: &random)),
                    length: Int.random(in: 24...32, using: &random)),
                ports: [
                    PortRule(
                        TransportProtocol.allCases.randomElement(using: &random), 0...(random.one(in: 2) ? 99 : 65535))
                ],
                allows: Bool.random(using: &random), line: line)
        }
        let policy = RemotePolicy(otherwise: Bool.random(using: &random), rules: rules)
        let sorted = rules.sorted { ($0.prefix.length, $0.allows ? 0 : 1) > ($1.prefix.length, $1.allows ? 0 : 1) }
        for _ in 0..<500 {
            let address = IPAddress(ipv4: 0xc000_0200 | UInt32.random(in: 0...255, using: &random))
            let transport = TransportProtocol.allCases.randomElement(using: &random) ?? .tcp
            let port = UInt16.random(in: 0...200, using: &random)
            let first = sorted.first { $0.prefix.contains(address) && $0.ports[0].covers(transport, port) }
            #expect(policy.allows(address, transport, port) == first?.allows ?? policy.otherwise)
        }
    }

    @Test func `random policies are sound, and random attempts meet every rule`() {
        var met: Set<Reason> = []
        for seed in 0..<40 as Range<UInt64> {
            var random = RandomPolicies(seed: seed)
            let (policy, host) = (random.policy(), random.host())
            let landmarks = Landmarks(of: policy, on: host)
            let index = PolicyIndex(policy)
            for environment in policy.environments {
                for prefix in environment.addresses {
                    #expect(index.environment(holding: prefix.network) == environment)
                    #expect(policy.addressSpace.contains { $0.contains(prefix) })
                }
            }
            for subject in RandomPolicies.subjects {
                let environment = index.environment(named: subject.environment)
                #expect(environment?.contains(subject.addresses) == true)
                for _ in 0..<250 {
                    let attempt = random.attempt(by: subject, near: landmarks)
                    let verdict = index.verdict(attempt, by: subject, on: host)
                    met.insert(verdict.reason)
                    expectLoopbackIsPrivate(
                        attempt, verdict, subject, hearsGroups: environment?.multicast == true)
                }
            }
        }
        // What no attempt to talk can come to.
        let never: Set<Reason> = [
            .permittedUse, .unconfigured, .foreignNamespace, .foreignAddress, .membership, .administration, .unix,
        ]
        #expect(met == Set(Reason.allCases).subtracting(never))
    }

    /// Nobody but the application, and the answers of shared services, comes to its loopback or goes from it. What is not
    /// addressed to the application is a group's.
    private func expectLoopbackIsPrivate(
        _ attempt: Attempt, _ verdict: Verdict, _ subject: Subject, hearsGroups: Bool
    ) {
        func isOwn(_ address: IPAddress) -> Bool {
            subject.loopback.contains(address) || subject.addresses.contains(address)
        }
        guard verdict.allowed else { return }
        switch attempt {
        case .incoming(let packet) where subject.loopback.contains(packet.destination):
            #expect(packet.arrival == .thisHost && (isOwn(packet.source) || verdict.reason == .shared))
        case .incoming(let packet):
            #expect(subject.addresses.contains(packet.destination) || hearsGroups && packet.transport == .udp)
            #expect(subject.addresses.contains(packet.destination) || !subject.loopback.contains(packet.source))
        case .outgoing(let packet):
            guard let source = packet.source else { break }
            #expect(isOwn(source) && source.family == packet.destination.family)
            if subject.loopback.contains(source) {
                #expect(isOwn(packet.destination) || verdict.reason == .shared)
            }
        default:
            break
        }
    }

    @Test func `verdicts about ten thousand environments are quick`() {
        let environments = (0..<10_000).map { index in
            Environment(
                name: "e\(index)",
                addresses: [IPPrefix(holding: IPAddress(ipv4: 0x0a00_0000 + UInt32(index) << 8), length: 24)],
                permits: [Permit(to: "e\((index + 1) % 10_000)", ports: ports("tcp/80"), line: index)])
        }
        let index = PolicyIndex(Policy(addressSpace: [net("10.0.0.0/8")], environments: environments))
        let time = processorTime {
            for number in 0..<10_000 as Range<UInt32> {
                let subject = Subject(
                    environment: "e\(number)",
                    addresses: ApplicationAddresses(IPAddress(ipv4: 0x0a00_0001 + number << 8)), loopback: loopback(0))
                let next = IPAddress(ipv4: 0x0a00_0001 + ((number + 1) % 10_000) << 8)
                let verdict = index.verdict(
                    .outgoing(Outgoing(.tcp, to: next, port: 80)), by: subject, on: HostView())
                #expect(verdict == Verdict(allowed: true, reason: .permit, line: Int(number)))
            }
        }
        #expect(time < .seconds(10))
    }
}
