internal import CLinux
internal import Glibc

/// What a process that keeps engines running is told: that one of them ended, that addresses of the namespace came or went,
/// that a file changed, and signals.
public final class EngineEvents {
    /// What was heard.
    public enum Event: Hashable, Sendable {
        /// An address of the namespace came or went.
        case addresses
        /// A watched file came, went or changed.
        case file
        /// A watched process ended.
        case ended(Int32)
        /// SIGHUP.
        case reload
        /// SIGTERM or SIGINT.
        case stop
        /// Nothing, until the time had come.
        case silence
    }

    private var addresses: AddressWatch
    private let files: NameWatch
    /// The read end of the process's one pipe for signals, which stays open as long as it lives.
    private let signals: Int32
    private var processes: [Watched] = []

    private final class Watched {
        let process: pid_t
        let descriptor: Descriptor

        init(_ process: pid_t, _ descriptor: consuming Descriptor) {
            self.process = process
            self.descriptor = descriptor
        }
    }

    /// Listens to signals and addresses. Which thread the kernel gives a signal to is all the same.
    public init() throws(HostError) {
        addresses = try AddressWatch()
        files = try NameWatch()
        var pipe: Int32 = -1
        for number in [SIGHUP, SIGTERM, SIGINT] {
            pipe = vne_signal_pipe(number)
            guard pipe >= 0 else { throw .system("listen to", "signals") }
        }
        signals = pipe
        _ = signal(SIGPIPE, SIG_IGN)
    }

    /// Listens to addresses of a network namespace from now on; nil for the caller's.
    /// - Parameter namespace: a file that names it, as `ip netns add` leaves them.
    public func listen(in namespace: String?) throws(HostError) {
        addresses = try AddressWatch(namespace: namespace)
    }

    /// Listens to a file of a directory that is there from now on, and to no other one.
    public func listen(to file: String, in directory: String) throws(HostError) {
        _ = try files.listen(to: [directory: [file]])
    }

    /// The monotonic clock.
    public static var now: Duration {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    private func arrived() -> Set<Int32> {
        var numbers = [UInt8](repeating: 0, count: 64)
        let count = restarting { unsafe read(signals, &numbers, numbers.count) }
        return Set(numbers.prefix(max(count, 0)).map(Int32.init))
    }

    /// Watches these processes, and no others (pidfd_open(2), Linux 5.3).
    public func watch(_ wanted: [Int32]) throws(HostError) {
        processes.removeAll()
        for process in wanted {
            let number = vne_pidfd_open(process)
            guard number >= 0 else {
                // It has ended meanwhile: the next look finds that out.
                guard errno == ESRCH else { throw .system("watch", "process \(process)") }
                continue
            }
            processes.append(Watched(process, Descriptor.adopting(number)))
        }
    }

    /// Waits until something is heard, or the monotonic clock has come to a time.
    public func wait(until time: Duration) throws(HostError) -> Event {
        while true {
            let descriptors = [signals, addresses.descriptor.number, files.descriptor.number]
            var watched = (descriptors + processes.map { $0.descriptor.number }).map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            let left = time - Self.now
            guard left > .zero else { return .silence }
            let milliseconds = Int32(
                clamping: left / .milliseconds(1) < 1e6 ? Int(left / .milliseconds(1)) + 1 : 1_000_000)
            let ready = unsafe poll(&watched, nfds_t(watched.count), milliseconds)
            guard ready >= 0 || errno == EINTR else { throw .system("wait for", "events") }
            let pending = arrived()
            if !pending.isDisjoint(with: [SIGTERM, SIGINT]) { return .stop }
            if pending.contains(SIGHUP) { return .reload }
            if let index = watched.indices.dropFirst(descriptors.count).first(where: { watched[$0].revents != 0 }) {
                return .ended(processes.remove(at: index - descriptors.count).process)
            }
            if try addresses.hear() { return .addresses }
            if try files.hear() { return .file }
        }
    }
}
