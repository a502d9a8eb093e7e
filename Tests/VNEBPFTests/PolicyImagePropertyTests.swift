import PolicyModel
import TestSupport
import Testing

@testable import VNEBPF

@Suite struct PolicyImagePropertyTests {
    @Test(arguments: UInt64(0)..<40)
    func `an image decides what the model decides`(seed: UInt64) throws {
        var random = RandomPolicies(seed: seed)
        let policy = random.policy()
        let host = random.host()
        let index = PolicyIndex(policy)
        let landmarks = Landmarks(of: policy, on: host)
        let image = try PolicyImageReader(PolicyImage(compiling: policy, text: "", host: host))
        for number in 0..<500 {
            let subject = random.pick(RandomPolicies.subjects)
            let attempt = random.attempt(by: subject, near: landmarks)
            let judge = try #require(try ImageJudge(image, subject: subject))
            let reason = try judge.reason(attempt)
            let verdict = index.verdict(attempt, by: subject, on: host)
            try #require(reason == verdict.reason, "seed \(seed), attempt \(number): \(attempt) by \(subject)")
            let allowed = reason.allows || judge.environment.mode == .audit && reason.isReachability
            try #require(allowed == verdict.allowed, "seed \(seed), attempt \(number): \(attempt) by \(subject)")
        }
    }

    @Test(arguments: UInt64(0)..<40)
    func `an image classifies every address as the model does`(seed: UInt64) throws {
        var random = RandomPolicies(seed: seed)
        let policy = random.policy()
        let host = random.host()
        let index = PolicyIndex(policy)
        let image = try PolicyImageReader(PolicyImage(compiling: policy, text: "", host: host))
        let reserved = Set(policy.applications.flatMap { $0.addresses?.all ?? [] })
        for address in Set(Landmarks(of: policy, on: host).addresses.joined()) {
            let expected: PolicyImageReader.AddressOwner =
                switch index.classify(address, on: host) {
                case .environment(let name):
                    .environment(
                        try #require(try image.environment(named: name)).id, reserved: reserved.contains(address))
                case .unassigned: .unassigned
                case .loopback: .loopback
                case .multicast: .multicast
                case .broadcast: .broadcast
                case .host: .host
                case .linkLocal: .linkLocal
                case .remote: .remote
                }
            #expect(try image.owner(of: address) == expected, "\(address)")
        }
    }

    @Test(arguments: UInt64(0)..<40)
    func `the runs of an image say what its tables say`(seed: UInt64) throws {
        var random = RandomPolicies(seed: seed)
        let policy = random.policy()
        let host = random.host()
        let image = try PolicyImageReader(PolicyImage(compiling: policy, text: "", host: host))
        let ranges = try image.ownedRanges()
        for address in Set(Landmarks(of: policy, on: host).addresses.joined()) {
            let range = ranges.first {
                $0.addresses.contains(address) && $0.addresses.lowerBound.family == address.family
            }
            #expect(try image.owner(of: address) == range?.owner ?? .remote, "\(address)")
        }
    }

    @Test(arguments: UInt64(0)..<20)
    func `a list of rules allows the traffic that it was made from`(seed: UInt64) throws {
        var random = RandomPolicies(seed: seed)
        for _ in 0..<50 {
            var traffic = random.coin() ? Traffic.all : .none
            var steps: [(rule: PortRule, adds: Bool)] = []
            let start = traffic.ping
            for _ in 0..<Int.random(in: 0...6, using: &random.generator) {
                let step = (rule: random.rule(), adds: random.coin())
                steps.append(step)
                if step.adds { traffic.insert(step.rule) } else { traffic.remove(step.rule) }
            }
            var table = RuleTable()
            let list = try table.list(traffic, source: "", line: nil)
            for transport in TransportProtocol.allCases {
                for port in transport == .ping
                    ? [0] : [0, 1, 2, 21, 22, 23, 52, 53, 54, 80, 81, 82, 5432, 65534, 65535]
                {
                    let expected = steps.last { $0.rule.covers(transport, UInt16(port)) }?.adds ?? start
                    #expect(table.allows(list, transport, UInt16(port)) == expected)
                }
            }
        }
    }
}

extension RuleTable {
    /// The first match decides, and nothing after the last rule does.
    func allows(_ list: UInt32, _ transport: TransportProtocol, _ port: UInt16) -> Bool {
        for rule in rules[Int(list)...] {
            let protocolMatches = rule.match & 0xff == 0 || rule.match & 0xff == UInt32(transport.number)
            if protocolMatches, (rule.ports & 0xffff...rule.ports >> 16).contains(UInt32(port)) {
                return rule.match & 0x100 != 0
            }
            if rule.match & 0x200 != 0 { return false }
        }
        return false
    }
}
