internal import Glibc
internal import PolicyModel
internal import VNEPrograms

extension Instance {
    /// Loads everything for the first time and pins it below `directory`, which nobody sees yet.
    /// - Parameter hooks: those whose programs are loaded, if they are optional.
    static func load(
        _ image: ObjectImage, hooks: Set<CgroupHook>, into directory: PinDirectory, netns cookie: UInt64
    ) throws(BPFError) {
        let object = try BPFObject.open(image, name: "vne")
        try object.choose(hooks)
        try object.load()
        try BPFFileSystem.makeDirectory(directory.maps)
        for name in object.mapNames { try object.pinMap(name, at: "\(directory.maps)/\(name)") }
        try BPFFileSystem.makeDirectory(directory.programs)
        for name in object.programNames { try object.pinProgram(name, at: "\(directory.programs)/\(name)") }
        try write(programs: image.digest, netns: cookie, in: directory)
    }

    /// Replaces the programs by those of another build, which use the same maps.
    ///
    /// Each hook is given its new program in one step, so there is no moment without one; each hook of either build
    /// judges by the same maps, so a mixture denies whatever both deny. The record of which build it is comes last: a
    /// command that was killed on the way is done over by the next, which knows the programs of both by their maps.
    func upgrade(to image: ObjectImage, hooks: Set<CgroupHook>) throws(BPFError) {
        try BPFFileSystem.sweep(directory.newPrograms)
        let object = try BPFObject.open(image, name: "vne")
        try object.choose(hooks)
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

        try place(programs: directory.newPrograms)

        try BPFFileSystem.sweep(directory.oldPrograms)
        if BPFFileSystem.exists(directory.programs) {
            try BPFFileSystem.move(directory.programs, to: directory.oldPrograms)
        }
        try BPFFileSystem.move(directory.newPrograms, to: directory.programs)
        forgetPrograms()
        try BPFFileSystem.sweep(directory.oldPrograms)
        if BPFFileSystem.exists(directory.interfaces) {
            try unsteer()
            _ = try steer()
        }
        try Self.write(programs: image.digest, netns: networkNamespace, in: directory)
    }

    /// Puts the programs that are pinned in a directory in the place of all others of the instance. Hooks that they add
    /// come too, and those that they do not have go.
    private func place(programs path: String) throws(BPFError) {
        let own = try OwnPrograms(of: directory)
        let applications = try applications()
        for hook in CgroupHook.allCases {
            let pin = "\(path)/\(hook.programName)"
            guard !hook.isOptional || BPFFileSystem.exists(pin) else {
                for application in applications {
                    if let cgroup = try openCgroup(application.cgroupID) {
                        try own.remove(from: hook, on: cgroup.rawValue)
                    }
                }
                continue
            }
            let program = try BPFProgram(pinnedAt: pin)
            let id = try program.id()
            for application in applications where application.egress || hook != .egress {
                guard application.state != .detaching, let cgroup = try openCgroup(application.cgroupID) else {
                    continue
                }
                if try asks(application, for: hook) {
                    try own.place(program, id: id, at: hook, on: cgroup.rawValue)
                } else {
                    try own.remove(from: hook, on: cgroup.rawValue)
                }
            }
        }
        for application in applications {
            if let cgroup = try openCgroup(application.cgroupID) { try own.removeUnknown(from: cgroup.rawValue) }
        }
        try placeGuards(programs: path, by: own)
    }

    private static func write(
        programs digest: UInt64, netns cookie: UInt64, in directory: PinDirectory
    ) throws(BPFError) {
        let map = try BPFMap(pinnedAt: directory.map(.instance), name: PinnedMap.instance.rawValue)
        var record: vne_instance = try map.value(of: UInt32(0)) ?? vne_instance()
        record.abi_version = UInt32(VNE_ABI_VERSION)
        record.ready = 1
        record.netns = cookie
        record.programs = digest
        try map.write(record, at: UInt32(0))
    }

    /// Takes every application's hooks away and removes all pins. The value is of no use afterwards, and its lock that of
    /// a directory that is gone.
    ///
    /// Addresses that attachments own are the caller's to remove, before: ``applications()`` knows them.
    public func unload() throws(BPFError) {
        try requireExclusive()
        for application in try applications() { try detach(application) }
        for cgroup in try guardedCgroups() { try unprotect(cgroup) }
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
    /// next one sweeps.
    private static func remove(_ directory: PinDirectory) throws(BPFError) {
        let unpublished = directory.unpublished
        if let other = try BPFFileSystem.openDirectoryIfPresent(unpublished.path) {
            // Somebody who is about to see that the instance exists, or nobody.
            try BPFFileSystem.lock(other, LOCK_EX, path: unpublished.path)
            if BPFFileSystem.isSame(other, unpublished.path) {
                try detachAll(of: unpublished)
                try BPFFileSystem.sweep(unpublished.path)
            }
        }
        try BPFFileSystem.move(directory.path, to: unpublished.path)
        try detachAll(of: unpublished)
        try BPFFileSystem.sweep(unpublished.path)
    }

    /// Takes the hooks of an instance, of whatever build, off every cgroup that has any. The pins have to be there still:
    /// once they are gone nobody can tell whose the programs are.
    ///
    /// The kernel knows the cgroups: the storage of each is an entry of `attachment`, or of `guard_count`.
    static func detachAll(of directory: PinDirectory) throws(BPFError) {
        var cgroupIDs: [UInt64] = []
        for map in [PinnedMap.attachment, .guardCount] where BPFFileSystem.exists(directory.map(map)) {
            let storage = try BPFMap(pinnedAt: directory.map(map), name: map.rawValue)
            cgroupIDs += try storage.keys(from: UInt64(0))
        }
        guard !cgroupIDs.isEmpty else { return }
        let own = try OwnPrograms(of: directory)
        let hierarchy = try CgroupHierarchy()
        for cgroupID in cgroupIDs {
            if let cgroup = try hierarchy.openCgroup(cgroupID) { try own.removeAll(from: cgroup.rawValue) }
        }
    }
}
