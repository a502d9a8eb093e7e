internal import CLibBPF
internal import Glibc

/// The cgroup2 hierarchy, whose cgroups are opened by their ids: a path may lead to another cgroup by now.
struct CgroupHierarchy: ~Copyable {
    private let mount: Descriptor

    /// Finds the hierarchy in `/proc/self/mounts`. Any mount of it will do, as an id names a cgroup in the whole of it.
    init() throws(BPFError) {
        let table = "/proc/self/mounts"
        guard let file = unsafe fopen(table, "re") else { throw .failed(.open(path: table), code: errno) }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 8192)
        while unsafe fgets(&line, Int32(line.count), file) != nil {
            let fields = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                .split(separator: " ")
            // White space in a path is written as an escape: such a mount is passed over.
            guard fields.count > 2, fields[2] == "cgroup2", !fields[1].contains("\\") else { continue }
            mount = try BPFFileSystem.openDirectory(String(fields[1]))
            return
        }
        throw .failed(.findHierarchy, code: ENOENT)
    }

    /// Opens the directory of a cgroup; nil if the cgroup is gone. The C function is `open_by_handle_at`.
    func openCgroup(_ id: UInt64) throws(BPFError) -> Descriptor? {
        let result = vne_open_cgroup(mount.rawValue, id)
        guard result < 0 else { return Descriptor(owning: result) }
        guard errno != ESTALE, errno != ENOENT else { return nil }
        throw .failed(.openCgroup(id: id), code: errno)
    }
}
