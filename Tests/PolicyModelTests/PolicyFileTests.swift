import Foundation
import PolicyModel
import Testing

@Suite struct PolicyFileTests {
    private func parse(_ text: String) throws -> Policy {
        try PolicyFile.parse(text, source: "policy.yaml")
    }

    /// The only environment of a policy that says this about it.
    private func environment(_ lines: String) throws -> Environment {
        let policy = try parse(
            "addressSpace: 10.10.0.0/16\nenvironments:\n  e:\n    addresses: 10.10.1.0/24\n    \(lines)\n")
        return try #require(policy.environments.first)
    }

    private func messages(_ text: String) -> [String] {
        do {
            _ = try PolicyFile.parse(text, source: "p")
            return []
        } catch {
            return error.errors.map(\.description)
        }
    }

    @Test func `every key of the file is read`() throws {
        let policy = try parse(wholeFile)
        #expect(policy.source == "policy.yaml")
        #expect(policy.addressSpace == [net("10.10.0.0/16"), net("10.20.0.0/16"), net("fd00:10::/32")])
        #expect(
            policy.loopbackShared == [
                SharedService(address: ip("127.0.0.1"), port: 11211), SharedService(address: ip("::1"), port: 5353),
            ])
        #expect(policy.addressSpaceInterfaces == ["eth0", "wg0"])
        #expect(policy.environments.map(\.name) == ["shop", "payments", "mail"])

        let shop = policy.environments[0]
        #expect(shop.addresses == [net("10.10.2.0/24"), net("10.20.2.1"), net("fd00:10:2::/64")])
        #expect(shop.remoteIn == .deny(line: 8))
        #expect(
            shop.remoteOut
                == RemotePolicy(
                    otherwise: false, otherwiseLine: 10,
                    rules: [
                        RemoteRule(
                            prefix: net("192.0.2.0/24"), ports: ports("tcp/443", "udp/53"), allows: true, line: 11),
                        RemoteRule(
                            prefix: net("198.51.100.0/24"), ports: ports("tcp/80-90", "tcp/8080"), allows: true,
                            line: 12),
                        RemoteRule(prefix: net("0.0.0.0/0"), ports: ports("tcp/25"), allows: true, line: 13),
                        RemoteRule(prefix: net("2001:db8::/32"), ports: ports("tcp/443"), allows: true, line: 14),
                        RemoteRule(prefix: net("192.0.2.128/25"), allows: false, line: 15),
                        RemoteRule(prefix: net("2001:db8:1::/48"), allows: false, line: 15),
                    ]))
        #expect(!shop.host && shop.linkLocal && shop.strict && shop.needsEgress)
        #expect(shop.mode == .audit)
        #expect(shop.protocols == [.tcp, .udp, .ping])
        #expect(
            shop.permits == [
                Permit(to: "payments", application: "db", ports: ports("tcp/5432"), line: 21),
                Permit(to: "payments", ports: ports("udp/5000-5010", "ping"), line: 22),
                Permit(to: "mail", line: 24),
            ])
        #expect(shop.line == 5)

        let payments = policy.environments[1]
        #expect(payments.remoteIn == .deny(line: 28) && payments.remoteOut == .deny(line: 28))

        let mail = policy.environments[2]
        #expect(mail.addresses == [net("10.10.4.1"), net("10.10.4.2"), net("fd00:10:4::1")])
        #expect(mail.remoteIn == mail.remoteOut)
        #expect(mail.remoteIn.otherwise && mail.remoteIn.otherwiseLine == 33)

        #expect(
            policy.applications == [
                Application(
                    name: "web", environment: "shop", addresses: own("10.10.2.1", "fd00:10:2::1"), hostname: "web.shop",
                    cgroup: "system.slice/nginx.service", line: 35),
                Application(
                    name: "db", environment: "payments", addresses: own("10.10.3.1"),
                    cgroup: "system.slice/postgresql.service", line: 40),
                Application(name: "post", environment: "mail", addresses: nil, line: 41),
            ])
        #expect(
            policy.hostGuard
                == HostGuard(
                    cgroups: ["system.slice", "user.slice"], addresses: own("192.0.2.10", "2001:db8::10"), line: 42))
    }

    @Test func `what is left out has its default`() throws {
        #expect(try environment("") == Environment(name: "e", addresses: [net("10.10.1.0/24")], line: 3))
    }

    @Test func `remotes are allowed or denied in both directions, or in each`() throws {
        let deny = try environment("remote: deny")
        #expect(deny.remoteIn == .deny(line: 5) && deny.remoteOut == .deny(line: 5))
        let out = try environment("remote: {out: deny}")
        #expect(out.remoteIn == .allow(line: nil) && out.remoteOut == .deny(line: 5))
        let listed = try environment("remote: {in: {allow: 192.0.2.1}}")
        #expect(listed.remoteOut == .allow(line: nil))
        #expect(
            listed.remoteIn
                == RemotePolicy(
                    otherwise: false, otherwiseLine: 5,
                    rules: [RemoteRule(prefix: net("192.0.2.1"), allows: true, line: 5)])
        )
    }

    @Test(arguments: [
        ("{allow: [192.0.2.0/24]}", false), ("{deny: [192.0.2.0/24]}", true),
        ("{allow: [192.0.2.0/24], deny: [192.0.2.1]}", false),
    ])
    func `a list of what is allowed denies the rest`(text: String, otherwise: Bool) throws {
        #expect(try environment("remote: \(text)").remoteOut.otherwise == otherwise)
    }

    @Test(arguments: ["example-policy.yaml", "POLICY.md"])
    func `what the documentation shows is a policy`(name: String) throws {
        let docs = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs")
        let text = try String(contentsOf: docs.appending(path: name), encoding: .utf8)
        let policies =
            name.hasSuffix(".yaml")
            ? [text]
            : text.components(separatedBy: "```yaml\n").dropFirst().map { $0.components(separatedBy: "```")[0] }
        #expect(!policies.isEmpty)
        for policy in policies { #expect(messages(policy) == []) }
    }

    @Test func `IPv6 needs quotes only where YAML needs them`() throws {
        let text =
            "addressSpace: fd00:10::/32\nenvironments:\n  e:\n    addresses:\n      - fd00:10::/64\n      - fd00:10:1::1\n"
        #expect(try parse(text).environments[0].addresses == [net("fd00:10::/64"), net("fd00:10:1::1")])
        // With a colon at its end it is the key of a mapping.
        #expect(messages(text.replacing("1::1", with: "1::")).count == 1)
    }

    @Test func `a policy needs no applications and may have no environments`() throws {
        #expect(try parse("addressSpace: 10.10.0.0/16\nenvironments: {}\n").environments.isEmpty)
    }

    @Test func `an environment may reach over adjacent prefixes of the address space`() throws {
        let text = "addressSpace: [10.0.0.0/9, 10.128.0.0/9]\nenvironments: {a: {addresses: 10.0.0.0/8}}\n"
        #expect(try parse(text).environments.count == 1)
    }

    @Test func `cgroups with similar names are apart`() throws {
        let applications = ["a", "a-b", "a.b", "aa", "b/a", "b/a!"].enumerated()
            .map { "  x\($0.offset): {environment: e, address: auto, cgroup: \"\($0.element)\"}" }
        let text =
            "addressSpace: 10.0.0.0/8\nenvironments: {e: {addresses: 10.0.0.0/8}}\napplications:\n"
            + applications.joined(separator: "\n")
        #expect(messages(text) == [])
    }

    @Test func `one mistake is one message`() {
        #expect(
            messages("addressSpace: 10.10.0.0/33\nenvironments: {a: {addresses: 10.10.1.0/24}}\n")
                == ["1:15: expected a prefix length from 0 to 32; found “10.10.0.0/33”"])
        #expect(
            messages("addressSpce: 10.10.0.0/16\nenvironments: {}\n") == [
                "1:1: unknown key “addressSpce”; expected addressSpace, addressSpaceInterfaces, interface, "
                    + "resolveHostnames, environments, applications, loopback or guard; did you mean “addressSpace”?"
            ])
    }

    @Test func `a tab, a control character and a line end in a value stay on one line`() {
        for message in messages("addressSpace: \"a\\tb\\nc\\u202e\"\nenvironments: {}\n") {
            #expect(message.contains("“a\\tb\\nc\\u{202E}”"))
        }
    }

    @Test func `errors read like a compiler's`() {
        let errors = DocumentErrors(
            source: "p.yaml",
            errors: [
                DocumentError(line: 1, column: 2, message: "one", suggestion: "two"),
                DocumentError(line: 3, column: 4, message: "three"),
            ])
        #expect(errors.description == "p.yaml:1:2: one; did you mean “two”?\np.yaml:3:4: three")
    }

    @Test func `a file that is too long is refused before it is read`() {
        let bytes = [UInt8](repeating: 10, count: (64 << 20) + 1)
        let errors = #expect(throws: DocumentErrors.self) { try PolicyFile.parse(bytes: bytes, source: "p") }
        #expect(errors?.errors.map(\.message) == ["the file is longer than 64 MiB"])
    }

    @Test func `a byte order mark is no part of the policy`() throws {
        let text = "\u{feff}addressSpace: 10.10.0.0/16\nenvironments: {}\n"
        #expect(try parse(text).addressSpace == [net("10.10.0.0/16")])
    }

    @Test func `ten thousand environments take well under a second`() throws {
        var text = "addressSpace: 10.0.0.0/8\nenvironments:\n"
        for index in 0..<10_000 {
            let prefix = IPPrefix(holding: IPAddress(ipv4: 0x0a00_0000 + UInt32(index) << 8), length: 24)
            text += "  e\(index):\n    addresses: [\(prefix)]\n    remote: {in: allow, out: allow}\n    permits:\n"
            text += "      - {to: e\((index + 1) % 10_000)/a\((index + 1) % 10_000), ports: [tcp/5432]}\n"
        }
        text += "applications:\n"
        for index in 0..<10_000 {
            let address = IPAddress(ipv4: 0x0a00_0001 + UInt32(index) << 8)
            text += "  a\(index): {environment: e\(index), address: \(address), hostname: a\(index).test, "
            text += "cgroup: vne.slice/a\(index)}\n"
        }
        var count = 0
        let time = try processorTime { count = try parse(text).applications.count }
        #expect(count == 10_000)
        // A debug build is ten times slower: what this finds is a loop in a loop.
        #expect(time < .seconds(10))
        print("20,000 environments and applications, \(text.utf8.count / 1024) KiB, read and checked in \(time)")

        let wrong = text.replacing("environment: e", with: "environment: f").replacing("/a", with: "/b")
        let search = processorTime { #expect(messages(wrong).count >= 20_000) }
        #expect(search < .seconds(60))
        print("20,000 wrong names in \(search)")
    }
}
