import PolicyModel
import Testing

@testable import VNEHost

/// Messages byte for byte, as tcpdump and the RFCs have them.
@Suite struct NeighbourMessageTests {
    private let hardware: HardwareAddress
    private let ipv4: IPAddress
    private let ipv6: IPAddress

    init() throws {
        hardware = try #require(HardwareAddress([0x02, 0, 0x5e, 0x10, 0, 1]))
        ipv4 = try #require(IPAddress("10.10.2.1"))
        ipv6 = try #require(IPAddress("fd00:10:10:2::1"))
    }

    @Test func `a probe for an IPv4 address says nobody's own`() {
        let probe = NeighbourMessage.probe(for: ipv4, from: hardware)
        #expect(probe.etherType == 0x0806)
        #expect(probe.destination.description == "ff:ff:ff:ff:ff:ff")
        // Ethernet, IPv4, 6 and 4 bytes, request; the sender without an address; the target without hardware.
        #expect(
            probe.payload
                == bytes("0001 0800 06 04 0001  02005e100001 00000000  000000000000 0a0a0201"))
    }

    @Test func `an announcement of an IPv4 address has it twice`() {
        #expect(
            NeighbourMessage.announcement(of: ipv4, from: hardware).payload
                == bytes("0001 0800 06 04 0001  02005e100001 0a0a0201  000000000000 0a0a0201"))
    }

    @Test func `a probe for an IPv6 address goes from nobody to those who may have it`() {
        let probe = NeighbourMessage.probe(for: ipv6, from: hardware)
        #expect(probe.etherType == 0x86dd)
        #expect(probe.destination.description == "33:33:ff:00:00:01")
        // IPv6 (24 bytes of ICMPv6, hop limit 255), :: to ff02::1:ff00:1; solicitation, checksum, target.
        #expect(
            probe.payload
                == bytes(
                    """
                    60000000 0018 3a ff 00000000000000000000000000000000 ff0200000000000000000001ff000001
                    87 00 7d83 00000000 fd000010001000020000000000000001
                    """))
    }

    @Test func `an announcement of an IPv6 address overrides what others remember`() {
        let announcement = NeighbourMessage.announcement(of: ipv6, from: hardware)
        #expect(announcement.destination.description == "33:33:00:00:00:01")
        // From the address to ff02::1; advertisement, checksum, override, target; the target's hardware address.
        #expect(
            announcement.payload
                == bytes(
                    """
                    60000000 0020 3a ff fd000010001000020000000000000001 ff020000000000000000000000000001
                    88 00 fc46 20000000 fd000010001000020000000000000001 0201 02005e100001
                    """))
    }

    @Test func `who has an address, or wants to have it, claims it`() throws {
        for address in [ipv4, ipv6] {
            #expect(NeighbourMessage.probe(for: address, from: hardware).claimed == address)
            #expect(NeighbourMessage.announcement(of: address, from: hardware).claimed == address)
        }
        // An answer to an ARP request, and an advertisement that was asked for.
        let reply = bytes("0001 0800 06 04 0002  02005e100001 0a0a0201  02005e100002 0a0a0209")
        #expect(NeighbourMessage(etherType: 0x0806, destination: .broadcast, payload: reply).claimed == ipv4)
    }

    @Test func `who only asks for an address does not claim it`() {
        let request = bytes("0001 0800 06 04 0001  02005e100001 0a0a0209  000000000000 0a0a0201")
        let asker = NeighbourMessage(etherType: 0x0806, destination: .broadcast, payload: request).claimed
        #expect(asker == IPAddress("10.10.2.9"))
        // A solicitation from somebody who has an address already.
        var solicitation = NeighbourMessage.probe(for: ipv6, from: hardware)
        solicitation.payload[23] = 7
        #expect(solicitation.claimed == nil)
    }

    @Test func `what is cut short, or comes from beyond the link, claims nothing`() {
        for address in [ipv4, ipv6] {
            let whole = NeighbourMessage.announcement(of: address, from: hardware)
            for length in 0..<(address.family == .ipv4 ? 28 : 64) {
                var cut = whole
                cut.payload = Array(whole.payload.prefix(length))
                #expect(cut.claimed == nil)
            }
        }
        var routed = NeighbourMessage.announcement(of: ipv6, from: hardware)
        routed.payload[7] = 254
        #expect(routed.claimed == nil)
    }
}

/// Bytes from hexadecimal; blanks and line ends are for the eye.
private func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.utf8.filter { $0 != 32 && $0 != 10 }
    return stride(from: 0, to: digits.count - 1, by: 2).compactMap {
        UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)
    }
}
