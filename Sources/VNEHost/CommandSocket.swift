internal import Glibc

/// A stream socket with a path to a program that takes commands, a line each, and answers in lines. It never waits.
public final class CommandSocket {
    private let descriptor: Descriptor
    private let path: String
    private var received: [UInt8] = []

    /// Connects.
    public init(_ path: String) throws(HostError) {
        self.path = path
        let number = socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard number >= 0 else { throw .system("open", "a Unix socket") }
        descriptor = Descriptor.adopting(number)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count < room else {
            throw .unsupported("connect to", path, hint: "A socket's name has at most \(room - 1) bytes.")
        }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let connected = unsafe withUnsafePointer(to: address) { pointer in
            restarting {
                unsafe connect(
                    number, UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self),
                    socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard connected == 0 else { throw .system("connect to", path) }
    }

    /// A descriptor that is readable while something was said, or the other end is gone.
    public var number: Int32 { descriptor.number }

    /// Waits until something was said that ``lines()`` takes, or the other end is gone. Call it where waiting is allowed.
    /// - Parameter end: how long at most, by the monotonic clock (``EngineEvents/now``).
    public func wait(until end: Duration) throws(HostError) {
        while true {
            let left = end - EngineEvents.now
            guard left > .zero else { throw .system("hear from", path, code: ETIMEDOUT) }
            var watched = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
            let ready = unsafe poll(&watched, 1, Int32(clamping: Int(left / .milliseconds(1)) + 1))
            guard ready >= 0 || errno == EINTR else { throw .system("hear from", path) }
            if ready > 0 { return }
        }
    }

    /// Says a line, all of it or nothing.
    public func write(_ line: String) throws(HostError) {
        let bytes = Array(line.utf8) + [UInt8(ascii: "\n")]
        let number = descriptor.number
        let count = restarting {
            unsafe bytes.withUnsafeBytes { unsafe send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        }
        guard count == bytes.count else { throw .system("tell", path) }
    }

    /// The lines that were said since, without their ends. Throws once the other end is gone.
    public func lines() throws(HostError) -> [String] {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let number = descriptor.number
        while true {
            let count = restarting {
                unsafe buffer.withUnsafeMutableBytes { unsafe recv(number, $0.baseAddress, $0.count, 0) }
            }
            if count < 0, errno == EAGAIN { break }
            guard count > 0 else { throw .system("hear from", path, code: count == 0 ? ECONNRESET : errno) }
            received += buffer[..<count]
        }
        var lines: [String] = []
        while let end = received.firstIndex(of: UInt8(ascii: "\n")) {
            lines.append(String(decoding: received[..<end], as: UTF8.self))
            received.removeSubrange(...end)
        }
        return lines
    }
}
