internal import Glibc

/// How soon this process gets its turn where all processors are busy.
public enum OwnPriority {
    /// Has this process, and those that it starts, be served before those that nobody gave a priority; as before where that is
    /// not allowed. See setpriority(2).
    public static func raise() { _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, -5) }
}
