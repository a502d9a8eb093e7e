internal import Glibc

/// Waiting for descriptors: poll(2).
public enum Readiness {
    /// Waits until one of the descriptors has something to say, or the monotonic clock (``EngineEvents/now``) has come to a time.
    /// Says which have.
    public static func wait(for descriptors: [Int32], until time: Duration) -> Set<Int32> {
        var watched = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        // Rounded up: who waits for a time does not ask again and again before it.
        let left = (max(.zero, time - EngineEvents.now) / .milliseconds(1)).rounded(.up)
        let ready = unsafe poll(&watched, nfds_t(watched.count), Int32(min(left, 60_000)))
        guard ready > 0 else { return [] }
        return Set(watched.filter { $0.revents != 0 }.map(\.fd))
    }
}
