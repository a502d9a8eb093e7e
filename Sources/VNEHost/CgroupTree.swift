internal import CLinux
internal import Glibc
internal import PolicyModel

/// The cgroup2 hierarchy, from the top of one of its mounts down.
///
/// The mount is found, not assumed: on a hybrid host it is at `/sys/fs/cgroup/unified`, on a pure one at
/// `/sys/fs/cgroup`, and in a container anywhere. Every path is opened below the mount's directory with `openat2`, so
/// that no `..`, link or other file system leads out of it.
final class CgroupTree {
    /// Where the hierarchy is mounted, for messages and for paths that are given whole.
    let mountPath: String
    private let mount: Descriptor

    /// Finds the mount and opens it.
    convenience init() throws(HostError) {
        let table = MountTable(parsing: try textFile("/proc/thread-self/mountinfo"))
        try self.init(table)
    }

    /// Opens the best of these mounts: one whose top is the hierarchy's root, if there is one. A mount that another one
    /// covers, or that lies outside this process's root, is passed over.
    init(_ table: MountTable) throws(HostError) {
        let best = table.cgroupMounts.filter { $0.root == "/" } + table.cgroupMounts.filter { $0.root != "/" }
        for candidate in best {
            guard let directory = try? Descriptor.open(candidate.path, flags: O_RDONLY | O_DIRECTORY) else { continue }
            var information = statfs()
            var status = stat()
            guard unsafe fstatfs(directory.number, &information) == 0, unsafe fstat(directory.number, &status) == 0,
                Int(information.f_type) == Int(CGROUP2_SUPER_MAGIC),
                "\(gnu_dev_major(status.st_dev)):\(gnu_dev_minor(status.st_dev))" == candidate.device
            else { continue }
            mountPath = candidate.path
            mount = directory
            return
        }
        throw HostError(
            .unsupported, "find a cgroup2 mount", "in /proc/self/mountinfo",
            hint: "Mount one: mount -t cgroup2 none /sys/fs/cgroup/unified (systemd hosts have it from version 232 on)."
        )
    }

    /// A path as it is kept: relative to the mount, no slash at either end, no empty component.
    ///
    /// Takes a path that is relative to the mount, or absolute below it. Refuses the root cgroup, since a program that
    /// is attached there judges the whole host, and every path that leads out.
    func normalized(_ path: String) throws(HostError) -> String {
        // Most are as they are kept: a daemon asks for each application's at every look.
        if Self.isNormal(path) { return path }
        let operation = "use the cgroup"
        // By bytes, as the kernel does: to Swift a slash and an accent behind it are one character.
        var relative = path.utf8[...]
        if relative.first == UInt8(ascii: "/") {
            let above = Array((mountPath.hasSuffix("/") ? mountPath : mountPath + "/").utf8)
            guard (relative + [UInt8(ascii: "/")]).starts(with: above) else {
                throw HostError(
                    .refused, operation, path,
                    hint: "An absolute path must lie below \(mountPath); others are relative to it, as in a/b.")
            }
            relative = relative.dropFirst(min(above.count, relative.count))
        }
        let parts = relative.split(separator: UInt8(ascii: "/")).map { String(Substring($0)) }
        guard !parts.contains(".."), !parts.contains(".") else {
            throw HostError(.refused, operation, path, hint: "A cgroup's path has no . or .. in it.")
        }
        guard !parts.isEmpty else {
            throw HostError(
                .refused, operation, path.isEmpty ? "''" : path,
                hint: "The root cgroup holds every process of the host and can be no application; name one below it.")
        }
        let result = parts.joined(separator: "/")
        guard result.utf8.count <= 1023, !result.utf8.contains(0) else {
            throw HostError(.refused, operation, path, hint: "Its path is longer than 1023 bytes, or has a zero byte.")
        }
        return result
    }

    private static func isNormal(_ path: String) -> Bool {
        var begins = true
        var length = 0
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "/") where begins, UInt8(ascii: ".") where begins, 0: return false
            default: begins = byte == UInt8(ascii: "/")
            }
            length += 1
        }
        return !begins && length <= 1023
    }

    /// Opens a cgroup. The caller closes its descriptor.
    func open(_ path: String) throws(HostError) -> OpenCgroup {
        let path = try normalized(path)
        let directory = try openDirectory(path)
        return try opened(directory, path)
    }

    /// Opens the root of the hierarchy; refuses where the mount shows a part of it only. The caller closes its descriptor.
    func openRoot() throws(HostError) -> OpenCgroup {
        let directory = try openDirectory(".")
        guard let id = Self.inode(of: directory) else { throw .system("open the cgroup", mountPath) }
        guard id == 1 else {
            throw HostError(
                .refused, "use the root cgroup", mountPath, hint: "This mount shows a part of the hierarchy only.")
        }
        return OpenCgroup(path: HostGuard.root, id: id, level: 0, descriptor: directory.release())
    }

    /// Makes a cgroup and those above it, or opens it if it is there. What was made is removed again if a later step fails.
    func make(_ path: String) throws(HostError) -> OpenCgroup {
        let path = try normalized(path)
        var made: [String] = []
        do throws(HostError) {
            var above = ""
            for part in path.split(separator: "/") {
                // One descriptor a level: mkdirat() itself would follow links.
                let parent = above.isEmpty ? nil : try openDirectory(above).release()
                defer { if let parent { _ = Glibc.close(parent) } }
                above += above.isEmpty ? "\(part)" : "/\(part)"
                if unsafe mkdirat(parent ?? mount.number, String(part), 0o755) == 0 {
                    made.append(above)
                } else if errno != EEXIST {
                    throw .system("make the cgroup", above)
                }
            }
            return try opened(try openDirectory(path), path)
        } catch {
            for path in made.reversed() { _ = remove(path) }
            throw error
        }
    }

    /// Removes a cgroup that has no processes and no children; says whether it is gone.
    func remove(_ path: String) -> Bool {
        guard let path = try? normalized(path) else { return false }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let above = path.utf8.count == name.utf8.count ? "." : String(path.dropLast(name.count + 1))
        do throws(HostError) {
            let parent = try openDirectory(above)
            return unsafe unlinkat(parent.number, name, AT_REMOVEDIR) == 0 || errno == ENOENT
        } catch {
            return error.kind == .missing
        }
    }

    /// Whether the cgroup at this path is the one with this id, and no later one of the same name.
    ///
    /// It is not opened: a daemon asks this of every application at each look.
    func exists(_ path: String, id: UInt64) throws(HostError) -> Bool {
        guard let path = try? normalized(path) else { return false }
        do throws(HostError) {
            return try inode(at: path) == id
        } catch {
            guard error.code == ENOTDIR else { throw error }
            return false
        }
    }

    /// Whether there is a cgroup at this path; throws if there is something else. It is not opened.
    func exists(_ path: String) throws(HostError) -> Bool {
        try inode(at: try normalized(path)) != nil
    }

    /// nil if there is nothing.
    private func inode(at path: String) throws(HostError) -> UInt64? {
        var status = stat()
        guard unsafe fstatat(mount.number, path, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            guard [ENOENT, ENODEV].contains(errno) else { throw .system("look at the cgroup", path) }
            return nil
        }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw .system("look at the cgroup", path, code: ENOTDIR) }
        return UInt64(status.st_ino)
    }

    /// Whether a process lives in the cgroup or below it (`populated` in `cgroup.events`).
    func isPopulated(_ path: String) throws(HostError) -> Bool {
        guard let path = try? normalized(path) else { return false }
        return try isPopulated(mount.number, path + "/cgroup.events", of: path)
    }

    /// The same of a cgroup that is open.
    func isPopulated(_ cgroup: OpenCgroup) throws(HostError) -> Bool {
        try isPopulated(cgroup.descriptor, "cgroup.events", of: cgroup.path)
    }

    private func isPopulated(_ directory: Int32, _ file: String, of path: String) throws(HostError) -> Bool {
        do throws(HostError) {
            let events = try Descriptor.openBeneath(
                directory, file, flags: O_RDONLY, operation: "look at the cgroup")
            // A few short lines, which the kernel gives whole.
            return try events.firstBytes(of: path, atMost: 256).split(separator: UInt8(ascii: "\n"))
                .contains { $0.elementsEqual("populated 1".utf8) }
        } catch {
            guard Self.meansGone(error) else { throw error }
            return false
        }
    }

    /// Ids of a cgroup and of every cgroup below it.
    func identifiers(below path: String) throws(HostError) -> Set<UInt64> {
        var identifiers: Set<UInt64> = []
        try visit(try normalized(path)) { directory throws(HostError) in
            if let id = Self.inode(of: directory) { identifiers.insert(id) }
        }
        return identifiers
    }

    /// Ids of every cgroup below the mount, and of the mount itself.
    func allIdentifiers() throws(HostError) -> Set<UInt64> {
        var identifiers: Set<UInt64> = []
        try visit(".") { directory throws(HostError) in
            if let id = Self.inode(of: directory) { identifiers.insert(id) }
        }
        return identifiers
    }

    /// The processes in a cgroup and in every cgroup below it, in the order of their ids.
    func processes(below path: String) throws(HostError) -> [UInt32] {
        var processes: Set<UInt32> = []
        try visit(try normalized(path)) { directory throws(HostError) in
            // A threaded cgroup refuses to list processes; its threads are listed by their own ids.
            let text: String
            do throws(HostError) {
                text = try textFile("cgroup.procs", at: directory.number)
            } catch {
                guard error.code == EOPNOTSUPP else { throw error }
                text = try textFile("cgroup.threads", at: directory.number)
            }
            // 0 stands for a process of a PID namespace that is not below this one.
            processes.formUnion(text.split(separator: "\n").compactMap { UInt32($0) }.filter { $0 != 0 })
        }
        return processes.sorted()
    }

    /// Calls `body` for a cgroup and for every cgroup below it; those that go meanwhile are left out.
    private func visit(
        _ top: String, _ body: (borrowing Descriptor) throws(HostError) -> Void
    ) throws(HostError) {
        var pending = [top]
        while let path = pending.popLast() {
            do throws(HostError) {
                let directory = try openDirectory(path)
                try body(directory)
                pending += try directory.entries(of: path).filter(\.isDirectory).map { "\(path)/\($0.name)" }
            } catch {
                guard path != top, Self.meansGone(error) else { throw error }
            }
        }
    }

    /// Opens a directory of the tree: O_RDONLY, as bpf(2) and clone3(2) take no O_PATH descriptor.
    private func openDirectory(_ path: String) throws(HostError) -> Descriptor {
        do throws(HostError) {
            return try Descriptor.openBeneath(
                mount.number, path, flags: O_RDONLY | O_DIRECTORY, operation: "open the cgroup")
        } catch {
            throw explained(error)
        }
    }

    /// Adds what a person can do about it.
    private func explained(_ error: HostError) -> HostError {
        var error = error
        switch error.code {
        case ENOENT: error.hint = "There is no such cgroup below \(mountPath)."
        case ENOTDIR: error.hint = "It is a file of a cgroup, not a cgroup."
        case ELOOP, EXDEV:
            error.kind = .refused
            error.hint = "It leads out of \(mountPath)."
        default: break
        }
        return error
    }

    private func opened(_ directory: consuming Descriptor, _ path: String) throws(HostError) -> OpenCgroup {
        guard let id = Self.inode(of: directory) else { throw .system("open the cgroup", path) }
        guard id != 1 else {
            throw HostError(.refused, "use the cgroup", path, hint: "It is the root cgroup, which holds every process.")
        }
        let level = path.utf8.reduce(1) { $1 == UInt8(ascii: "/") ? $0 + 1 : $0 }
        return OpenCgroup(path: path, id: id, level: UInt32(level), descriptor: directory.release())
    }

    /// Whether a cgroup is gone, or was never there. Files of one that goes while they are open answer ENODEV.
    private static func meansGone(_ error: HostError) -> Bool {
        [ENOENT, ENOTDIR, ENODEV].contains(error.code) || error.kind == .refused
    }

    /// On 64-bit kernels a cgroup's id is the inode number of its directory.
    private static func inode(of directory: borrowing Descriptor) -> UInt64? {
        var status = stat()
        guard unsafe fstat(directory.number, &status) == 0 else { return nil }
        return UInt64(status.st_ino)
    }
}
