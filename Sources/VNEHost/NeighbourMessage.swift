internal import Glibc
internal import PolicyModel

/// The address of a network card, as Ethernet frames have it.
struct HardwareAddress: Hashable, CustomStringConvertible {
    let bytes: [UInt8]

    /// Six bytes; nil for any other number.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == 6 else { return nil }
        self.bytes = bytes
    }

    /// Every host of the link.
    static let broadcast = HardwareAddress(repeating: 0xff)
    static let zero = HardwareAddress(repeating: 0)

    /// The hosts that listen to a group of IPv6 (RFC 2464, section 7).
    static func group(_ address: IPAddress) -> HardwareAddress {
        HardwareAddress(bytes: [0x33, 0x33] + address.networkBytes.suffix(4))
    }

    private init(repeating byte: UInt8) {
        bytes = [UInt8](repeating: byte, count: 6)
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// `02:00:5e:10:00:01`.
    var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}

/// What hosts of a link tell each other of who has an address, as a pure value: ARP (RFC 826, 5227) for IPv4, neighbour
/// discovery (RFC 4861, 4862) for IPv6.
struct NeighbourMessage: Hashable {
    /// ETH_P_ARP or ETH_P_IPV6.
    var etherType: UInt16
    /// Whom the frame is for.
    var destination: HardwareAddress
    /// What follows the frame's header.
    var payload: [UInt8]

    /// The EtherType that carries a family's messages.
    static func etherType(of family: AddressFamily) -> UInt16 { family == .ipv4 ? arp : ipv6 }

    private static let arp: UInt16 = 0x0806
    private static let ipv4: UInt16 = 0x0800
    private static let ipv6: UInt16 = 0x86dd

    /// Asks who has an address, without saying that this host wants it for its own: nobody's table changes.
    static func probe(for address: IPAddress, from hardware: HardwareAddress) -> NeighbourMessage {
        guard address.family == .ipv6 else {
            return arpRequest(for: address, by: IPAddress(ipv4: 0), hardware)
        }
        // ff02::1:ff00:0/104 and the last 24 bits: the group of those who may have it.
        let group = IPAddress(
            high: 0xff02_0000_0000_0000, low: 0x1_ff00_0000 | UInt64(truncatingIfNeeded: address.rawValue) & 0xff_ffff)
        return neighbourDiscovery(
            [135, 0, 0, 0, 0, 0, 0, 0] + address.networkBytes, from: IPAddress(rawValue: 0), to: group)
    }

    /// Tells every host of the link that this one has an address: who had another one in its table takes this one.
    static func announcement(of address: IPAddress, from hardware: HardwareAddress) -> NeighbourMessage {
        guard address.family == .ipv6 else { return arpRequest(for: address, by: address, hardware) }
        // Override, and not in answer to a question; with the option of the target's link-layer address.
        let body: [UInt8] = [136, 0, 0, 0, 0x20, 0, 0, 0] + address.networkBytes + [2, 1] + hardware.bytes
        return neighbourDiscovery(
            body, from: address, to: IPAddress(high: 0xff02_0000_0000_0000, low: 1))
    }

    private static func arpRequest(
        for target: IPAddress, by sender: IPAddress, _ hardware: HardwareAddress
    ) -> NeighbourMessage {
        // Ethernet, IPv4, lengths of their addresses, request; then sender and target.
        let payload =
            bigEndian(1) + bigEndian(ipv4) + [6, 4] + bigEndian(1) + hardware.bytes + sender.networkBytes
            + HardwareAddress.zero.bytes + target.networkBytes
        return NeighbourMessage(etherType: arp, destination: .broadcast, payload: payload)
    }

    /// An ICMPv6 message in an IPv6 packet that no router has passed on, as the hop limit of 255 shows.
    private static func neighbourDiscovery(
        _ body: [UInt8], from source: IPAddress, to destination: IPAddress
    ) -> NeighbourMessage {
        let addresses = source.networkBytes + destination.networkBytes
        let length = bigEndian(UInt16(body.count))
        var message = body
        message.replaceSubrange(
            2..<4, with: bigEndian(checksum(addresses + [0, 0] + length + [0, 0, 0, 58] + body)))
        return NeighbourMessage(
            etherType: ipv6, destination: .group(destination),
            payload: [0x60, 0, 0, 0] + length + [58, 255] + addresses + message)
    }

    /// The Internet checksum (RFC 1071) of an even number of bytes.
    private static func checksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: bytes.count - 1, by: 2) {
            sum += UInt32(bytes[index]) << 8 | UInt32(bytes[index + 1])
        }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return ~UInt16(sum)
    }

    private static func bigEndian(_ number: UInt16) -> [UInt8] {
        [UInt8(number >> 8), UInt8(truncatingIfNeeded: number)]
    }

    /// The address that the sender of a message says it has, or asks for in order to have it; nil for any other message.
    var claimed: IPAddress? {
        etherType == Self.arp ? claimedByARP : etherType == Self.ipv6 ? claimedByNeighbourDiscovery : nil
    }

    private var claimedByARP: IPAddress? {
        let bytes = payload[...]
        guard bytes.count >= 28, bytes.bigEndian(at: 2, as: UInt16.self) == Self.ipv4, bytes[4] == 6, bytes[5] == 4,
            let operation = bytes.bigEndian(at: 6, as: UInt16.self), operation == 1 || operation == 2,
            let sender = bytes.bigEndian(at: 14, as: UInt32.self), let target = bytes.bigEndian(at: 24, as: UInt32.self)
        else { return nil }
        if sender != 0 { return IPAddress(ipv4: sender) }
        return operation == 1 ? IPAddress(ipv4: target) : nil
    }

    private var claimedByNeighbourDiscovery: IPAddress? {
        // ICMPv6 right behind the IPv6 header, from this link.
        guard payload.count >= 64, payload[0] >> 4 == 6, payload[6] == 58, payload[7] == 255 else { return nil }
        let isFromNobody = payload[8..<24].allSatisfy { $0 == 0 }
        guard payload[40] == 136 || (payload[40] == 135 && isFromNobody) else { return nil }
        return IPAddress(networkBytes: payload[48..<64])
    }
}
