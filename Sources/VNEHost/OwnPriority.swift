internal import Glibc

/// How soon this process gets its turn where all processors are busy.
public enum OwnPriority {
    /// Has this process, and those that it starts, be served before those that nobody gave a priority; as before where that is
    /// not allowed. To Linux each thread has its own, and passes it on to those that it begins (setpriority(2)): all that there
    /// are get it.
    public static func raise() {
        let threads = "/proc/self/task"
        let entries = (try? Descriptor.open(threads).entries(of: threads)) ?? []
        for thread in entries.compactMap({ id_t($0.name) }) {
            _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), thread, priority)
        }
    }

    /// After tunnels and routing, which have less.
    private static let priority: Int32 = -5
}
