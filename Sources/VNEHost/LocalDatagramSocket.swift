internal import Glibc

/// Sends datagrams to Unix sockets.
final class LocalDatagramSocket {
    private let descriptor: Descriptor

    init() throws(HostError) {
        let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { throw .system("open", "a Unix socket") }
        descriptor = Descriptor.adopting(number)
        // Whoever does not read keeps nobody waiting for long.
        var limit = timeval(tv_sec: 1, tv_usec: 0)
        unsafe _ = setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Sends to a path, or to an abstract name that begins with `@`; waits a second at most.
    func send(_ datagram: [UInt8], to name: String) throws(HostError) {
        guard name.hasPrefix("/") || name.hasPrefix("@"), name.utf8.count > 1 else {
            throw .unsupported("send to", name, hint: "A socket's name begins with / or @.")
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        // The first byte of an abstract name is zero; its length ends it.
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count < room else {
            throw .unsupported("send to", name, hint: "A socket's name has at most \(room - 1) bytes.")
        }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let isAbstract = bytes[0] == 0
        let size = MemoryLayout<sockaddr_un>.size - room + bytes.count + (isAbstract ? 0 : 1)
        let number = descriptor.number
        let sent = unsafe withUnsafePointer(to: &address) { pointer in
            let address = unsafe UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
            return restarting {
                unsafe datagram.withUnsafeBytes {
                    unsafe sendto(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL), address, socklen_t(size))
                }
            }
        }
        guard sent == datagram.count else { throw .system("send to", name) }
    }
}
