internal import Glibc
internal import VNEPrograms

extension Instance {
    /// Opens an instance to change it, and takes its lock; waits for whoever has it. Programs of an older build are
    /// replaced by those of this binary.
    /// - Parameters:
    ///   - name: letters, digits, `-` and `_`.
    ///   - cookie: `SO_NETNS_COOKIE` of the caller's network namespace.
    ///   - create: whether to load the programs and maps if the instance is not there, which mounts the BPF file system
    ///     where nobody did.
    /// - Returns: nil if the instance is not there and `create` is false.
    public static func open(_ name: String, netns cookie: UInt64, create: Bool) throws(BPFError) -> Instance? {
        try open(name, netns: cookie, create: create, object: .embedded)
    }

    /// - Parameter hooks: the optional ones that are loaded; nil for those that the kernel has.
    static func open(
        _ name: String, netns cookie: UInt64, create: Bool, object: ObjectImage, hooks: Set<CgroupHook>? = nil
    ) throws(BPFError) -> Instance? {
        let directory = try PinDirectory(instance: name)
        if create { try BPFFileSystem.mountIfNeeded() }
        while true {
            if let lock = try locked(directory.path, LOCK_EX) {
                let record = try record(of: name, in: directory)
                try check(record, instance: name, netns: cookie)
                let instance = Instance(
                    name: name, access: .exclusive, networkNamespace: cookie, directory: directory, lock: lock)
                if record.programs != object.digest {
                    try instance.upgrade(to: object, hooks: try chosen(hooks))
                }
                if record.epoch == 0 { try instance.beginEpoch() }
                return instance
            }
            let unpublished = directory.unpublished
            if create {
                try BPFFileSystem.makeDirectory(unpublished.path)
            } else if !BPFFileSystem.exists(unpublished.path) {
                return nil
            }
            guard let lock = try locked(unpublished.path, LOCK_EX) else { continue }
            // Whoever had this lock may have published the instance by now.
            guard !BPFFileSystem.exists(directory.path) else {
                try BPFFileSystem.removeDirectory(unpublished.path)
                continue
            }
            // What a killed command left. The directory itself stays, as it carries the lock.
            try detachAll(of: unpublished)
            for (entry, _) in try BPFFileSystem.entries(of: unpublished.path) {
                try BPFFileSystem.sweep("\(unpublished.path)/\(entry)")
            }
            guard create else {
                try BPFFileSystem.removeDirectory(unpublished.path)
                return nil
            }
            try load(object, hooks: try chosen(hooks), into: unpublished, netns: cookie)
            try BPFFileSystem.move(unpublished.path, to: directory.path)
            return Instance(
                name: name, access: .exclusive, networkNamespace: cookie, directory: directory, lock: lock)
        }
    }

    private static func chosen(_ hooks: Set<CgroupHook>?) throws(BPFError) -> Set<CgroupHook> {
        if let hooks { return hooks }
        return try KernelHooks().usable
    }

    /// Opens an instance to read it. Waits for whoever changes it; nil if it is not there.
    /// - Parameter cookie: `SO_NETNS_COOKIE` of the caller's network namespace; nil to read that of any.
    public static func read(_ name: String, netns cookie: UInt64?) throws(BPFError) -> Instance? {
        let directory = try PinDirectory(instance: name)
        guard BPFFileSystem.isMounted else { return nil }
        while true {
            guard let lock = try locked(directory.path, LOCK_SH) else {
                guard BPFFileSystem.exists(directory.path) else { return nil }
                continue
            }
            let record = try record(of: name, in: directory)
            try check(record, instance: name, netns: cookie ?? record.netns)
            return Instance(
                name: name, access: .shared, networkNamespace: record.netns, directory: directory, lock: lock)
        }
    }

    /// Names of the instances on this kernel, as far as this mount of the BPF file system shows them.
    public static func list() throws(BPFError) -> [String] {
        guard BPFFileSystem.isMounted else { return [] }
        var names: [String] = []
        for (entry, isDirectory) in try BPFFileSystem.entries(of: PinDirectory.root) where isDirectory {
            guard let directory = try? PinDirectory(instance: entry),
                BPFFileSystem.exists(directory.map(.instance)), BPFFileSystem.exists(directory.map(.attachment))
            else { continue }
            names.append(entry)
        }
        return names
    }

    /// Opens and locks a directory; nil if there is none, or not the same one any more once the lock was there.
    static func locked(_ path: String, _ operation: Int32) throws(BPFError) -> Descriptor? {
        guard let descriptor = try BPFFileSystem.openDirectoryIfPresent(path) else { return nil }
        // Anybody may make a directory in the BPF file system, and would own what is put there.
        guard BPFFileSystem.isRootsOwn(descriptor) else { throw .foreignDirectory(path: path) }
        try BPFFileSystem.lock(descriptor, operation, path: path)
        guard BPFFileSystem.isSame(descriptor, path) else { return nil }
        return descriptor
    }

    private static func record(of name: String, in directory: PinDirectory) throws(BPFError) -> vne_instance {
        let map: BPFMap
        do {
            map = try BPFMap(pinnedAt: directory.map(.instance), name: PinnedMap.instance.rawValue)
        } catch {
            throw error.code == ENOENT ? BPFError.notAnInstance(path: directory.path) : error
        }
        guard let record: vne_instance = try map.value(of: UInt32(0)) else { throw .incomplete(instance: name) }
        return record
    }

    private static func check(_ record: vne_instance, instance name: String, netns cookie: UInt64) throws(BPFError) {
        guard record.ready != 0 else { throw .incomplete(instance: name) }
        guard record.abi_version == UInt32(VNE_ABI_VERSION) else {
            throw .incompatible(instance: name, found: record.abi_version)
        }
        guard record.netns == cookie else { throw .foreignNamespace(instance: name) }
    }
}
