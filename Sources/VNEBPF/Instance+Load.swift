internal import Glibc
internal import VNEPrograms

extension Instance {
    /// Loads everything for the first time and pins it below `directory`, which nobody sees yet.
    static func load(
        _ image: ObjectImage, into directory: PinDirectory, netns cookie: UInt64
    ) throws(BPFError) {
        let object = try BPFObject.open(image, name: "vne")
        try object.load()
        try BPFFileSystem.makeDirectory(directory.maps)
        for name in object.mapNames { try object.pinMap(name, at: "\(directory.maps)/\(name)") }
        try BPFFileSystem.makeDirectory(directory.programs)
        for name in object.programNames { try object.pinProgram(name, at: "\(directory.programs)/\(name)") }
        try BPFFileSystem.makeDirectory(directory.applications)
        try write(programs: image.digest, netns: cookie, in: directory)
    }

    /// Replaces the programs by those of another build, which use the same maps.
    ///
    /// Every link is given its new program in one step, so there is no moment without one; each hook of either build
    /// judges by the same maps, so a mixture denies whatever both deny. The record of which build it is comes last: a
    /// command that was killed on the way is done over by the next.
    func upgrade(to image: ObjectImage) throws(BPFError) {
        try BPFFileSystem.sweep(directory.newPrograms)
        let object = try BPFObject.open(image, name: "vne")
        let names = object.mapNames
        var missing: [String] = []
        for name in names {
            let path = "\(directory.maps)/\(name)"
            if BPFFileSystem.exists(path) {
                try object.reuse(try BPFMap(pinnedAt: path, name: name), for: name)
            } else {
                missing.append(name)
            }
        }
        try object.load()
        for name in missing { try object.pinMap(name, at: "\(directory.maps)/\(name)") }
        try BPFFileSystem.makeDirectory(directory.newPrograms)
        for name in object.programNames { try object.pinProgram(name, at: "\(directory.newPrograms)/\(name)") }

        for (application, _) in try BPFFileSystem.entries(of: directory.applications) {
            for (entry, _) in try BPFFileSystem.entries(of: "\(directory.applications)/\(application)") {
                guard let hook = CgroupHook(rawValue: entry),
                    let link = try BPFLink.pinned(at: "\(directory.applications)/\(application)/\(entry)")
                else { continue }
                let program = try BPFProgram(pinnedAt: "\(directory.newPrograms)/\(hook.programName)")
                _ = try link.update(to: program)
            }
        }

        try BPFFileSystem.sweep(directory.oldPrograms)
        if BPFFileSystem.exists(directory.programs) {
            try BPFFileSystem.move(directory.programs, to: directory.oldPrograms)
        }
        try BPFFileSystem.move(directory.newPrograms, to: directory.programs)
        try BPFFileSystem.sweep(directory.oldPrograms)
        try Self.write(programs: image.digest, netns: networkNamespace, in: directory)
    }

    private static func write(
        programs digest: UInt64, netns cookie: UInt64, in directory: PinDirectory
    ) throws(BPFError) {
        var record = vne_instance()
        record.abi_version = UInt32(VNE_ABI_VERSION)
        record.ready = 1
        record.netns = cookie
        record.programs = digest
        let map = try BPFMap(pinnedAt: directory.map(.instance), name: PinnedMap.instance.rawValue)
        try map.write(record, at: UInt32(0))
    }

    /// Takes every application's hooks away and removes all pins. The value is of no use afterwards, and its lock that of
    /// a directory that is gone.
    ///
    /// Addresses that attachments own are the caller's to remove, before: ``applications()`` knows them.
    public func unload() throws(BPFError) {
        try requireExclusive()
        for application in try applications() { try detach(application) }
        try Self.remove(directory)
    }

    /// Unloads an instance whatever build loaded it, without a look into its maps: for one that ``open(_:netns:create:)``
    /// refuses. Says whether there was one.
    public static func unload(_ name: String) throws(BPFError) -> Bool {
        let directory = try PinDirectory(instance: name)
        guard BPFFileSystem.isMounted else { return false }
        guard let lock = try BPFFileSystem.openDirectoryIfPresent(directory.path) else { return false }
        try BPFFileSystem.lock(lock, LOCK_EX, path: directory.path)
        guard BPFFileSystem.isSame(lock, directory.path) else { return false }
        guard BPFFileSystem.exists(directory.map(.instance)) else { throw .notAnInstance(path: directory.path) }
        try remove(directory)
        return true
    }

    /// Takes a locked instance out of sight in one step, then apart: a command that is killed meanwhile leaves what the
    /// next one sweeps. Links go first, while their programs deny or judge as before.
    private static func remove(_ directory: PinDirectory) throws(BPFError) {
        let unpublished = directory.unpublished
        if let other = try BPFFileSystem.openDirectoryIfPresent(unpublished.path) {
            // Somebody who is about to see that the instance exists, or nobody.
            try BPFFileSystem.lock(other, LOCK_EX, path: unpublished.path)
            if BPFFileSystem.isSame(other, unpublished.path) { try BPFFileSystem.sweep(unpublished.path) }
        }
        try BPFFileSystem.move(directory.path, to: unpublished.path)
        for (application, _) in try BPFFileSystem.entries(of: unpublished.applications) {
            let path = "\(unpublished.applications)/\(application)"
            for (entry, _) in try BPFFileSystem.entries(of: path) {
                if let link = try BPFLink.pinned(at: "\(path)/\(entry)") { try link.detach() }
            }
        }
        try BPFFileSystem.sweep(unpublished.path)
    }
}
