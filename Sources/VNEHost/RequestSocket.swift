internal import Glibc

/// Where processes of root ask the daemon of an instance for something, a datagram each way: a Unix socket with a path, which
/// an application can use too, where bpf(2) is closed to it.
public final class RequestSocket {
    /// A question, and who wants the answer.
    public struct Request: Hashable, Sendable {
        /// What was asked.
        public var text: String
        /// The path of the socket that waits for the answer.
        public var sender: String
    }

    private let socket: LocalDatagramSocket
    private let path: String

    /// Listens for the daemon of an instance, whose lock the caller holds.
    public init(instance: String) throws(HostError) {
        path = Self.path(instance)
        socket = try LocalDatagramSocket()
        try socket.bind(path)
    }

    deinit { unsafe _ = unlink(path) }

    /// A descriptor that is readable while somebody asks.
    var descriptor: Int32 { socket.number }

    /// The questions that wait; those of nobody who could be answered are left out.
    func requests() -> [Request] {
        var requests: [Request] = []
        while let (bytes, sender) = socket.receive() {
            guard let sender, let text = String(validating: bytes, as: UTF8.self) else { continue }
            requests.append(Request(text: text, sender: sender))
        }
        return requests
    }

    /// Answers. Whoever no longer waits gets nothing.
    public func answer(_ text: String, to sender: String) {
        try? socket.send(Array(text.utf8), to: sender)
    }

    /// Asks the daemon of an instance, and waits for its answer until the monotonic clock has come to a time. A daemon that is
    /// not there yet is waited for. Nil if there was no answer in time.
    public static func ask(_ text: String, instance: String, until time: Duration) throws(HostError) -> String? {
        let own = "\(RunLock.directory)/\(instance).ask-\(getpid())"
        let socket = try LocalDatagramSocket()
        try socket.bind(own)
        defer { unsafe _ = unlink(own) }
        while HostEvents.now < time {
            do throws(HostError) {
                try socket.send(Array(text.utf8), to: path(instance))
            } catch {
                guard [ENOENT, ECONNREFUSED, EAGAIN].contains(error.code) else { throw error }
                usleep(20_000)
                continue
            }
            // A daemon that ends takes the question with it: the next one is asked again.
            let patience = min(time, HostEvents.now + .milliseconds(500))
            var watched = [pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0)]
            let ready = restarting { unsafe poll(&watched, 1, HostEvents.milliseconds(until: patience)) }
            if ready > 0, let (bytes, _) = socket.receive() { return String(decoding: bytes, as: UTF8.self) }
        }
        return nil
    }

    private static func path(_ instance: String) -> String { "\(RunLock.directory)/\(instance).socket" }
}
