internal import FoundationEssentials
internal import Glibc

/// Files of a node, which others than root do not read.
enum NodeFiles {
    /// The names in a directory; none if there is no such directory.
    static func names(in directory: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    }

    /// Whether something has that path.
    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// The text of a file; nil if there is none.
    static func text(_ path: String) throws(ManagerError) -> String? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        do {
            return String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        } catch {
            throw ManagerError(.failed, "cannot read \(path): \(error)")
        }
    }

    /// Makes a directory, and those that lead to it.
    static func make(_ directory: String) throws(ManagerError) {
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw ManagerError(.failed, "cannot make \(directory): \(error)")
        }
    }

    /// Has a file say something, all of it or nothing; its directories are made.
    /// - Parameter isDurable: whether it is to be on the disk once this returns, and not only where every process sees it.
    static func write(_ text: String, to path: String, isDurable: Bool = false) throws(ManagerError) {
        let draft = "\(path).new"
        do {
            try make(URL(filePath: path).deletingLastPathComponent().path)
            // A draft that somebody left may be readable by others.
            if FileManager.default.fileExists(atPath: draft) { try FileManager.default.removeItem(atPath: draft) }
            guard
                FileManager.default.createFile(
                    atPath: draft, contents: nil, attributes: [.posixPermissions: 0o600])
            else { throw ManagerError(.failed, "cannot write \(path)") }
            try Data(text.utf8).write(to: URL(filePath: draft))
        } catch let error as ManagerError {
            throw error
        } catch {
            throw ManagerError(.failed, "cannot write \(path): \(error)")
        }
        if isDurable { try sync(draft) }
        guard unsafe rename(draft, path) == 0 else {
            throw ManagerError(.failed, "cannot write \(path): \(unsafe String(cString: strerror(errno)))")
        }
        if isDurable { try sync(URL(filePath: path).deletingLastPathComponent().path) }
    }

    /// Has a file be at another path, in place of what is there.
    static func move(_ path: String, to other: String) throws(ManagerError) {
        guard unsafe rename(path, other) == 0 else {
            throw ManagerError(.failed, "cannot write \(other): \(unsafe String(cString: strerror(errno)))")
        }
    }

    /// Which file is at a path; nil if there is none. A file system gives numbers of files again, so that the time of its last
    /// change is a part of it.
    static func identity(_ path: String) -> FileIdentity? {
        var found = stat()
        guard unsafe stat(path, &found) == 0 else { return nil }
        return FileIdentity(
            number: UInt64(found.st_ino), seconds: found.st_ctim.tv_sec, nanoseconds: found.st_ctim.tv_nsec,
            size: Int(found.st_size))
    }

    private static func sync(_ path: String) throws(ManagerError) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, fsync(descriptor) == 0 else {
            throw ManagerError(.failed, "cannot write \(path): \(unsafe String(cString: strerror(errno)))")
        }
    }

    /// Removes a file or a directory with all in it; nothing if there is none.
    static func remove(_ path: String) throws(ManagerError) {
        guard FileManager.default.fileExists(atPath: path) else { return }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            throw ManagerError(.failed, "cannot remove \(path): \(error)")
        }
    }
}

/// What tells a file from the one that was at its path before.
struct FileIdentity: Hashable, Sendable {
    var number: UInt64
    var seconds: Int
    var nanoseconds: Int
    var size: Int
}
