internal import CLinux
internal import Glibc
public import PolicyModel

/// A TCP socket of a network namespace over which lines go back and forth, over IPv4.
///
/// Its calls wait, all but ``accept()`` no longer than they are told: call them where waiting is allowed.
public final class LineSocket: Sendable {
    private let descriptor: Descriptor
    private let name: String

    private init(_ descriptor: consuming Descriptor, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    /// Hears connections to a port of every address of a namespace.
    /// - Parameter namespace: a file that names it, as `ip netns add` leaves them.
    public static func listening(at port: UInt16, in namespace: String) throws(HostError) -> LineSocket {
        let socket = LineSocket(try make(in: namespace), name: "TCP port \(port) of \(namespace)")
        var yes: Int32 = 1
        unsafe _ = setsockopt(
            socket.descriptor.number, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        let number = socket.descriptor.number
        let bound = unsafe withSocketAddress(IPAddress(ipv4: 0), port) { unsafe bind(number, $0, $1) }
        guard bound == 0, listen(number, 64) == 0 else { throw .system("listen at", socket.name) }
        return socket
    }

    /// Connects from a namespace.
    /// - Parameter patience: how long the other end may take to answer.
    public static func connected(
        to address: IPAddress, _ port: UInt16, in namespace: String, patience: Duration
    ) throws(HostError) -> LineSocket {
        let socket = LineSocket(try make(in: namespace), name: "\(address), TCP port \(port)")
        socket.probe()
        // connect(2) takes the time to send for its own.
        socket.wait(at: SO_SNDTIMEO, patience)
        let number = socket.descriptor.number
        let result = restarting { unsafe withSocketAddress(address, port) { unsafe connect(number, $0, $1) } }
        guard result == 0 else {
            throw .system("connect to", socket.name, code: errno == EINPROGRESS ? ETIMEDOUT : errno)
        }
        return socket
    }

    /// The next connection, and who made it; nil once ``shut()`` was called. Waits for as long as there is none.
    public func accept() throws(HostError) -> (socket: LineSocket, peer: IPAddress)? {
        while true {
            var end = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let listener = descriptor.number
            let number = unsafe withUnsafeMutablePointer(to: &end) { pointer in
                restarting {
                    unsafe Glibc.accept(
                        listener, UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: sockaddr.self), &size)
                }
            }
            if number >= 0 {
                _ = fcntl(number, F_SETFD, FD_CLOEXEC)
                let peer = IPAddress(ipv4: UInt32(bigEndian: end.sin_addr.s_addr))
                return (LineSocket(Descriptor.adopting(number), name: "\(peer)"), peer)
            }
            switch errno {
            case EINVAL: return nil
            // Who connected is gone again.
            case ECONNABORTED, EPROTO: continue
            default: throw .system("accept at", name)
            }
        }
    }

    /// Ends ``accept()``, and whatever else waits.
    public func shut() {
        _ = shutdown(descriptor.number, Int32(SHUT_RDWR))
    }

    /// The other end's next line, without its end; nil if the connection ended, or the line is longer than that.
    /// - Parameters:
    ///   - limit: bytes.
    ///   - patience: how long the whole line may take.
    public func readLine(limit: Int, patience: Duration) throws(HostError) -> String? {
        let end = EngineEvents.now + patience
        var line: [UInt8] = []
        while line.count <= limit {
            guard let bytes = try receive(until: end) else { return nil }
            if let index = bytes.firstIndex(of: UInt8(ascii: "\n")) {
                line += bytes[..<index]
                return line.count <= limit ? String(decoding: line, as: UTF8.self) : nil
            }
            line += bytes
        }
        return nil
    }

    /// All that the other end says until it ends the connection; nil if that is longer than the limit.
    /// - Parameters:
    ///   - limit: bytes.
    ///   - patience: how long all of it may take.
    public func readAll(limit: Int, patience: Duration) throws(HostError) -> String? {
        let end = EngineEvents.now + patience
        var all: [UInt8] = []
        while all.count <= limit {
            guard let bytes = try receive(until: end) else { return String(decoding: all, as: UTF8.self) }
            all += bytes
        }
        return nil
    }

    /// What came next; nil once the connection ended.
    private func receive(until end: Duration) throws(HostError) -> ArraySlice<UInt8>? {
        let left = end - EngineEvents.now
        guard left > .zero else { throw .system("hear from", name, code: ETIMEDOUT) }
        wait(at: SO_RCVTIMEO, left)
        var bytes = [UInt8](repeating: 0, count: 65536)
        let number = descriptor.number
        let count = restarting {
            unsafe bytes.withUnsafeMutableBytes { unsafe recv(number, $0.baseAddress, $0.count, 0) }
        }
        guard count >= 0 else { throw .system("hear from", name, code: errno == EAGAIN ? ETIMEDOUT : errno) }
        return count > 0 ? bytes[..<count] : nil
    }

    /// Sends a line.
    /// - Parameter patience: how long the whole line may take.
    public func write(_ line: String, patience: Duration) throws(HostError) {
        let end = EngineEvents.now + patience
        var rest = Array(line.utf8)[...] + [UInt8(ascii: "\n")]
        while !rest.isEmpty {
            let left = end - EngineEvents.now
            guard left > .zero else { throw .system("tell", name, code: ETIMEDOUT) }
            wait(at: SO_SNDTIMEO, left)
            let number = descriptor.number
            let count = restarting {
                unsafe rest.withUnsafeBytes { unsafe send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            }
            guard count > 0 else { throw .system("tell", name, code: errno == EAGAIN ? ETIMEDOUT : errno) }
            rest = rest.dropFirst(count)
        }
    }

    // MARK: -

    private static func make(in namespace: String) throws(HostError) -> Descriptor {
        let file = try Descriptor.open(namespace)
        let number = vne_socket_in(
            file.number, AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), Int32(IPPROTO_TCP))
        guard number >= 0 else { throw .system("make a socket in", namespace) }
        return Descriptor.adopting(number)
    }

    /// Has the connection end soon after the other end is out of reach, also while nothing is said: after as many probes, a second
    /// each (tcp(7)).
    private func probe() {
        for (level, option, value) in [
            (SOL_SOCKET, SO_KEEPALIVE, 1), (Int32(IPPROTO_TCP), TCP_KEEPIDLE, 1),
            (Int32(IPPROTO_TCP), TCP_KEEPINTVL, 1),
            (Int32(IPPROTO_TCP), TCP_KEEPCNT, 3),
        ] {
            var value = Int32(value)
            unsafe _ = setsockopt(
                descriptor.number, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    private func wait(at option: Int32, _ time: Duration) {
        let (seconds, attoseconds) = time.components
        var value = timeval(tv_sec: Int(seconds), tv_usec: max(1, Int(attoseconds / 1_000_000_000_000)))
        unsafe _ = setsockopt(
            descriptor.number, SOL_SOCKET, option, &value, socklen_t(MemoryLayout<timeval>.size))
    }

    private static func withSocketAddress(
        _ address: IPAddress, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var end = sockaddr_in()
        end.sin_family = sa_family_t(AF_INET)
        end.sin_port = port.bigEndian
        end.sin_addr.s_addr = (address.ipv4 ?? 0).bigEndian
        return unsafe withUnsafePointer(to: end) {
            unsafe body(
                UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self), socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
}
