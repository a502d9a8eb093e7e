internal import CLinux
internal import Glibc

/// What a command that goes on waits for: something to read, signals, the time, and the end of whoever reads its output.
public final class CommandEvents {
    /// Why a wait has ended.
    public enum Event: Hashable, Sendable {
        /// There is something to read.
        case readable
        /// The time has come.
        case time
        /// The terminal has another size.
        case resized
        /// SIGINT or SIGTERM, or nobody reads the standard output any more.
        case stop
    }

    private let signals: SignalWatch

    /// Takes SIGINT, SIGTERM and SIGWINCH from now on.
    public init() throws(HostError) {
        signals = try SignalWatch([SIGINT, SIGTERM, SIGWINCH])
    }

    /// Waits for one of them; what is to be read comes last.
    /// - Parameters:
    ///   - descriptor: what may become readable; nil for nothing.
    ///   - time: of the monotonic clock.
    public func wait(reading descriptor: Int32? = nil, until time: Duration) throws(HostError) -> Event {
        while true {
            var watched = [
                pollfd(fd: signals.descriptor.number, events: Int16(POLLIN), revents: 0),
                // Only for its errors: a pipe whose other end was closed.
                pollfd(fd: STDOUT_FILENO, events: 0, revents: 0),
                // Without a descriptor the kernel passes over it.
                pollfd(fd: descriptor ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            let ready = unsafe poll(&watched, nfds_t(watched.count), HostEvents.milliseconds(until: time))
            guard ready >= 0 || errno == EINTR else { throw .system("wait for", "events") }
            if ready == 0 { return .time }
            let signals = signals.pending()
            if signals.contains(SIGINT) || signals.contains(SIGTERM) { return .stop }
            if watched[1].revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 { return .stop }
            if signals.contains(SIGWINCH) { return .resized }
            if watched[2].revents != 0 { return .readable }
        }
    }
}
