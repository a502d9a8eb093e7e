import Glibc
import PolicyModel

/// A socket of a test's own.
final class SocketFixture {
    let descriptor: Int32
    let family: Int32

    /// Inheritable unless `closeOnExec`.
    init(
        _ family: Int32 = AF_INET, _ type: __socket_type = SOCK_STREAM, protocol number: Int32 = 0,
        closeOnExec: Bool = true
    )
        throws
    {
        self.family = family
        let flags = closeOnExec ? SOCK_CLOEXEC.rawValue : 0
        descriptor = socket(family, Int32(type.rawValue | flags), number)
        guard descriptor >= 0 else { throw SystemError(call: "socket", code: errno) }
    }

    /// A socket of an address's family.
    convenience init(of address: IPAddress, _ type: __socket_type = SOCK_STREAM) throws {
        try self.init(address.family == .ipv4 ? AF_INET : AF_INET6, type)
    }

    /// Takes over an accepted descriptor.
    private init(adopting descriptor: Int32, _ family: Int32) {
        self.descriptor = descriptor
        self.family = family
    }

    deinit {
        close(descriptor)
    }

    /// Binds to an address; an IPv6 socket to an IPv4 one in its mapped form.
    @discardableResult
    func bound(to text: String, port: UInt16 = 0) throws -> Self {
        let code = try unsafe withAddress(text, port) { unsafe bind(descriptor, $0, $1) }
        guard code == 0 else { throw SystemError(call: "bind", code: errno) }
        return self
    }

    @discardableResult
    func connected(to text: String, port: UInt16) throws -> Self {
        let code = try unsafe withAddress(text, port) { unsafe connect(descriptor, $0, $1) }
        guard code == 0 else { throw SystemError(call: "connect", code: errno) }
        return self
    }

    @discardableResult
    func listening() throws -> Self {
        guard listen(descriptor, 16) == 0 else { throw SystemError(call: "listen", code: errno) }
        return self
    }

    func accepted() throws -> SocketFixture {
        let number = accept(descriptor, nil, nil)
        guard number >= 0 else { throw SystemError(call: "accept", code: errno) }
        return SocketFixture(adopting: number, family)
    }

    func setOption(_ name: Int32) {
        var one: Int32 = 1
        unsafe _ = setsockopt(descriptor, SOL_SOCKET, name, &one, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Sends a byte to the peer; false if that fails.
    func send() -> Bool {
        var byte: UInt8 = 0
        return unsafe Glibc.send(descriptor, &byte, 1, 0) == 1
    }

    /// Whether something comes within a second.
    var hasInput: Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&entry, 1, 1000) == 1
    }

    /// `errno` of the next receive; 0 if something came or the peer closed.
    func receiveError() -> Int32 {
        var byte: UInt8 = 0
        return unsafe recv(descriptor, &byte, 1, 0) < 0 ? errno : 0
    }

    /// SO_ERROR, which reading clears.
    var pendingError: Int32 {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &value, &size) == 0 ? value : errno
    }

    /// The local port.
    var port: UInt16 {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            let raw = UnsafeMutableRawPointer(pointer)
            unsafe _ = getsockname(descriptor, raw.assumingMemoryBound(to: sockaddr.self), &size)
            // The port lies at the same place in both families.
            return unsafe UInt16(bigEndian: raw.load(fromByteOffset: 2, as: UInt16.self))
        }
    }

    /// The inode that `/proc/PID/fd` shows.
    var inode: UInt64 {
        var status = stat()
        unsafe _ = fstat(descriptor, &status)
        return UInt64(status.st_ino)
    }

    private func withAddress(
        _ text: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws -> Int32 {
        if family == AF_INET6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            let name = text.contains(":") ? text : "::ffff:\(text)"
            guard unsafe inet_pton(AF_INET6, name, &address.sin6_addr) == 1 else {
                throw SystemError(call: "inet_pton", code: 0)
            }
            return unsafe withUnsafePointer(to: &address) {
                unsafe body(
                    UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
                    socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard unsafe inet_pton(AF_INET, text, &address.sin_addr) == 1 else {
            throw SystemError(call: "inet_pton", code: 0)
        }
        return unsafe withUnsafePointer(to: &address) {
            unsafe body(
                UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self), socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
}
