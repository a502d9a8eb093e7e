internal import CLinux
internal import Glibc

/// What a process that goes on is told by the host: files, cgroups, pins, addresses and signals.
public final class HostEvents {
    /// What was heard.
    public enum Event: Hashable, Sendable {
        /// Something changed in a directory that leads to the file.
        case file
        /// A cgroup that is listened for came or went.
        case cgroups
        /// A name in a directory that is listened to came or went.
        case directories
        /// An address of the namespace came or went.
        case addresses
        /// Somebody asks something of this process.
        case request(RequestSocket.Request)
        /// The text server has something to do.
        case clients
        /// SIGHUP.
        case reload
        /// SIGTERM or SIGINT.
        case stop
    }

    private let tree: CgroupTree
    private let file: NameWatch
    private let cgroups: NameWatch
    private let directories: NameWatch
    private let addresses: AddressWatch
    private let signals: SignalWatch
    private let requests: RequestSocket
    private let server: TextServer?

    /// Listens to signals, addresses, requests and a text server's clients. SIGPIPE is ignored from now on: a log that nobody reads ends no process.
    public init(requests: RequestSocket, server: TextServer? = nil) throws(HostError) {
        self.requests = requests
        self.server = server
        tree = try CgroupTree()
        file = try NameWatch()
        cgroups = try NameWatch()
        directories = try NameWatch()
        addresses = try AddressWatch()
        signals = try SignalWatch([SIGHUP, SIGTERM, SIGINT])
        _ = signal(SIGPIPE, SIG_IGN)
    }

    /// Listens for a file, for cgroups by their paths below the cgroup2 mount, and for names in directories; for nothing
    /// else of the kind. Says whether something is listened for that was not before.
    public func listen(
        file path: String, cgroups paths: Set<String>, directories names: [String: Set<String>?]
    ) throws(HostError) -> Bool {
        let news = [
            try file.listen(to: NameInterests.reading(path)),
            try cgroups.listen(to: NameInterests.leading(to: paths, below: tree.mountPath)),
            try directories.listen(to: names),
        ]
        return news.contains(true)
    }

    /// Waits until something is heard, or the monotonic clock has come to a time; says what.
    public func wait(until time: Duration) throws(HostError) -> Set<Event> {
        var watched = [
            file.descriptor.number, cgroups.descriptor.number, directories.descriptor.number,
            addresses.descriptor.number, signals.descriptor.number,
            requests.descriptor,
        ].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        let own = watched.count
        watched += server?.watched ?? []
        let wakeUp = min(time, server?.deadline ?? time)
        while true {
            let ready = unsafe poll(&watched, nfds_t(watched.count), Self.milliseconds(until: wakeUp))
            if ready == 0 { return wakeUp < time ? [.clients] : [] }
            guard ready > 0 || errno == EINTR else { throw .system("wait for", "events") }
            var heard: Set<Event> = []
            if try file.hear() { heard.insert(.file) }
            if try cgroups.hear() { heard.insert(.cgroups) }
            if try directories.hear() { heard.insert(.directories) }
            if try addresses.hear() { heard.insert(.addresses) }
            if watched[own...].contains(where: { $0.revents != 0 }) { heard.insert(.clients) }
            for request in requests.requests() { heard.insert(.request(request)) }
            for number in signals.pending() { heard.insert(number == SIGHUP ? .reload : .stop) }
            // What came was about names that matter to nobody.
            if !heard.isEmpty { return heard }
        }
    }

    /// Time of CLOCK_MONOTONIC.
    public static var now: Duration {
        var time = timespec()
        unsafe _ = clock_gettime(CLOCK_MONOTONIC, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// Rounded up, so that nobody is woken just before the time and waits again.
    static func milliseconds(until time: Duration) -> Int32 {
        let left = max(time - now, .zero).components
        return Int32(clamping: left.seconds * 1000 + (left.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
