import PolicyModel
import TestSupport
import Testing

@Suite struct PortRuleTests {
    @Test(arguments: ["tcp", "udp", "ping", "tcp/1", "tcp/65535", "udp/5000-5010", "tcp/1-65535"])
    func `a rule is written as it was read`(text: String) throws {
        #expect(try #require(PortRule(text)).description == text)
    }

    @Test(arguments: [
        "", "TCP", "tcp/", "tcp/0", "tcp/65536", "tcp/01", "tcp/+1", "tcp/1-", "tcp/-1", "tcp/2-1", "tcp/1-2-3",
        "ping/1", "any", "tcp 1", " tcp", "tcp/1 ", "80", "raw", "udplite", "tcp/１",
    ])
    func `anything else is no rule`(text: String) {
        #expect(PortRule(text) == nil)
    }

    @Test func `a rule covers its protocol and its ports`() {
        let range = PortRule(.udp, 5000...5010)
        #expect(range.covers(.udp, 5000) && range.covers(.udp, 5010))
        #expect(!range.covers(.udp, 4999) && !range.covers(.udp, 5011) && !range.covers(.tcp, 5000))
        #expect(PortRule("tcp")?.covers(.tcp, 0) == true)
        #expect(PortRule(nil).covers(.ping, 7))
    }

    @Test func `ping has no ports`() {
        #expect(PortRule("ping")?.covers(.ping, 80) == true)
        #expect(PortRule(.ping, 1...1).covers(.ping, 80))
        #expect(PortRule(.ping, 1...1).description == "ping")
    }

    @Test(arguments: 0..<10)
    func `any rule of a file survives writing and reading`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let ends = [UInt16.random(in: 1...65535, using: &random), UInt16.random(in: 1...65535, using: &random)]
            let transport = try #require([TransportProtocol.tcp, .udp].randomElement(using: &random))
            let rule = PortRule(transport, min(ends[0], ends[1])...max(ends[0], ends[1]))
            #expect(PortRule(rule.description) == rule)
        }
    }
}
