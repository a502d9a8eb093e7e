internal import CLinux
internal import Glibc
internal import PolicyModel

/// Sends and hears what hosts of a link tell each other about addresses of one family. See packet(7).
///
/// No cgroup's programs see it, so neither does what an instance, or a service manager, attached to this process's cgroup.
final class PacketSocket {
    private let descriptor: Descriptor
    private let link: NetworkLink
    private let etherType: UInt16

    /// A socket on an interface that is up.
    init(_ family: AddressFamily, on link: NetworkLink) throws(HostError) {
        self.link = link
        etherType = NeighbourMessage.etherType(of: family)
        // Without a protocol it hears nothing until it is bound, behind its filter.
        let number = socket(AF_PACKET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard number >= 0 else {
            let isForbidden = [EPERM, EACCES, EAFNOSUPPORT].contains(errno)
            throw .system(
                Self.operation, link.name,
                hint: isForbidden
                    ? "It needs AF_PACKET and CAP_NET_RAW. The drop-in share/vne/link.conf gives them to vne-agent.service."
                    : nil)
        }
        descriptor = Descriptor.adopting(number)
        if family == .ipv6 {
            try Self.hearNeighbourDiscoveryOnly(number, link)
            // Who asks for an address in order to have it asks a group that this host is in only once it has it.
            var membership = packet_mreq()
            membership.mr_ifindex = Int32(bitPattern: link.index)
            membership.mr_type = UInt16(PACKET_MR_ALLMULTI)
            let added = unsafe setsockopt(
                number, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, socklen_t(MemoryLayout<packet_mreq>.size))
            guard added == 0 else { throw .system(Self.operation, link.name) }
        }
        let address = self.address(nil)
        let bound = unsafe withUnsafePointer(to: address) { pointer in
            unsafe bind(
                number, UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_ll>.size))
        }
        guard bound == 0 else { throw .system(Self.operation, link.name) }
    }

    private static let operation = "ask the hosts of the link of"

    /// Sends a message.
    func send(_ message: NeighbourMessage) throws(HostError) {
        let address = address(message.destination)
        let number = descriptor.number
        let sent = unsafe withUnsafePointer(to: address) { pointer in
            let address = unsafe UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
            return restarting {
                unsafe message.payload.withUnsafeBytes {
                    unsafe sendto(
                        number, $0.baseAddress, $0.count, 0, address, socklen_t(MemoryLayout<sockaddr_ll>.size))
                }
            }
        }
        // A full queue of the card is no failure: every message is sent more than once.
        guard sent == message.payload.count || errno == ENOBUFS || errno == EAGAIN else {
            throw .system("send to the link of", link.name, hint: errno == ENETDOWN ? "Bring it up first." : nil)
        }
    }

    /// The next message of another host that waits, and who sent it; nil if none waits.
    func receive() throws(HostError) -> (message: NeighbourMessage, sender: HardwareAddress)? {
        var buffer = [UInt8](repeating: 0, count: 1024)
        let number = descriptor.number
        while true {
            var address = sockaddr_ll()
            var size = socklen_t(MemoryLayout<sockaddr_ll>.size)
            let count = unsafe withUnsafeMutablePointer(to: &address) { pointer in
                let address = unsafe UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
                return restarting {
                    unsafe buffer.withUnsafeMutableBytes {
                        unsafe recvfrom(number, $0.baseAddress, $0.count, 0, address, &size)
                    }
                }
            }
            guard count >= 0 else {
                guard errno == EAGAIN else { throw .system("hear from the link of", link.name) }
                return nil
            }
            let hardware = unsafe withUnsafeBytes(of: address.sll_addr) { unsafe HardwareAddress(Array($0.prefix(6))) }
            // What this host sent is heard, too; a bridge may also send it back.
            guard Int32(address.sll_pkttype) != PACKET_OUTGOING, let hardware, hardware != link.hardware else {
                continue
            }
            return (
                NeighbourMessage(etherType: etherType, destination: .broadcast, payload: Array(buffer[..<count])),
                hardware
            )
        }
    }

    /// Waits until one of some sockets has heard something, or the monotonic clock has come to a time.
    static func wait(for sockets: [PacketSocket], until time: Duration) throws(HostError) {
        var watched = sockets.map { pollfd(fd: $0.descriptor.number, events: Int16(POLLIN), revents: 0) }
        let ready = unsafe poll(&watched, nfds_t(watched.count), HostEvents.milliseconds(until: time))
        guard ready >= 0 || errno == EINTR else { throw .system("hear from", "a link") }
    }

    private func address(_ destination: HardwareAddress?) -> sockaddr_ll {
        var address = sockaddr_ll()
        address.sll_family = UInt16(AF_PACKET)
        address.sll_protocol = etherType.bigEndian
        address.sll_ifindex = Int32(bitPattern: link.index)
        address.sll_halen = 6
        if let destination {
            unsafe withUnsafeMutableBytes(of: &address.sll_addr) { unsafe $0.copyBytes(from: destination.bytes) }
        }
        return address
    }

    /// Keeps the rest of IPv6 away: a busy link would fill the queue.
    private static func hearNeighbourDiscoveryOnly(_ number: Int32, _ link: NetworkLink) throws(HostError) {
        let load = UInt16(BPF_LD | BPF_B | BPF_ABS)
        let isEqual = UInt16(BPF_JMP | BPF_JEQ | BPF_K)
        let end = UInt16(BPF_RET | BPF_K)
        var program = [
            sock_filter(code: load, jt: 0, jf: 0, k: 6), sock_filter(code: isEqual, jt: 0, jf: 4, k: 58),
            sock_filter(code: load, jt: 0, jf: 0, k: 40), sock_filter(code: isEqual, jt: 1, jf: 0, k: 135),
            sock_filter(code: isEqual, jt: 0, jf: 1, k: 136), sock_filter(code: end, jt: 0, jf: 0, k: 1024),
            sock_filter(code: end, jt: 0, jf: 0, k: 0),
        ]
        let count = UInt16(program.count)
        let attached = unsafe program.withUnsafeMutableBufferPointer { buffer in
            var filter = unsafe sock_fprog(len: count, filter: buffer.baseAddress)
            return unsafe setsockopt(
                number, SOL_SOCKET, SO_ATTACH_FILTER, &filter, socklen_t(MemoryLayout<sock_fprog>.size))
        }
        guard attached == 0 else { throw .system(operation, link.name) }
    }
}
