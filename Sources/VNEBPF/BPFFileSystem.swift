internal import Glibc

/// Directories and pins of the BPF file system.
enum BPFFileSystem {
    /// Whether a file system of its own is mounted at ``PinDirectory/root``: without one, that is a directory of sysfs.
    /// The C function is `stat`.
    static var isMounted: Bool {
        var here = stat()
        var above = stat()
        return unsafe stat(PinDirectory.root, &here) == 0 && stat(PinDirectory.root + "/..", &above) == 0
            && here.st_dev != above.st_dev
    }

    /// Mounts the BPF file system where no init system did, with the options of systemd's `sys-fs-bpf.mount`. The C
    /// function is `mount`.
    static func mountIfNeeded() throws(BPFError) {
        guard !isMounted else { return }
        let directory = try openDirectory(PinDirectory.root)
        // Of two commands that get here at once, one mounts.
        try lock(directory, LOCK_EX, path: PinDirectory.root)
        guard !isMounted else { return }
        let flags = UInt(MS_NOSUID) | UInt(MS_NODEV) | UInt(MS_NOEXEC)
        guard unsafe mount("bpf", PinDirectory.root, "bpf", flags, "mode=0700") == 0 else {
            throw .failed(.mount(path: PinDirectory.root), code: errno)
        }
    }

    /// Opens a directory. The C function is `open`.
    static func openDirectory(_ path: String) throws(BPFError) -> Descriptor {
        let result = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard result >= 0 else { throw .failed(.open(path: path), code: errno) }
        return Descriptor(owning: result)
    }

    /// Opens a directory; nil if there is none.
    static func openDirectoryIfPresent(_ path: String) throws(BPFError) -> Descriptor? {
        do {
            return try openDirectory(path)
        } catch {
            guard error.code == ENOENT else { throw error }
            return nil
        }
    }

    /// Takes a lock that goes with the descriptor; a signal whose handler returns ends the wait with EINTR. The C
    /// function is `flock`.
    static func lock(_ descriptor: borrowing Descriptor, _ operation: Int32, path: String) throws(BPFError) {
        guard flock(descriptor.rawValue, operation) == 0 else { throw .failed(.lock(path: path), code: errno) }
    }

    /// The process that has locked what is held open, as `/proc/locks` has it; nil if it is not to be seen.
    static func locker(of descriptor: borrowing Descriptor) -> String? {
        var held = stat()
        guard unsafe fstat(descriptor.rawValue, &held) == 0, let file = unsafe fopen("/proc/locks", "re") else {
            return nil
        }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while unsafe fgets(&line, Int32(line.count), file) != nil {
            // 1: FLOCK ADVISORY WRITE 812 00:1c:4711 0 EOF
            let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                .split(separator: " ")
            if words.count > 5, words[1] == "FLOCK", words[3] == "WRITE", words[5].hasSuffix(":\(held.st_ino)") {
                return String(words[4])
            }
        }
        return nil
    }

    /// Whether the path still leads to the directory that is held open, or was renamed or removed meanwhile.
    static func isSame(_ descriptor: borrowing Descriptor, _ path: String) -> Bool {
        var held = stat()
        var found = stat()
        guard unsafe fstat(descriptor.rawValue, &held) == 0, unsafe stat(path, &found) == 0 else { return false }
        return held.st_dev == found.st_dev && held.st_ino == found.st_ino
    }

    /// Whether only root can change what is in the directory.
    static func isRootsOwn(_ descriptor: borrowing Descriptor) -> Bool {
        var held = stat()
        guard unsafe fstat(descriptor.rawValue, &held) == 0 else { return false }
        return held.st_uid == 0 && held.st_mode & 0o022 == 0
    }

    /// Makes a directory; false if there is one. The C function is `mkdir`.
    @discardableResult
    static func makeDirectory(_ path: String) throws(BPFError) -> Bool {
        if unsafe mkdir(path, 0o700) == 0 { return true }
        guard errno == EEXIST else { throw .failed(.makeDirectory(path: path), code: errno) }
        return false
    }

    /// Renames a directory; nothing may be where it goes. The C function is `rename`.
    static func move(_ path: String, to other: String) throws(BPFError) {
        guard unsafe rename(path, other) == 0 else { throw .failed(.rename(path: path), code: errno) }
    }

    /// Removes a pin, if it is there. The C function is `unlink`.
    static func removePin(_ path: String) throws(BPFError) {
        guard unsafe unlink(path) == 0 || errno == ENOENT else { throw .failed(.remove(path: path), code: errno) }
    }

    /// Removes an empty directory, if it is there. The C function is `rmdir`.
    static func removeDirectory(_ path: String) throws(BPFError) {
        guard unsafe rmdir(path) == 0 || errno == ENOENT else { throw .failed(.remove(path: path), code: errno) }
    }

    /// Whether there is something. The C function is `access`.
    static func exists(_ path: String) -> Bool {
        unsafe access(path, F_OK) == 0
    }

    /// Names in a directory, sorted; none if there is no directory. The C functions are `opendir` and `readdir`.
    static func entries(of path: String) throws(BPFError) -> [(name: String, isDirectory: Bool)] {
        guard let directory = unsafe opendir(path) else {
            guard errno == ENOENT else { throw .failed(.open(path: path), code: errno) }
            return []
        }
        defer { unsafe closedir(directory) }
        var entries: [(name: String, isDirectory: Bool)] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe FixedText.string(of: entry.pointee.d_name)
            guard name != ".", name != ".." else { continue }
            entries.append((name, unsafe Int(entry.pointee.d_type) == Int(DT_DIR)))
        }
        return entries.sorted { $0.name < $1.name }
    }

    /// Removes a directory and all that is in it, if it is there.
    static func sweep(_ path: String) throws(BPFError) {
        for (name, isDirectory) in try entries(of: path) {
            if isDirectory {
                try sweep("\(path)/\(name)")
            } else {
                try removePin("\(path)/\(name)")
            }
        }
        try removeDirectory(path)
    }
}
