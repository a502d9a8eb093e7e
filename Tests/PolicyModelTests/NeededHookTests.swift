import TestSupport
import Testing

@testable import PolicyModel

@Suite struct NeededHookTests {
    private func environment(_ words: String) throws -> Environment {
        let policy = try PolicyFile.parse(
            """
            addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
            environments:
              shop:
                addresses: [10.10.2.0/24, "fd00:10:10:2::/64"]
                \(words)
            """, source: "p")
        return policy.environments[0]
    }

    @Test(arguments: [
        "multicast: true", "strict: true", "protocols: [tcp, ping]", "host: deny", "remote: deny",
        "remote: {out: deny}",
        "remote: {out: {allow: [0.0.0.0/0, \"::/0\"]}}", "remote: {out: {deny: [192.0.2.0/24]}}",
        "remote: {out: {deny: [\"2001:db8::/32\"]}}",
        "remote: {out: {deny: [192.0.2.0/24 tcp/25]}}",
    ])
    func `options are judged for groups, for every packet, or for who is out of reach`(
        words: String
    ) throws {
        #expect(try environment(words).needsOptions)
    }

    @Test(arguments: [
        "mode: enforce", "mode: audit", "remote: allow", "remote: {in: deny, out: allow}", "linkLocal: true",
        "unix: private", "protocols: [tcp]", "require: unix",
    ])
    func `options are not judged where every remote and the host may be sent to`(words: String) throws {
        #expect(try !environment(words).needsOptions)
    }

    @Test func `rules that only allow take nothing away where all is allowed anyway`() {
        var remote = RemotePolicy.allow(line: nil)
        #expect(remote.allowsEverything)
        let prefix = IPPrefix("192.0.2.0/24").map { [$0] } ?? []
        remote.rules = prefix.map { RemoteRule(prefix: $0, allows: true) }
        #expect(remote.rules.count == 1 && remote.allowsEverything)
        remote.rules += prefix.map { RemoteRule(prefix: $0, allows: false) }
        #expect(!remote.allowsEverything)
        #expect(!RemotePolicy.deny(line: nil).allowsEverything)
    }
}
