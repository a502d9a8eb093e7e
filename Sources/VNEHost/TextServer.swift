internal import CLinux
internal import Glibc

/// Answers `GET /metrics` with one text, over HTTP/1.1, beside whatever else its process does.
///
/// It never waits: it reads and writes what is there, and the process's own wait tells when there is more. A connection has
/// one request and ``patience`` to send it and to take the answer. There are at most ``limit`` of them; the oldest one makes
/// room. The text is made at most once in ``freshness``, however often it is asked for.
public final class TextServer {
    /// Connections at a time.
    static let limit = 16
    /// How long a connection lives.
    static let patience: Duration = .seconds(5)
    /// How long a text is as good as a new one.
    static let freshness: Duration = .milliseconds(500)
    /// Longest request.
    private static let requestLimit = 8192

    private let listener: Descriptor
    private let path: String?
    private var connections: [Connection] = []
    private var made: (response: [UInt8], time: Duration)?

    private final class Connection {
        let descriptor: Descriptor
        let end: Duration
        var request: [UInt8] = []
        /// What is left to send; nil until the request is complete.
        var response: ArraySlice<UInt8>?

        init(_ descriptor: consuming Descriptor, until end: Duration) {
            self.descriptor = descriptor
            self.end = end
        }
    }

    /// Listens from now on. A Unix socket is this user's alone.
    public init(at place: TextPlace) throws(HostError) {
        switch place {
        case .loopback(let address, let port):
            listener = try Self.listen(address, port, name: "\(place)")
            path = nil
        case .unix(let path):
            listener = try Self.listen(path)
            self.path = path
        }
    }

    deinit {
        if let path { unsafe _ = unlink(path) }
    }

    /// What the process has to wait for.
    var watched: [pollfd] {
        [pollfd(fd: listener.number, events: Int16(POLLIN), revents: 0)]
            + connections.map {
                pollfd(fd: $0.descriptor.number, events: Int16($0.response == nil ? POLLIN : POLLOUT), revents: 0)
            }
    }

    /// When there is something to do even if nothing is heard.
    var deadline: Duration? { connections.map(\.end).min() }

    /// Takes what came, and answers; `text` is asked for if somebody wants it and it has grown old. A text that cannot be
    /// had is an error of the server.
    public func serve(_ text: () throws -> String) {
        accept()
        let now = HostEvents.now
        connections.removeAll { connection in
            if connection.response == nil, !read(connection) { return true }
            if connection.response == nil, let status = Self.judge(connection.request) {
                connection.response = (status == nil ? content(at: now, text) : Self.response(status ?? ""))[...]
            }
            return !write(connection) || connection.end <= now
        }
    }

    private func content(at now: Duration, _ text: () throws -> String) -> [UInt8] {
        if let made, now - made.time < Self.freshness { return made.response }
        do {
            let response = Self.response("200 OK", body: try text())
            made = (response, now)
            return response
        } catch {
            return Self.response("503 Service Unavailable", body: "\(error)\n")
        }
    }

    // MARK: - HTTP

    /// What a request is answered with: nil while it is not complete, else an error's status, and within nil for the text.
    private static func judge(_ request: [UInt8]) -> String?? {
        let text = String(decoding: request, as: UTF8.self)
        guard text.contains("\r\n\r\n") || text.contains("\n\n") else {
            return request.count < requestLimit ? nil : .some("431 Request Header Fields Too Large")
        }
        let line = text.prefix { !$0.isNewline }.split(separator: " ", omittingEmptySubsequences: false)
        guard line.count == 3, line[2].hasPrefix("HTTP/1."), line[1].hasPrefix("/") else {
            return .some("400 Bad Request")
        }
        guard line[1].prefix(while: { $0 != "?" }) == "/metrics" else { return .some("404 Not Found") }
        return line[0] == "GET" ? .some(nil) : .some("405 Method Not Allowed")
    }

    private static func response(_ status: String, body: String? = nil) -> [UInt8] {
        let body = body ?? "\(status): GET /metrics\n"
        var lines = [
            "HTTP/1.1 \(status)", "Content-Type: text/plain; version=0.0.4; charset=utf-8",
            "Content-Length: \(body.utf8.count)", "Connection: close",
        ]
        if status.hasPrefix("405") { lines.append("Allow: GET") }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n" + body).utf8)
    }

    // MARK: - Sockets

    private func accept() {
        while true {
            let number = restarting { Glibc.accept(listener.number, nil, nil) }
            guard number >= 0 else { return }
            _ = fcntl(number, F_SETFD, FD_CLOEXEC)
            if connections.count == Self.limit { connections.removeFirst() }
            connections.append(Connection(Descriptor.adopting(number), until: HostEvents.now + Self.patience))
        }
    }

    /// Reads what is there; false if the other end is gone.
    private func read(_ connection: Connection) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 2048)
        while connection.request.count < Self.requestLimit {
            let count = restarting {
                unsafe bytes.withUnsafeMutableBytes {
                    unsafe recv(connection.descriptor.number, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
                }
            }
            if count < 0 { return errno == EAGAIN }
            if count == 0 { return false }
            connection.request += bytes[..<count]
        }
        return true
    }

    /// Writes what there is room for; false once all is written, or the other end is gone.
    private func write(_ connection: Connection) -> Bool {
        while let rest = connection.response, !rest.isEmpty {
            let count = restarting {
                unsafe rest.withUnsafeBytes {
                    unsafe send(
                        connection.descriptor.number, $0.baseAddress, $0.count,
                        Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
                }
            }
            if count < 0 { return errno == EAGAIN }
            connection.response = rest.dropFirst(count)
        }
        guard connection.response != nil else { return true }
        drain(connection)
        return false
    }

    /// Takes what was sent beyond the request: closing a socket that has something unread would take the answer back.
    private func drain(_ connection: Connection) {
        var bytes = [UInt8](repeating: 0, count: 4096)
        for _ in 0..<16 {
            let count = unsafe bytes.withUnsafeMutableBytes {
                unsafe recv(connection.descriptor.number, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
            }
            guard count > 0 else { return }
        }
    }

    private static func listen(_ address: String, _ port: UInt16, name: String) throws(HostError) -> Descriptor {
        let isIPv6 = address.contains(":")
        let listener = try make(isIPv6 ? AF_INET6 : AF_INET, name)
        var yes: Int32 = 1
        unsafe _ = setsockopt(listener.number, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        let number = listener.number
        let bound: Int32
        if isIPv6 {
            var end = sockaddr_in6()
            end.sin6_family = sa_family_t(AF_INET6)
            end.sin6_port = port.bigEndian
            unsafe _ = inet_pton(AF_INET6, address, &end.sin6_addr)
            bound = unsafe withUnsafePointer(to: end) {
                unsafe bind(
                    number, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
                    socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        } else {
            var end = sockaddr_in()
            end.sin_family = sa_family_t(AF_INET)
            end.sin_port = port.bigEndian
            unsafe _ = inet_pton(AF_INET, address, &end.sin_addr)
            bound = unsafe withUnsafePointer(to: end) {
                unsafe bind(
                    number, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
                    socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard bound == 0, Glibc.listen(number, Int32(limit)) == 0 else { throw .system("serve metrics at", name) }
        return listener
    }

    private static func listen(_ path: String) throws(HostError) -> Descriptor {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < room else {
            throw .unsupported("serve metrics at", path, hint: "A socket's path has at most \(room - 1) bytes.")
        }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        // What an earlier process left, and nothing else.
        var found = stat()
        if unsafe lstat(path, &found) == 0, found.st_mode & S_IFMT == S_IFSOCK { unsafe _ = unlink(path) }
        let listener = try make(AF_UNIX, path)
        let number = listener.number
        let before = umask(0o177)
        defer { _ = umask(before) }
        let bound = unsafe withUnsafePointer(to: address) {
            unsafe bind(
                number, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_un>.size))
        }
        guard bound == 0, Glibc.listen(number, Int32(limit)) == 0 else { throw .system("serve metrics at", path) }
        return listener
    }

    private static func make(_ family: Int32, _ name: String) throws(HostError) -> Descriptor {
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let number = socket(family, Int32(kind), 0)
        guard number >= 0 else { throw .system("serve metrics at", name) }
        return Descriptor.adopting(number)
    }
}
