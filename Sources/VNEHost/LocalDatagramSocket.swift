internal import CLinux
internal import Glibc

/// Datagrams between Unix sockets.
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
        let (address, size) = try Self.address(name, for: "send to")
        let number = descriptor.number
        let sent = unsafe withUnsafePointer(to: address) { pointer in
            let address = unsafe UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
            return restarting {
                unsafe datagram.withUnsafeBytes {
                    unsafe sendto(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL), address, socklen_t(size))
                }
            }
        }
        guard sent == datagram.count else { throw .system("send to", name) }
    }

    /// Receives at a path from now on, from processes of this user. What is there is removed.
    func bind(_ path: String) throws(HostError) {
        let (address, size) = try Self.address(path, for: "receive at")
        unsafe _ = unlink(path)
        let before = umask(0o177)
        defer { _ = umask(before) }
        let bound = unsafe withUnsafePointer(to: address) { pointer in
            unsafe Glibc.bind(
                number, UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self), socklen_t(size))
        }
        guard bound == 0 else { throw .system("receive at", path) }
    }

    /// The next datagram that waits, and the path of its sender if it has one; nil if none waits.
    func receive() -> (bytes: [UInt8], sender: String?)? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        var address = sockaddr_un()
        var size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let number = number
        let count = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            let address = unsafe UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
            return restarting {
                unsafe buffer.withUnsafeMutableBytes {
                    unsafe recvfrom(number, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT), address, &size)
                }
            }
        }
        guard count >= 0 else { return nil }
        let path = unsafe withUnsafeBytes(of: address.sun_path) { unsafe Array($0).prefix { $0 != 0 } }
        let sender = path.isEmpty || size <= 2 ? nil : String(decoding: path, as: UTF8.self)
        return (Array(buffer[..<count]), sender)
    }

    /// The descriptor's number.
    var number: Int32 { descriptor.number }

    /// The address of a path, or of an abstract name that begins with `@`.
    private static func address(
        _ name: String, for operation: String
    ) throws(HostError) -> (address: sockaddr_un, size: Int) {
        guard name.hasPrefix("/") || name.hasPrefix("@"), name.utf8.count > 1 else {
            throw .unsupported(operation, name, hint: "A socket's name begins with / or @.")
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        // The first byte of an abstract name is zero; its length ends it.
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count < room else {
            throw .unsupported(operation, name, hint: "A socket's name has at most \(room - 1) bytes.")
        }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let isAbstract = bytes[0] == 0
        return (address, MemoryLayout<sockaddr_un>.size - room + bytes.count + (isAbstract ? 0 : 1))
    }
}
