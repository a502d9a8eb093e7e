import CLinux
import Glibc
import PolicyModel

@testable import VNEHost

/// Bytes as what the kernel answers by netlink, and hosts of a link say of addresses.
struct NetlinkInput {
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    func check() throws {
        for reply in (try? NetlinkReply.split(bytes)) ?? [] {
            _ = NetworkLink(reply)
            if let address = InterfaceAddress(reply) {
                try require(address.prefix.length <= address.prefix.family.width, "\(address) has too long a prefix")
            }
            for transport in [TransportProtocol.tcp, .udp] {
                guard let socket = ObservedSocket(reply, transport) else { continue }
                try require(
                    SocketDiagnostics.identity(of: socket).count, equals: 48, "the identity of \(socket.summary)")
            }
        }
        for family in AddressFamily.allCases {
            let etherType = NeighbourMessage.etherType(of: family)
            let said = NeighbourMessage(etherType: etherType, destination: .broadcast, payload: bytes).claimed
            try require(said?.family != .ipv6 || family == .ipv6, "an IPv6 address in ARP")
        }
        // The same as answers of a kernel: to every request that the program makes.
        let rtnetlink = Rtnetlink(Echo(bytes))
        _ = try? rtnetlink.link(named: "vne0")
        _ = try? rtnetlink.addresses()
        _ = try? rtnetlink.anycastAddresses()
        _ = try? rtnetlink.isLocal(IPAddress(rawValue: 1))
        _ = try? SocketDiagnostics(Echo(bytes)).sockets()
    }
}

/// Answers every request with the same datagrams, as if they were for it: each begins with its length, two bytes.
private final class Echo: NetlinkSocket {
    private let datagrams: [[UInt8]]
    private var next = 0
    private var sequence: [UInt8] = []

    init(_ bytes: [UInt8]) {
        var rest = bytes[...]
        var datagrams: [[UInt8]] = []
        while let length = rest.number(at: 0, as: UInt16.self) {
            datagrams.append(Array(rest.dropFirst(2).prefix(Int(length))))
            rest = rest.dropFirst(2 + Int(length))
        }
        self.datagrams = datagrams
    }

    func send(_ datagram: [UInt8]) {
        sequence = Array(datagram[8..<12])
        next = 0
    }

    func receive() throws(HostError) -> [UInt8] {
        guard next < datagrams.count else { throw .system("receive", "an answer", code: EIO) }
        defer { next += 1 }
        var datagram = datagrams[next]
        // The sequence number of the first message, wherever the others have theirs from.
        if datagram.count >= 16 { datagram.replaceSubrange(8..<12, with: sequence) }
        return datagram
    }
}
