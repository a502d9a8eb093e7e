import Foundation
import PolicyModel
import Testing

/// Addresses and prefixes of both families, and their texts.
@Suite struct AddressTests {
    @Test(arguments: [
        // RFC 5952, sections 4 and 5.
        ("2001:0db8::0001", "2001:db8::1"), ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"),
        ("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:DB8::AbCd", "2001:db8::abcd"),
        ("0:0:0:0:0:0:0:0", "::"), ("0:0:0:0:0:0:0:1", "::1"), ("1:0:0:0:0:0:0:0", "1::"), ("1::", "1::"),
        ("0:1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7"), ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("0:0:3::", "0:0:3::"),
        ("::ffff:10.0.0.1", "10.0.0.1"), ("::FFFF:a00:1", "10.0.0.1"), ("0:0:0:0:0:ffff:1.2.3.4", "1.2.3.4"),
        ("::10.0.0.1", "::a00:1"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
        ("::ffff:0:1.2.3.4", "::ffff:0:102:304"),
        ("::fffe:1.2.3.4", "::fffe:102:304"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("1::5:1.2.3.4", "1::5:102:304"),
        ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("10.20.30.40", "10.20.30.40"),
    ])
    func `an address is written in one way, however it was read`(text: String, canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == canonical)
        #expect(IPAddress(canonical) == address)
        // A part of a text is as good as a text.
        #expect(IPAddress("x\(text)y".dropFirst().dropLast()) == address)
    }

    @Test(arguments: [
        "", ":", ":::", "1", "12345::", "::12345", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "1::2::3", ":1", "1:", ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", "1::2:",
        ":1::2", "g::", "::-1", "::+1", "::0x1", "fe80::1%eth0", "fe80::1%1", "[::1]", "::1/128", " ::1", "::1 ",
        "::1.2.3", "::1.2.3.4.5", "::1.2.3.256", "::01.2.3.4", "1.2.3.4::", "::1.2.3.4:5", "::1.2.3.4:",
        "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:1.2.3.4", "1:2:3:4:5:6::1.2.3.4:", "::a.2.3.4", "::1::", "：：1", "::１",
        "1.2.3.4:80", "0x7f.0.0.1", "127.1", "2130706433", "1.2.3.4.", ".1.2.3.4", "1.2.3.0004", "1.2.3.04", "1.2..4",
    ])
    func `what is no address is none`(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func `an IPv4 address is its mapped IPv6 address`() {
        let address = IPAddress(ipv4: 0x0a00_0001)
        #expect(address.rawValue == 0xffff_0a00_0001)
        #expect(address == ip("::ffff:10.0.0.1") && address == IPAddress(high: 0, low: 0xffff_0a00_0001))
        #expect(address.family == .ipv4 && address.ipv4 == 0x0a00_0001)
        #expect(ip("::fffe:10.0.0.1").family == .ipv6 && ip("::1:ffff:a00:1").ipv4 == nil)
        #expect(ip("0.0.0.0").isUnspecified && ip("::").isUnspecified)
        #expect(!ip("0.0.0.1").isUnspecified && !ip("::1").isUnspecified)
    }

    @Test func `bytes are in network order, four or sixteen`() {
        #expect(ip("10.0.0.1").networkBytes == [10, 0, 0, 1])
        #expect(ip("2001:db8::ff").networkBytes == [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff])
        #expect(IPAddress(networkBytes: [10, 0, 0, 1]) == ip("10.0.0.1"))
        #expect(IPAddress(networkBytes: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]) == ip("10.0.0.1"))
        for count in [0, 1, 3, 5, 8, 15, 17] {
            #expect(IPAddress(networkBytes: [UInt8](repeating: 1, count: count)) == nil)
        }
    }

    @Test(arguments: [
        ("10.10.0.0/16", "10.10.0.0/16", 112), ("10.10.0.1/32", "10.10.0.1", 128), ("0.0.0.0/0", "0.0.0.0/0", 96),
        ("fd00:10::/32", "fd00:10::/32", 32), ("::/0", "::/0", 0), ("::1/128", "::1", 128), ("FD00::1", "fd00::1", 128),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8", 104), ("::ffff:0:0/96", "0.0.0.0/0", 96),
        ("::ffff:1.2.3.4", "1.2.3.4", 128),
    ])
    func `a prefix is written in one way`(text: String, canonical: String, bits: Int) throws {
        let prefix = try #require(IPPrefix(text))
        #expect(prefix.description == canonical)
        #expect(prefix.bits == bits)
        #expect(IPPrefix(canonical) == prefix)
    }

    @Test func `a prefix holds its own family only`() {
        #expect(net("::/0").contains(ip("::1")) && !net("::/0").contains(ip("10.0.0.1")))
        #expect(!net("::/0").contains(net("10.0.0.0/8")) && !net("::/0").overlaps(net("0.0.0.0/0")))
        #expect(net("0.0.0.0/0").contains(ip("255.255.255.255")) && !net("0.0.0.0/0").contains(ip("::")))
        #expect(!net("0.0.0.0/0").contains(ip("::fffe:ffff:ffff")) && !net("0.0.0.0/0").contains(ip("::1:0:0:0")))
    }

    @Test func `a prefix knows its ends and its mask`() {
        #expect(net("10.0.0.0/24").mask == UInt128.max << 8)
        #expect(net("10.0.0.0/24").last == ip("10.0.0.255"))
        #expect(net("::/0").mask == 0 && net("::1").mask == .max)
        #expect(net("fd00::/64").last == ip("fd00::ffff:ffff:ffff:ffff"))
        #expect(IPPrefix(holding: ip("fd00::1"), length: 64) == net("fd00::/64"))
        #expect(IPPrefix(ip("fd00::1")) == net("fd00::1/128") && IPPrefix(ip("1.2.3.4")) == net("1.2.3.4/32"))
    }

    @Test func `prefixes sort by network, and what lies in one follows it`() {
        let sorted = [
            "::/0", "::/64", "::1", "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.0", "fd00::/32", "fd00::",
        ]
        #expect(sorted.reversed().map { net($0) }.sorted().map(\.description) == sorted)
    }

    @Test func `an application has one address of each family, and at least one`() throws {
        let (four, six) = (ip("10.0.0.1"), ip("fd00::1"))
        let both = try #require(ApplicationAddresses(ipv4: four, ipv6: six))
        #expect(both.all == [four, six] && both.description == "10.0.0.1, fd00::1")
        #expect(both == ApplicationAddresses([six, four]))
        #expect(both[.ipv4] == four && both[.ipv6] == six && both.families == [.ipv4, .ipv6])
        #expect(both.contains(six) && both.contains(four) && !both.contains(ip("fd00::2")))
        let one = ApplicationAddresses(six)
        #expect(one.all == [six] && one.ipv4 == nil && one[.ipv4] == nil && !one.contains(four))
        #expect(ApplicationAddresses(ipv4: nil, ipv6: nil) == nil)
        #expect(ApplicationAddresses(ipv4: six, ipv6: nil) == nil && ApplicationAddresses(ipv4: nil, ipv6: four) == nil)
        #expect(ApplicationAddresses([four, ip("10.0.0.2")]) == nil && ApplicationAddresses([IPAddress]()) == nil)
    }

    @Test func `an address is its text in JSON`() throws {
        for text in ["10.0.0.1", "fd00::1"] {
            let data = try JSONEncoder().encode([ip(text)])
            #expect(String(decoding: data, as: UTF8.self) == "[\"\(text)\"]")
            #expect(try JSONDecoder().decode([IPAddress].self, from: data) == [ip(text)])
        }
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode([IPAddress].self, from: Data("[\"fd00::/64\"]".utf8))
        }
    }
}

/// What loopback is to an application.
@Suite struct PrivateLoopbackTests {
    static let private7 = PrivateLoopback(ipv4: ip("127.7.9.0"), ipv6: ip("fd56:4e45::7"))

    @Test(arguments: [
        ("127.0.0.1", "127.7.9.1"), ("127.0.0.53", "127.7.9.53"), ("127.0.0.126", "127.7.9.126"),
        ("127.0.1.1", "127.7.9.129"), ("127.0.1.126", "127.7.9.254"), ("::1", "fd56:4e45::7"),
    ])
    func `what a program asks for is its own, and the other way round`(asked: String, own: String) {
        #expect(Self.private7.own(ip(asked)) == ip(own))
        #expect(Self.private7.asked(ip(own)) == ip(asked))
        #expect(Self.private7.contains(ip(own)) && !Self.private7.contains(ip(asked)))
    }

    @Test func `the wildcards are loopback to a connect`() {
        #expect(Self.private7.own(ip("0.0.0.0")) == ip("127.7.9.1"))
        #expect(Self.private7.own(ip("::")) == ip("fd56:4e45::7"))
        #expect(Self.private7.own(ip("::ffff:127.0.0.1")) == ip("127.7.9.1"))
    }

    @Test(arguments: [
        "127.0.0.0", "127.0.0.127", "127.0.0.128", "127.0.0.255", "127.0.1.0", "127.0.1.127", "127.0.1.255",
        "127.0.2.1",
        "127.1.0.1", "127.7.9.1", "127.255.255.255", "126.255.255.255", "128.0.0.1", "10.0.0.1", "::2", "fd56:4e45::7",
    ])
    func `an application has no other loopback address`(text: String) {
        #expect(Self.private7.own(ip(text)) == nil)
    }

    @Test(arguments: [
        "127.7.9.0", "127.7.9.127", "127.7.9.128", "127.7.9.255", "127.7.8.1", "127.7.10.1", "127.0.0.1", "::1", "::",
        "fd56:4e45::8", "10.7.9.1", "0.0.0.0",
    ])
    func `nothing else is on its own loopback`(text: String) {
        #expect(Self.private7.asked(ip(text)) == nil && !Self.private7.contains(ip(text)))
    }

    @Test func `own addresses are distinct, and none is of another block`() {
        var found: Set<IPAddress> = []
        for third in 0..<256 as Range<UInt32> {
            for host in 0..<256 as Range<UInt32> {
                guard let own = Self.private7.own(IPAddress(ipv4: 0x7f00_0000 | third << 8 | host)) else { continue }
                #expect(net("127.7.9.0/24").contains(own))
                found.insert(own)
            }
        }
        #expect(found.count == 252)
        for address in found { #expect(Self.private7.asked(address).flatMap(Self.private7.own) == address) }
    }
}

/// Services on loopback that are shared.
@Suite struct SharedServiceTests {
    @Test(arguments: ["127.0.0.1:11211", "[::1]:5353", "127.0.0.53:1", "10.0.0.1:65535"])
    func `a service is written as it was read`(text: String) throws {
        #expect(try #require(SharedService(text)).description == text)
    }

    @Test(arguments: [
        "", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:080", "127.0.0.1:65536", "127.0.0.1:+1",
        "[127.0.0.1]:80", "::1:80", "[::1]", "[::1]80", "[::1:80", "::1]:80", "[]:80", "[::1]:80 ", "localhost:80",
        "127.0.0.1:１", "127.0.0.1/32:80",
    ])
    func `anything else is none`(text: String) {
        #expect(SharedService(text) == nil)
    }

    @Test func `a mapped address is the IPv4 one`() {
        #expect(SharedService("[::ffff:127.0.0.1]:80")?.description == "127.0.0.1:80")
    }
}
