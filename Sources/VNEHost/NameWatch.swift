internal import CLinux
internal import Glibc

/// Hears that names in directories come, go or change, by inotify(7).
///
/// It tells that something happened, not what: whoever hears it looks. So events that are lost, or come twice, do no harm.
///
/// Cgroups and pins are names like others: the kernel tells of `mkdir`, `rmdir` and `unlink` in cgroup2 and in the BPF file
/// system. What it does by itself there, without such a call, it does not tell.
final class NameWatch {
    /// A descriptor that is readable while something waits to be heard.
    let descriptor: Descriptor
    /// The directories, and which of their names matter; nil for all.
    private var interests: [String: Set<String>?] = [:]
    /// What is listened to: a directory, or several paths that lead to it.
    private var heard: [Int32: [String]] = [:]
    /// Directories that were not there, or are gone.
    private var missing: Set<String> = []

    init() throws(HostError) {
        let number = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        guard number >= 0 else {
            throw .system("listen for changes of", "directories", hint: "fs.inotify.max_user_instances may be too low.")
        }
        descriptor = Descriptor.adopting(number)
    }

    /// Listens to these directories and to no others. Says whether one is listened to that was not before.
    ///
    /// One that is not there is passed over; whoever wants it when it comes names it in the directory above.
    func listen(to interests: [String: Set<String>?]) throws(HostError) -> Bool {
        if interests != self.interests {
            self.interests = interests
            for (watch, paths) in heard {
                let left = paths.filter { interests[$0] != nil }
                heard[watch] = left.isEmpty ? nil : left
                if left.isEmpty { _ = inotify_rm_watch(descriptor.number, watch) }
            }
            missing = Set(interests.keys).subtracting(heard.values.joined())
        }
        var isNew = false
        // Shorter ones first: a directory that comes after it was found missing is heard of in the one above.
        for path in missing.sorted(by: { $0.utf8.count < $1.utf8.count }) {
            let watch = unsafe inotify_add_watch(descriptor.number, path, Self.mask)
            guard watch >= 0 else {
                guard errno == ENOENT || errno == ENOTDIR else {
                    throw .system(
                        "listen for changes of", path,
                        hint: errno == ENOSPC ? "Raise fs.inotify.max_user_watches." : nil)
                }
                continue
            }
            missing.remove(path)
            heard[watch, default: []].append(path)
            isNew = true
        }
        return isNew
    }

    /// Takes what was heard; says whether something of it matters.
    func hear() throws(HostError) -> Bool {
        var matters = false
        var buffer = [UInt8](repeating: 0, count: 16384)
        while true {
            let number = descriptor.number
            let count = restarting {
                unsafe buffer.withUnsafeMutableBytes { unsafe read(number, $0.baseAddress, $0.count) }
            }
            guard count > 0 else {
                guard count == 0 || errno == EAGAIN else { throw .system("hear of changes of", "directories") }
                return matters
            }
            var rest = buffer[..<count]
            // struct inotify_event: watch, mask, cookie, length of the name, and the name with zeros behind it.
            while let watch = rest.number(at: 0, as: Int32.self), let mask = rest.number(at: 4, as: UInt32.self),
                let length = rest.number(at: 12, as: UInt32.self)
            {
                let end = min(rest.startIndex + 16 + Int(length), rest.endIndex)
                let name = rest[(rest.startIndex + 16)..<end].text
                if matter(watch: watch, mask: mask, name: name) { matters = true }
                rest = rest[end...]
            }
        }
    }

    private func matter(watch: Int32, mask: UInt32, name: String) -> Bool {
        if mask & UInt32(IN_Q_OVERFLOW) != 0 { return true }
        guard let paths = heard[watch] else { return false }
        if mask & UInt32(IN_IGNORED) != 0 {
            heard[watch] = nil
            missing.formUnion(paths)
            return true
        }
        var matters = false
        for path in paths {
            guard let names = interests[path], names?.contains(name) ?? true else { continue }
            matters = true
            // The directory of that name may be another one now, and the kernel does not always tell that the old one went.
            let child = NameInterests.path(of: name, in: path)
            if interests[child] != nil { forget(child) }
        }
        return matters
    }

    /// Has a directory, and all below it, opened anew: what is heard of them may be heard of others that had their names.
    private func forget(_ path: String) {
        for (watch, paths) in heard {
            let left = paths.filter { $0 != path && !$0.hasPrefix(path + "/") }
            guard left.count < paths.count else { continue }
            heard[watch] = left.isEmpty ? nil : left
            if left.isEmpty { _ = inotify_rm_watch(descriptor.number, watch) }
            missing.formUnion(paths.filter { !left.contains($0) })
        }
    }

    /// Names that come, go, or are written to the end; the directory itself that goes says IN_IGNORED.
    private static var mask: UInt32 {
        UInt32(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF)
            | UInt32(IN_ONLYDIR)
    }
}

/// What has to be listened to so that the coming and going of some paths is heard: directories, and which of their names
/// matter.
enum NameInterests {
    /// Each directory above one of the paths, from `top` down, with the names in it that lead there. Paths are relative to
    /// `top`; one that is empty, or the root's, needs nothing.
    static func leading(to paths: Set<String>, below top: String) -> [String: Set<String>?] {
        var interests: [String: Set<String>] = [:]
        for path in paths {
            var directory = top
            for part in path.split(separator: "/") {
                interests[directory, default: []].insert(String(part))
                directory = self.path(of: String(part), in: directory)
            }
        }
        return interests.mapValues { $0 }
    }

    /// Each name that changes what is read at a path when it becomes another one: the path's own, and those of the links
    /// that it leads over.
    static func reading(_ path: String) -> [String: Set<String>?] {
        var interests: [String: Set<String>] = [:]
        var rest = absolute(path).split(separator: "/")[...]
        var directory = "/"
        // As many links as the kernel follows.
        var links = 40
        while let part = rest.popFirst() {
            if part == "." { continue }
            if part == ".." {
                directory = above(directory)
                continue
            }
            interests[directory, default: []].insert(String(part))
            let next = self.path(of: String(part), in: directory)
            guard links > 0, let target = linkTarget(next) else {
                directory = next
                continue
            }
            links -= 1
            if target.hasPrefix("/") { directory = "/" }
            rest = (target.split(separator: "/") + rest)[...]
        }
        return interests.mapValues { $0 }
    }

    static func path(of name: String, in directory: String) -> String {
        directory.hasSuffix("/") ? directory + name : "\(directory)/\(name)"
    }

    private static func above(_ directory: String) -> String {
        directory.lastIndex(of: "/").map { $0 == directory.startIndex ? "/" : String(directory[..<$0]) } ?? "/"
    }

    private static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/") else { return path }
        return "\(linkTarget("/proc/self/cwd") ?? "/")/\(path)"
    }
}
