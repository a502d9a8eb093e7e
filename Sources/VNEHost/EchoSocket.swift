internal import Glibc
public import PolicyModel

/// Sends echo requests of ICMP over IPv4 and hears their answers, in the caller's network namespace: icmp(7), raw(7).
///
/// An answer has to come from whom the request was sent to, and to have its identifier; what else it says is the other end's word.
public final class EchoSocket {
    /// An answer to a request.
    public struct Answer: Hashable, Sendable {
        /// Who answered.
        public var peer: IPAddress
        /// The size of the packet with all headers, in bytes.
        public var bytes: Int
        /// Since the request was sent.
        public var roundTrip: Duration
    }

    private let descriptor: Descriptor
    private let identifier = UInt16.random(in: .min ... .max)
    private var sequence: UInt16 = 0
    private var buffer = [UInt8](repeating: 0, count: 65536)

    /// The headers of IPv4 and ICMP, and the time that a request carries.
    public static let least = ipHeader + icmpHeader + 8
    private static let ipHeader = 20
    private static let icmpHeader = 8
    private static let echoReply: UInt8 = 0
    private static let echoRequest: UInt8 = 8

    /// A socket that hears nothing but answers.
    public init() throws(HostError) {
        let number = socket(
            AF_INET, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), Int32(IPPROTO_ICMP))
        guard number >= 0 else { throw .system("open", "a raw socket", hint: "It needs CAP_NET_RAW.") }
        descriptor = Descriptor.adopting(number)
        // linux/icmp.h: a bit for each type that is not heard.
        let icmpFilter: Int32 = 1
        try Self.set(number, SOL_RAW, icmpFilter, ~(1 << UInt32(Self.echoReply)))
        // Answers to all probes of a node may come at once.
        try Self.set(number, SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        // A packet that is too large for the device is not sent in parts.
        try Self.set(number, Int32(IPPROTO_IP), IP_MTU_DISCOVER, UInt32(IP_PMTUDISC_PROBE))
    }

    /// A descriptor that is readable while answers wait.
    public var number: Int32 { descriptor.number }

    /// Sends a request; says whether the kernel took it.
    /// - Parameters:
    ///   - bytes: the size of the packet with all headers, ``least`` or more.
    ///   - local: the source, an address of this namespace.
    public func send(to peer: IPAddress, from local: IPAddress, bytes: Int) -> Bool {
        sequence &+= 1
        var packet = [UInt8](repeating: 0, count: max(bytes, Self.least) - Self.ipHeader)
        packet[0] = Self.echoRequest
        Self.store(identifier, in: &packet, at: 4)
        Self.store(sequence, in: &packet, at: 6)
        let nanoseconds = UInt64(EngineEvents.now / .nanoseconds(1))
        for index in 0..<8 {
            packet[Self.icmpHeader + index] = UInt8(truncatingIfNeeded: nanoseconds >> UInt64(56 - 8 * index))
        }
        Self.store(Self.checksum(packet), in: &packet, at: 2)
        return transmit(packet, to: peer, from: local)
    }

    /// An answer that waits; nil if none does.
    public func receive() -> Answer? {
        while true {
            let number = descriptor.number
            let count = restarting {
                unsafe buffer.withUnsafeMutableBytes { unsafe recv(number, $0.baseAddress, $0.count, 0) }
            }
            guard count >= 0 else { return nil }
            if let answer = answer(in: buffer[..<count]) { return answer }
        }
    }

    private func answer(in packet: ArraySlice<UInt8>) -> Answer? {
        guard let first = packet.first else { return nil }
        let header = Int(first & 15) * 4
        guard packet.count >= header + Self.icmpHeader + 8, header >= Self.ipHeader else { return nil }
        let message = Array(packet[header...])
        guard message[0] == Self.echoReply, Self.word(message, at: 4) == identifier else { return nil }
        let sent = message[Self.icmpHeader..<Self.icmpHeader + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let peer = packet[12..<16].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let passed = EngineEvents.now - .nanoseconds(Int64(clamping: sent))
        // A time that was not sent is no time.
        guard passed >= .zero, passed < .seconds(60) else { return nil }
        return Answer(peer: IPAddress(ipv4: peer), bytes: packet.count, roundTrip: passed)
    }

    // MARK: -

    private func transmit(_ packet: [UInt8], to peer: IPAddress, from local: IPAddress) -> Bool {
        var end = sockaddr_in()
        end.sin_family = sa_family_t(AF_INET)
        end.sin_addr.s_addr = (peer.ipv4 ?? 0).bigEndian
        var information = in_pktinfo()
        information.ipi_spec_dst.s_addr = (local.ipv4 ?? 0).bigEndian
        // cmsg(3): a header, and what it is about, each at a multiple of a word.
        let headerSize = MemoryLayout<cmsghdr>.size
        var control = [UInt8](repeating: 0, count: headerSize + 16)
        var header = cmsghdr()
        header.cmsg_len = headerSize + MemoryLayout<in_pktinfo>.size
        header.cmsg_level = Int32(IPPROTO_IP)
        header.cmsg_type = Int32(IP_PKTINFO)
        unsafe control.withUnsafeMutableBytes { room in
            unsafe room.storeBytes(of: header, as: cmsghdr.self)
            unsafe room.storeBytes(of: information, toByteOffset: headerSize, as: in_pktinfo.self)
        }
        var packet = packet
        let number = descriptor.number
        let sent = unsafe packet.withUnsafeMutableBytes { bytes in
            unsafe control.withUnsafeMutableBytes { control in
                unsafe withUnsafeMutablePointer(to: &end) { end in
                    var part = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                    return unsafe withUnsafeMutablePointer(to: &part) { part in
                        var message = unsafe msghdr(
                            msg_name: UnsafeMutableRawPointer(end),
                            msg_namelen: socklen_t(MemoryLayout<sockaddr_in>.size), msg_iov: part, msg_iovlen: 1,
                            msg_control: control.baseAddress, msg_controllen: control.count, msg_flags: 0)
                        return restarting { unsafe sendmsg(number, &message, Int32(MSG_NOSIGNAL)) }
                    }
                }
            }
        }
        return sent == packet.count
    }

    private static func set(
        _ number: Int32, _ level: Int32, _ option: Int32, _ value: UInt32
    ) throws(HostError) {
        var value = value
        let result = unsafe setsockopt(number, level, option, &value, socklen_t(MemoryLayout<UInt32>.size))
        guard result == 0 else { throw .system("set up", "a raw socket") }
    }

    private static func store(_ word: UInt16, in bytes: inout [UInt8], at offset: Int) {
        bytes[offset] = UInt8(word >> 8)
        bytes[offset + 1] = UInt8(word & 255)
    }

    private static func word(_ bytes: [UInt8], at offset: Int) -> UInt16 {
        UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
    }

    /// The checksum of the Internet: RFC 1071.
    static func checksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: bytes.count, by: 2) {
            sum += UInt32(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
        }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return ~UInt16(sum)
    }
}
