internal import CLinux
internal import Glibc

/// Carries netlink datagrams. The kernel's is ``KernelNetlinkSocket``; tests bring their own.
protocol NetlinkSocket {
    /// Sends one datagram.
    func send(_ datagram: [UInt8]) throws(HostError)
    /// Waits for one datagram.
    func receive() throws(HostError) -> [UInt8]
}

/// A netlink socket of a network namespace.
final class KernelNetlinkSocket: NetlinkSocket {
    private let descriptor: Descriptor
    private let name: String

    /// Opens a socket for a family of netlink (`NETLINK_ROUTE`, `NETLINK_SOCK_DIAG`), connected to the kernel: it takes
    /// nothing from other processes.
    /// - Parameter namespace: a file that names a network namespace; nil for the caller's own.
    init(family: Int32, in namespace: String? = nil) throws(HostError) {
        name = family == NETLINK_ROUTE ? "rtnetlink" : "sock_diag"
        let type = Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue)
        let number: Int32
        if let namespace {
            let file = try Descriptor.open(namespace)
            number = vne_socket_in(file.number, AF_NETLINK, type, family)
        } else {
            number = socket(AF_NETLINK, type, family)
        }
        guard number >= 0 else {
            guard errno == EPROTONOSUPPORT else { throw .system("open a netlink socket for", name) }
            throw .unsupported(
                "open a netlink socket for", name, code: errno, hint: "The kernel was built without it.")
        }
        descriptor = Descriptor.adopting(number)
        var address = sockaddr_nl()
        address.nl_family = sa_family_t(AF_NETLINK)
        let connected = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe connect(
                number, UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_nl>.size))
        }
        guard connected == 0 else { throw .system("connect", name) }
        // Sentences with errors, and no copy of the request; a kernel that knows neither is fine without them.
        for option in [NETLINK_EXT_ACK, NETLINK_CAP_ACK] {
            var one: Int32 = 1
            unsafe _ = setsockopt(number, SOL_NETLINK, Int32(option), &one, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    func send(_ datagram: [UInt8]) throws(HostError) {
        let count = restarting {
            unsafe datagram.withUnsafeBytes { unsafe Glibc.send(descriptor.number, $0.baseAddress, $0.count, 0) }
        }
        guard count == datagram.count else { throw .system("send a request to", name) }
    }

    func receive() throws(HostError) -> [UInt8] {
        // The kernel fills datagrams of at most 32 KiB.
        var count = 0
        let number = descriptor.number
        let datagram = unsafe [UInt8](unsafeUninitializedCapacity: 65536) { buffer, initialized in
            count = restarting { unsafe recv(number, buffer.baseAddress, buffer.count, Int32(MSG_TRUNC)) }
            initialized = min(max(count, 0), buffer.count)
        }
        guard count >= 0 else { throw .system("receive an answer from", name) }
        guard count == datagram.count else { throw .system("receive an answer from", name, code: EMSGSIZE) }
        return datagram
    }
}
