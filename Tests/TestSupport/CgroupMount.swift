import Glibc

/// The cgroup2 hierarchy, and cgroups that tests make below its root.
///
/// A test's things are called `PREFIX-PROCESS-…`, so that whoever comes later knows whether their maker is gone.
public enum CgroupMount {
    /// Where cgroup2 is mounted, by `/proc/mounts`.
    public static let path: String? = {
        guard let file = unsafe fopen("/proc/mounts", "re") else { return nil }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 4096)
        while unsafe fgets(&line, Int32(line.count), file) != nil {
            let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                .split(separator: " ")
            if words.count > 2, words[2] == "cgroup2" { return String(words[1]) }
        }
        return nil
    }()

    /// Whether a name is one that a process made with this prefix (`vne-test-…-`), and the process is gone.
    public static func isLeft(_ name: String, prefix: String) -> Bool {
        guard name.hasPrefix(prefix), let process = pid_t(name.dropFirst(prefix.count).prefix { $0 != "-" }) else {
            return false
        }
        return kill(process, 0) != 0 && errno == ESRCH
    }

    /// Removes a cgroup below the root; waits for the last of its processes, which may be on its way out.
    public static func remove(_ name: String) {
        guard let path else { return }
        var patience = 500
        while unsafe rmdir("\(path)/\(name)") != 0, errno == EBUSY, patience > 0 {
            usleep(10_000)
            patience -= 1
        }
    }
}
