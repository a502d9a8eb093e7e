import PolicyModel
import TestSupport
import Testing

@testable import VNEBPF

/// A prefix of a literal that is one.
func prefix(_ text: String) -> IPPrefix {
    guard let prefix = IPPrefix(text) else { preconditionFailure("\(text) is no prefix") }
    return prefix
}

/// An address of a literal that is one.
func address(_ text: String) -> IPAddress {
    prefix(text).network
}

/// Application addresses of literals that are: one, or one of each family.
func addresses(_ texts: String...) -> ApplicationAddresses {
    guard let addresses = ApplicationAddresses(texts.map(address)) else {
        preconditionFailure("\(texts) are no application addresses")
    }
    return addresses
}

@Suite struct PolicyImageTests {
    private func reader(
        _ policy: Policy, host: HostView = HostView(), ids: EnvironmentIDs = EnvironmentIDs(), text: String = ""
    ) throws -> PolicyImageReader {
        try PolicyImageReader(PolicyImage(compiling: policy, text: text, host: host, ids: ids))
    }

    private func policy(_ environments: [Environment], applications: [Application] = []) -> Policy {
        Policy(
            addressSpace: [prefix("10.10.0.0/16")], environments: environments, applications: applications,
            source: "policy.yaml")
    }

    @Test func `an environment comes before unassigned and that before every special address`() throws {
        let policy = Policy(
            addressSpace: [prefix("127.0.0.0/16"), prefix("10.0.0.0/8"), prefix("224.1.0.0/16")],
            environments: [
                Environment(
                    name: "odd", addresses: [prefix("127.0.3.0/24"), prefix("10.0.0.7"), prefix("224.1.1.0/30")])
            ], applications: [Application(name: "one", environment: "odd", addresses: addresses("10.0.0.7"))])
        let host = HostView(
            addresses: [address("10.0.0.7"), address("10.0.0.8"), address("192.0.2.1"), address("169.254.0.9")],
            broadcasts: [address("192.0.2.255"), address("127.9.9.9"), address("192.0.2.1")])
        let image = try reader(policy, host: host)
        let expected: [(String, PolicyImageReader.AddressOwner)] = [
            ("127.0.3.255", .environment(0, reserved: false)), ("127.0.4.0", .unassigned), ("127.1.0.0", .loopback),
            ("0.0.0.0", .loopback), ("0.0.0.1", .remote), ("10.0.0.7", .environment(0, reserved: true)),
            ("10.0.0.8", .unassigned), ("224.1.1.3", .environment(0, reserved: false)), ("224.1.1.4", .unassigned),
            ("224.2.0.0", .multicast), ("239.255.255.255", .multicast), ("240.0.0.0", .remote),
            ("255.255.255.255", .broadcast), ("255.255.255.254", .remote), ("192.0.2.255", .broadcast),
            ("192.0.2.1", .broadcast), ("127.9.9.9", .loopback), ("169.254.0.9", .host), ("169.254.0.10", .linkLocal),
            ("169.255.0.0", .remote), ("8.8.8.8", .remote),
        ]
        for (text, owner) in expected {
            #expect(try image.owner(of: address(text)) == owner, "\(text)")
        }
        let ranges = try image.ownedRanges()
        #expect(ranges.first?.addresses == address("0.0.0.0")...address("0.0.0.0"))
        #expect(ranges.contains { $0.addresses == address("255.255.255.255")...address("255.255.255.255") })
        #expect(ranges.contains { $0.addresses == address("10.0.0.7")...address("10.0.0.7") })
    }

    @Test func `IPv6 addresses are classified in the same order`() throws {
        let policy = Policy(
            addressSpace: [prefix("fd00::/16"), prefix("2001:db8::/32")],
            environments: [
                Environment(name: "one", addresses: [prefix("fd00:0:1::/48"), prefix("10.10.0.0/24")]),
                Environment(name: "two", addresses: [prefix("fd00:0:2::/64"), prefix("2001:db8::7")]),
            ],
            applications: [
                Application(name: "web", environment: "one", addresses: addresses("10.10.0.1", "fd00:0:1::1")),
                Application(name: "stray", environment: "two", addresses: addresses("fd00:0:1::2")),
                Application(name: "auto", environment: "two", addresses: nil),
            ])
        let host = HostView(
            addresses: [address("fd00:0:2::9"), address("2001:db9::1"), address("fe80::9"), address("ff02::9")])
        let image = try reader(policy, host: host)
        let expected: [(String, PolicyImageReader.AddressOwner)] = [
            ("::", .loopback), ("::1", .loopback), ("::2", .remote), ("fd56:4e45::1", .loopback),
            ("fd56:4e46::1", .remote), ("fe7f:ffff::", .remote), ("fe80::", .linkLocal), ("fe80::9", .host),
            ("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .linkLocal), ("fec0::", .remote), ("ff00::", .multicast),
            ("ff02::9", .multicast), ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .multicast),
            ("fd00::1", .unassigned), ("fd00:0:1::1", .environment(0, reserved: true)),
            ("fd00:0:1::2", .environment(0, reserved: false)),
            ("fd00:0:1:ffff:ffff:ffff:ffff:ffff", .environment(0, reserved: false)),
            ("fd00:0:2::9", .environment(1, reserved: false)), ("fd00:0:2:1::", .unassigned),
            ("2001:db8::7", .environment(1, reserved: false)), ("2001:db8::8", .unassigned),
            ("2001:db9::1", .host), ("2001:db9::2", .remote), ("10.10.0.1", .environment(0, reserved: true)),
        ]
        for (text, owner) in expected { #expect(try image.owner(of: address(text)) == owner, "\(text)") }
        let ranges = try image.ownedRanges()
        #expect(ranges.first { $0.addresses.lowerBound == address("::") }?.addresses == address("::")...address("::1"))
        #expect(ranges.last?.addresses.lowerBound == address("ff00::"))
        #expect(ranges.last?.owner == .multicast)
    }

    @Test func `an environment says in which families it is one prefix`() throws {
        let image = try reader(
            policy([
                Environment(name: "both", addresses: [prefix("10.10.0.0/24"), prefix("fd00::/64")]),
                Environment(name: "several", addresses: [prefix("fd00:1::/64"), prefix("fd00:2::/64")]),
                Environment(name: "mixed", addresses: [prefix("10.10.1.1"), prefix("10.10.1.3"), prefix("fd00:3::7")]),
                Environment(name: "none", addresses: []),
            ]))
        let both = try #require(try image.environment(named: "both"))
        #expect(both.families == [.ipv4, .ipv6])
        #expect(both.prefixes == [.ipv4: prefix("10.10.0.0/24"), .ipv6: prefix("fd00::/64")])
        let several = try #require(try image.environment(named: "several"))
        #expect(several.families == [.ipv6])
        #expect(several.prefixes.isEmpty)
        let mixed = try #require(try image.environment(named: "mixed"))
        #expect(mixed.families == [.ipv4, .ipv6])
        #expect(mixed.prefixes == [.ipv6: prefix("fd00:3::7")])
        #expect(try image.environment(named: "none")?.families.isEmpty == true)
    }

    @Test func `a remote policy has a table for each family`() throws {
        let remote = RemotePolicy(
            otherwise: false,
            rules: [
                RemoteRule(prefix: prefix("::/0"), ports: [PortRule(.tcp, 443...443)], allows: true),
                RemoteRule(prefix: prefix("2001:db8::/32"), ports: [PortRule(.tcp, 443...443)], allows: false),
                RemoteRule(prefix: prefix("2001:db8::1"), ports: [PortRule(.udp, 53...53)], allows: true),
                RemoteRule(prefix: prefix("192.0.2.0/24"), allows: true),
            ])
        let image = try reader(
            policy([Environment(name: "a", addresses: [prefix("10.10.1.0/24")], remoteOut: remote)]))
        let table = try #require(try image.environment(named: "a")).remoteOut
        let expected: [(String, TransportProtocol, UInt16, Bool)] = [
            ("2001:db7::1", .tcp, 443, true), ("2001:db7::1", .tcp, 80, false), ("2001:db8::2", .tcp, 443, false),
            ("2001:db8::1", .udp, 53, true), ("2001:db8::1", .tcp, 443, false), ("2001:db8::2", .udp, 53, false),
            ("192.0.2.1", .tcp, 80, true), ("192.0.3.1", .tcp, 443, false),
        ]
        for (peer, transport, port, allows) in expected {
            #expect(try image.allows(table, address(peer), transport, port) == allows, "\(peer) \(transport) \(port)")
        }
    }

    @Test func `the comparisons of an image can be read`() throws {
        let image = try reader(
            policy([Environment(name: "a", addresses: [prefix("fd00:1::/64")])]), host: HostView())
        let comparisons = try image.comparisons()
        #expect(comparisons.map(\.id) == Array(0..<UInt32(comparisons.count)))
        let own = try #require(comparisons.first { $0.prefix == "fd00:1::/64" })
        #expect(own.matched == "environment 0")
        let linkLocal = try #require(comparisons.first { $0.prefix == "fe80::/10" })
        #expect(linkLocal.matched == "link-local")
        #expect(linkLocal.otherwise == "remote")
    }

    @Test func `a comparison that leads to itself is refused`() throws {
        var image = try PolicyImage(compiling: policy([]), text: "", host: HostView())
        // The header's sixth word is the IPv6 root, its seventh the page of the comparisons.
        let first = Int(image.words[6]) * 256
        image.words[5] = 11 << 28
        image.words[first + 8] = 11 << 28
        image.words[first + 9] = 11 << 28
        let damaged = try PolicyImageReader(image)
        #expect(throws: BPFError.self) { try damaged.owner(of: address("fd00::1")) }
        #expect(throws: BPFError.self) { try damaged.ownedRanges() }
    }

    @Test func `a table of another byte than its place is refused`() throws {
        let environments = (0..<8).map { (number: UInt32) in
            Environment(name: "env-\(number)", addresses: [prefix("fd00:\(number):1::/48")])
        }
        var image = try PolicyImage(compiling: policy(environments), text: "", host: HostView())
        #expect(image.words[5] >> 28 == 10)
        image.words[5] += 1 << 24
        let damaged = try PolicyImageReader(image)
        #expect(throws: BPFError.self) { try damaged.ownedRanges() }
    }

    @Test(arguments: UInt64(0)..<20)
    func `a damaged image is refused or read but never trusted with more steps`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let environments = (0..<8).map { (number: UInt32) in
            Environment(
                name: "env-\(number)", addresses: [prefix("fd00:\(number):1::/48"), prefix("fd01:\(number)::1")])
        }
        let whole = try PolicyImage(compiling: policy(environments), text: "", host: HostView())
        for _ in 0..<20 {
            var image = whole
            // The pages of trees and comparisons, which lie between the IPv4 root and the names.
            let first = (Int(image.words[4]) + 256) * 256
            for _ in 0..<8 {
                let word = Int.random(in: first..<Int(image.words[9]) * 256, using: &generator)
                let kind = UInt32.random(in: 9...11, using: &generator)
                image.words[word] = kind << 28 | UInt32.random(in: 0..<20, using: &generator)
            }
            let reader = try PolicyImageReader(image)
            for probe in ["::", "fd00:3:1::9", "fd01:7::1", "fe80::1", "2001:db8::1"] {
                _ = try? reader.owner(of: address(probe))
            }
            _ = try? reader.ownedRanges()
            _ = try? reader.comparisons()
        }
    }

    @Test func `shared services of the policy and of the host are one list`() throws {
        func service(_ text: String, _ port: UInt16) -> SharedService {
            SharedService(address: address(text), port: port)
        }
        var policy = policy([])
        policy.loopbackShared = [service("::1", 5353), service("127.0.0.53", 53)]
        let host = HostView(sharedServices: [service("127.0.0.53", 53), service("127.0.0.1", 53)])
        let image = try reader(policy, host: host)
        #expect(image.sharedServices == [service("::1", 5353), service("127.0.0.53", 53), service("127.0.0.1", 53)])
        policy.loopbackShared = (1...9).map { service("127.0.0.1", $0) }
        #expect(throws: PolicyImageError.self) { try reader(policy) }
    }

    @Test func `an environment keeps its id by name`() throws {
        let first = policy([
            Environment(name: "b", addresses: [prefix("10.10.1.0/24")]),
            Environment(name: "a", addresses: [prefix("10.10.2.0/24")]),
            Environment(name: "c", addresses: [prefix("10.10.3.0/24")]),
        ])
        let image = try reader(first)
        var ids = EnvironmentIDs()
        for environment in try image.environments() { ids.byName[environment.name] = environment.id }
        #expect(ids.byName == ["b": 0, "a": 1, "c": 2])

        // "a" goes but an attachment refers to it; "b" goes for good, and its id is given on.
        ids.referenced = [1]
        let second = policy([
            Environment(name: "d", addresses: [prefix("10.10.4.0/24")]),
            Environment(name: "c", addresses: [prefix("10.10.3.0/24")]),
            Environment(name: "e", addresses: [prefix("10.10.5.0/24")]),
        ])
        let next = try reader(second, ids: ids)
        #expect(try next.environment(named: "d")?.id == 0)
        #expect(try next.environment(named: "c")?.id == 2)
        #expect(try next.environment(named: "e")?.id == 3)
        #expect(try next.environment(id: 1) == nil)
        #expect(try next.environment(named: "a") == nil)

        // And when "a" comes back, it is what it was.
        let third = try reader(first, ids: ids)
        #expect(try third.environment(named: "a")?.id == 1)
    }

    @Test func `an unused id is all zero`() throws {
        let ids = EnvironmentIDs(byName: ["a": 9], referenced: [3])
        let policy = policy([Environment(name: "a", addresses: [prefix("10.10.0.0/24")])])
        let image = try PolicyImage(compiling: policy, text: "", host: HostView(), ids: ids)
        let reader = try PolicyImageReader(image)
        #expect(reader.environmentCount == 10)
        // Four records of 64 words a page, right behind the header.
        let first = try #require(image.page(1))
        #expect(first.allSatisfy { $0 == 0 })
        #expect(try reader.environments().map(\.id) == [9])
    }

    @Test func `every name is found and no other`() throws {
        let names = (0..<1000).map { "env-\($0)" } + ["A", "a", "Z", "z", "a.b", "a-b", "a_b"]
        let environments = names.enumerated().map { number, name in
            Environment(
                name: name,
                addresses: [IPPrefix(holding: IPAddress(ipv4: 0x0a0a_0000 + UInt32(number)), length: 32)])
        }
        let image = try reader(policy(environments))
        for (id, name) in names.enumerated() { #expect(try image.environment(named: name)?.id == UInt32(id)) }
        for name in ["", "env-", "env-1000", "B", "a.", "zz"] { #expect(try image.environment(named: name) == nil) }
    }

    @Test func `how applications are known to others is kept`() throws {
        #expect(try reader(policy([])).identity == PublishedIdentity())
        for hostnames in ResolvedHostnames.allCases {
            var named = policy([])
            named.interface = "fifteen-bytes-0"
            named.hostnames = hostnames
            let identity = PublishedIdentity(interface: "fifteen-bytes-0", hostnames: hostnames)
            #expect(try reader(named).identity == identity)
        }
    }

    @Test func `the file and its name are kept`() throws {
        var policy = policy([])
        let text = String(repeating: "# ümläut und mehr\n", count: 500)
        #expect(try reader(policy, text: text).text() == text)
        #expect(try reader(policy, text: "").text().isEmpty)
        #expect(try reader(policy).source == "policy.yaml")
        policy.source = String(repeating: "x", count: 400)
        #expect(try reader(policy).source == String(repeating: "x", count: 255))
    }

    @Test func `ports that touch or overlap become one rule`() throws {
        let ports = (0..<200).map { (number: UInt16) in
            let first = 1000 + number * 2
            return PortRule(.tcp, first...first + 1)
        }
        let image = try reader(
            policy([
                Environment(
                    name: "a", addresses: [prefix("10.10.1.0/24")], permits: [Permit(to: "b", ports: ports)]),
                Environment(name: "b", addresses: [prefix("10.10.2.0/24")]),
            ]))
        let list = try #require(try image.permit(from: 0, to: .environment(1)))
        #expect(
            try image.list(list) == [PolicyImageReader.Rule(transport: 6, ports: 1000...1399, allows: true)])
        #expect(try image.permit(from: 1, to: .environment(0)) == nil)
    }

    @Test func `permits between the same two are one`() throws {
        let image = try reader(
            policy([
                Environment(
                    name: "a", addresses: [prefix("10.10.1.0/24")],
                    permits: [
                        Permit(to: "b", ports: [PortRule(.tcp, 80...80)]),
                        Permit(to: "b", ports: [PortRule(.udp, 53...53)]),
                    ]), Environment(name: "b", addresses: [prefix("10.10.2.0/24")]),
            ]))
        #expect(try image.permits().count == 1)
        #expect(try image.permits(from: 0, to: 1, at: address("10.10.2.9"), .tcp, 80))
        #expect(try image.permits(from: 0, to: 1, at: address("10.10.2.9"), .udp, 53))
        #expect(try !image.permits(from: 0, to: 1, at: address("10.10.2.9"), .udp, 80))
    }

    @Test func `a permit to an application covers its address only`() throws {
        let image = try reader(
            policy(
                [
                    Environment(
                        name: "a", addresses: [prefix("10.10.1.0/24")],
                        permits: [Permit(to: "b", application: "db"), Permit(to: "b", application: "later")]),
                    Environment(name: "b", addresses: [prefix("10.10.2.0/24")]),
                ],
                applications: [
                    Application(name: "db", environment: "b", addresses: addresses("10.10.2.5")),
                    Application(name: "later", environment: "b", addresses: nil),
                ]))
        #expect(try image.permits().map(\.to) == [.address(address("10.10.2.5"))])
        #expect(try image.permits(from: 0, to: 1, at: address("10.10.2.5"), .tcp, 5432))
        #expect(try !image.permits(from: 0, to: 1, at: address("10.10.2.6"), .tcp, 5432))
    }

    @Test func `a permit to an application covers each of its addresses`() throws {
        let image = try reader(
            policy(
                [
                    Environment(
                        name: "a", addresses: [prefix("10.10.1.0/24")], permits: [Permit(to: "b", application: "db")]),
                    Environment(name: "b", addresses: [prefix("10.10.2.0/24"), prefix("fd00:2::/64")]),
                ],
                applications: [
                    Application(name: "db", environment: "b", addresses: addresses("10.10.2.5", "fd00:2::5"))
                ]))
        #expect(try image.permits().count == 2)
        for covered in ["10.10.2.5", "fd00:2::5"] {
            #expect(try image.permits(from: 0, to: 1, at: address(covered), .tcp, 5432))
        }
        for other in ["10.10.2.6", "fd00:2::6"] {
            #expect(try !image.permits(from: 0, to: 1, at: address(other), .tcp, 5432))
        }
    }

    @Test func `equal lists are kept once`() throws {
        var table = RuleTable()
        var one = Traffic.none
        one.insert(PortRule(.tcp, 80...80))
        one.insert(PortRule(.tcp, 443...443))
        var other = Traffic.none
        other.insert(PortRule(.tcp, 443...443))
        other.insert(PortRule(.tcp, 80...80))
        #expect(try table.list(one, source: "", line: nil) == table.list(other, source: "", line: nil))
        #expect(table.rules.count == 4)
        #expect(try table.list(.none, source: "", line: nil) == 0)
        #expect(try table.list(.all, source: "", line: nil) == 1)
    }

    @Test func `too many port ranges name the line`() {
        let ports = (0..<65).map { (number: UInt16) in
            let port = 1000 + number * 2
            return PortRule(.tcp, port...port)
        }
        let policy = policy([
            Environment(
                name: "a", addresses: [prefix("10.10.1.0/24")], permits: [Permit(to: "b", ports: ports, line: 17)]),
            Environment(name: "b", addresses: [prefix("10.10.2.0/24")]),
        ])
        let error = #expect(throws: PolicyImageError.self) { try reader(policy) }
        // What suggestions keep to.
        #expect(error?.problem == .rules(count: 65, most: Suggestions.rangesAtMost))
        #expect(error?.description.hasPrefix("policy.yaml:17: ") == true)
    }

    @Test func `what does not fit is refused`() throws {
        let long = String(repeating: "n", count: 64)
        #expect(throws: PolicyImageError.self) {
            try reader(policy([Environment(name: long, addresses: [prefix("10.10.1.0/24")])]))
        }
        #expect(throws: PolicyImageError.self) {
            try reader(
                policy([
                    Environment(name: "a", addresses: [prefix("10.10.1.0/24")]),
                    Environment(name: "a", addresses: [prefix("10.10.2.0/24")]),
                ]))
        }
        #expect(throws: PolicyImageError.self) {
            try reader(
                policy([Environment(name: "a", addresses: [prefix("10.10.1.0/24")], permits: [Permit(to: "nobody")])]))
        }
        let interfaces = Dictionary(uniqueKeysWithValues: (1...17).map { ("eth\($0)", UInt32($0)) })
        #expect(throws: PolicyImageError.self) { try reader(policy([]), host: HostView(interfaces: interfaces)) }
    }

    @Test func `an image of another version is refused`() throws {
        var image = try PolicyImage(compiling: policy([]), text: "", host: HostView())
        image.words[1] += 1
        #expect(throws: BPFError.self) { try PolicyImageReader(image) }
    }

    @Test func `environments that say the same share a table`() throws {
        let remote = { (line: Int) in
            RemotePolicy(
                otherwise: false, rules: [RemoteRule(prefix: prefix("192.0.2.0/24"), allows: true, line: line)])
        }
        let image = try reader(
            policy([
                Environment(name: "a", addresses: [prefix("10.10.1.0/24")], remoteIn: remote(1), remoteOut: remote(2)),
                Environment(name: "b", addresses: [prefix("10.10.2.0/24")], remoteIn: remote(3)),
            ]))
        let a = try #require(try image.environment(named: "a"))
        let b = try #require(try image.environment(named: "b"))
        #expect(a.remoteIn == a.remoteOut)
        #expect(a.remoteIn == b.remoteIn)
        #expect(a.remoteIn != b.remoteOut)
    }

    @Test func `ten thousand environments with a network and a hundred thousand addresses of IPv6 compile in seconds`()
        throws
    {
        let environments = (0..<10_000).map { (number: UInt32) in
            let network = IPAddress(high: 0xfd00_0000_0000_0000 | UInt64(number) << 16, low: 0)
            let single = (0..<10).map { (offset: UInt64) in
                IPPrefix(IPAddress(high: 0xfd01_0000_0000_0000, low: offset << 40 | UInt64(number)))
            }
            return Environment(
                name: "env-\(number)", addresses: [IPPrefix(holding: network, length: 48)] + single)
        }
        let policy = Policy(addressSpace: [prefix("fd00::/8")], environments: environments)
        let clock = ContinuousClock()
        var compiled: PolicyImageReader?
        let time = try clock.measure { compiled = try reader(policy) }
        #expect(time < .seconds(30))
        let image = try #require(compiled)
        #expect(try image.owner(of: address("fd00:0:270f:ffff::1")) == .environment(9999, reserved: false))
        #expect(try image.owner(of: address("fd01::900:0:270f")) == .environment(9999, reserved: false))
        #expect(try image.owner(of: address("fd01::900:0:2710")) == .unassigned)
    }

    @Test func `ten thousand environments with a million addresses compile in seconds`() throws {
        let environments = (0..<10_000).map { (number: UInt32) in
            let addresses = (0..<100).map { (offset: UInt32) in
                IPPrefix(holding: IPAddress(ipv4: 0x0a00_0000 + offset * 10_000 + number), length: 32)
            }
            let port = UInt16(number)
            let permit = Permit(to: "env-\((number + 1) % 10_000)", ports: [PortRule(.tcp, port...port)])
            return Environment(name: "env-\(number)", addresses: addresses, permits: [permit])
        }
        let policy = Policy(addressSpace: [prefix("10.0.0.0/8")], environments: environments)
        let clock = ContinuousClock()
        var compiled: PolicyImageReader?
        let time = try clock.measure { compiled = try reader(policy) }
        // A release build needs a twentieth of a debug one.
        #expect(time < .seconds(30))
        let image = try #require(compiled)
        let owner = try image.owner(of: IPAddress(ipv4: 0x0a00_0000 + 123_456))
        #expect(owner == .environment(3456, reserved: false))
        #expect(try image.environment(named: "env-9999")?.id == 9999)
        #expect(try image.permits(from: 9999, to: 0, at: address("10.0.0.0"), .tcp, 9999))
        #expect(try !image.permits(from: 9999, to: 1, at: address("10.0.0.1"), .tcp, 9999))
    }
}
