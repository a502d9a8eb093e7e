internal import CLinux
internal import Glibc

/// Waits, as a ``Companion``, to be told that something is wanted: by a byte on the standard input, or by SIGUSR1.
public final class Confirmation {
    /// What came of it.
    public enum Answer: Hashable, Sendable {
        case confirmed
        /// Nobody is left who could say so.
        case abandoned
        /// Nobody said so in time.
        case timeUp
    }

    private let lock: RunLock
    private let signals: SignalWatch

    /// Leaves the terminal's session, so that its end does not end this process. There is one for an instance at a time.
    public init(instance: String) throws(HostError) {
        lock = try RunLock(.trial, instance: instance)
        signals = try SignalWatch([SIGUSR1])
        _ = setsid()
        for number in [SIGHUP, SIGINT, SIGPIPE] { _ = signal(number, SIG_IGN) }
    }

    /// Waits until somebody answered, or nobody will, or the monotonic clock has come to a time.
    public func wait(until time: Duration) throws(HostError) -> Answer {
        while true {
            var watched = [
                pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals.descriptor.number, events: Int16(POLLIN), revents: 0),
            ]
            let ready = unsafe poll(&watched, nfds_t(watched.count), HostEvents.milliseconds(until: time))
            if ready == 0 { return .timeUp }
            guard ready > 0 || errno == EINTR else { throw .system("wait for", "the confirmation") }
            if watched[1].revents != 0, !signals.pending().isEmpty { return .confirmed }
            if watched[0].revents != 0 {
                var byte: UInt8 = 0
                return unsafe read(STDIN_FILENO, &byte, 1) == 1 ? .confirmed : .abandoned
            }
        }
    }

    /// Tells the one that waits for an instance that it is wanted; false if none does.
    public static func confirm(instance: String) throws(HostError) -> Bool {
        guard let holder = RunLock.holder(.trial, instance: instance).flatMap({ pid_t($0) }) else { return false }
        guard kill(holder, SIGUSR1) == 0 else { throw .system("tell", "process \(holder)") }
        return true
    }
}
