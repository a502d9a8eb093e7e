import PolicyModel
import TestSupport
import Testing

/// What holds for whatever comes; the seed of a failure is the test's argument.
@Suite struct PropertyTests {
    private func randomAddress(_ random: inout SeededGenerator) -> IPv4Address {
        IPv4Address(rawValue: UInt32.random(in: 0...UInt32.max, using: &random))
    }

    private func randomPrefix(_ random: inout SeededGenerator) -> IPv4Prefix {
        IPv4Prefix(holding: randomAddress(&random), length: Int.random(in: 0...32, using: &random))
    }

    @Test(arguments: 0..<10)
    func `addresses and prefixes survive writing and reading`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let address = randomAddress(&random)
            #expect(IPv4Address(address.description) == address)
            let prefix = randomPrefix(&random)
            #expect(IPv4Prefix(prefix.description) == prefix)
            #expect(IPv4Prefix("\(prefix.network)/\(prefix.length)") == prefix)
        }
    }

    @Test(arguments: 0..<10)
    func `a prefix holds what lies between its ends`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let prefix = randomPrefix(&random)
            let address = random.one(in: 2) ? randomAddress(&random) : prefix.last
            #expect(prefix.contains(address) == (prefix.network <= address && address <= prefix.last))
            #expect(prefix.count == Int(prefix.last.rawValue) - Int(prefix.network.rawValue) + 1)
            let other = randomPrefix(&random)
            #expect(prefix.overlaps(other) == (prefix.network <= other.last && other.network <= prefix.last))
            #expect(prefix.contains(other) == (prefix.network <= other.network && other.last <= prefix.last))
        }
    }

    @Test(arguments: [
        "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "+1.2.3.4", "1.2.3.-4", "a.b.c.d", "1..2.3",
        "１.2.3.4", "0x1.2.3.4", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/32/", "1.2.3.4/032", "1.2.3.4/24", "/24",
    ])
    func `what is no prefix is none`(text: String) {
        #expect(IPv4Prefix(text) == nil)
    }

    /// A valid policy over 10.0.0.0/8 with environments of one to four disjoint prefixes.
    private func randomPolicy(_ random: inout SeededGenerator) -> Policy {
        var free = Array(0..<64)
        free.shuffle(using: &random)
        let environments = (0..<Int.random(in: 1...8, using: &random)).map { index in
            let addresses = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                IPv4Prefix(
                    holding: IPv4Address(rawValue: 0x0a00_0000 | UInt32(free.removeLast()) << 16),
                    length: [16, 17, 24, 32].randomElement(using: &random) ?? 16)
            }
            return Environment(name: "e\(index)", addresses: addresses, line: index)
        }
        return Policy(addressSpace: [net("10.0.0.0/10")], environments: environments)
    }

    @Test(arguments: 0..<20)
    func `the index finds what a search through the policy finds`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let policy = randomPolicy(&random)
        let index = PolicyIndex(policy)
        for _ in 0..<500 {
            // Small numbers behind the network, so that the ends of prefixes are tried.
            let address = IPv4Address(
                rawValue: 0x0a00_0000 | UInt32.random(in: 0..<80, using: &random) << 16
                    | (random.one(in: 2)
                        ? UInt32.random(in: 0...2, using: &random) : UInt32.random(in: 0...65535, using: &random)))
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
                prefix: IPv4Prefix(
                    holding: IPv4Address(rawValue: 0xc000_0200 | UInt32.random(in: 0...255, using: &random)),
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
            let address = IPv4Address(rawValue: 0xc000_0200 | UInt32.random(in: 0...255, using: &random))
            let transport = TransportProtocol.allCases.randomElement(using: &random) ?? .tcp
            let port = UInt16.random(in: 0...200, using: &random)
            let first = sorted.first { $0.prefix.contains(address) && $0.ports[0].covers(transport, port) }
            #expect(policy.allows(address, transport, port) == first?.allows ?? policy.otherwise)
        }
    }

    @Test func `verdicts about ten thousand environments are quick`() {
        let environments = (0..<10_000).map { index in
            Environment(
                name: "e\(index)",
                addresses: [IPv4Prefix(holding: IPv4Address(rawValue: 0x0a00_0000 + UInt32(index) << 8), length: 24)],
                permits: [Permit(to: "e\((index + 1) % 10_000)", ports: ports("tcp/80"), line: index)])
        }
        let index = PolicyIndex(Policy(addressSpace: [net("10.0.0.0/8")], environments: environments))
        let clock = ContinuousClock()
        let time = clock.measure {
            for number in 0..<10_000 as Range<UInt32> {
                let subject = Subject(
                    environment: "e\(number)", address: IPv4Address(rawValue: 0x0a00_0001 + number << 8))
                let next = IPv4Address(rawValue: 0x0a00_0001 + ((number + 1) % 10_000) << 8)
                let verdict = index.verdict(
                    .outgoing(Outgoing(.tcp, to: next, port: 80)), by: subject, on: HostView())
                #expect(verdict == Verdict(allowed: true, reason: .permit, line: Int(number)))
            }
        }
        #expect(time < .seconds(10))
    }
}
