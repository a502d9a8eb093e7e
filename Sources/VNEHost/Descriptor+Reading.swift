internal import Glibc

/// A name in a directory.
struct DirectoryEntry: Hashable {
    var name: String
    var inode: UInt64
    var isDirectory: Bool
}

extension Descriptor {
    /// Everything from the descriptor's position to the end. Files of `/proc` have no size: it reads until there is none.
    borrowing func contents(of subject: String) throws(HostError) -> [UInt8] {
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 16384)
        while true {
            let number = number
            let count = restarting {
                unsafe block.withUnsafeMutableBytes { unsafe read(number, $0.baseAddress, $0.count) }
            }
            guard count >= 0 else { throw .system("read", subject) }
            guard count > 0 else { return bytes }
            bytes += block[..<count]
        }
    }

    /// What one read gives. The C function is `read`.
    borrowing func firstBytes(of subject: String, atMost length: Int) throws(HostError) -> [UInt8] {
        let number = number
        var result = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            result = restarting { unsafe read(number, buffer.baseAddress, length) }
            count = max(result, 0)
        }
        guard result >= 0 else { throw .system("read", subject) }
        return bytes
    }

    /// The directory's names, `.` and `..` excepted. The C functions are `fdopendir` and `readdir`.
    borrowing func entries(of subject: String) throws(HostError) -> [DirectoryEntry] {
        // A descriptor of its own, since the directory stream closes it and moves its position.
        let own = restarting { unsafe openat(number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard own >= 0 else { throw .system("list", subject) }
        guard let stream = unsafe fdopendir(own) else {
            let code = errno
            _ = Glibc.close(own)
            throw .system("list", subject, code: code)
        }
        defer { unsafe _ = closedir(stream) }
        var entries: [DirectoryEntry] = []
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                guard errno == 0 else { throw .system("list", subject) }
                return entries
            }
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe String(cString: UnsafeRawPointer(pointer).assumingMemoryBound(to: CChar.self))
            }
            guard name != ".", name != ".." else { continue }
            unsafe entries.append(
                DirectoryEntry(
                    name: name, inode: UInt64(entry.pointee.d_ino),
                    isDirectory: Int(entry.pointee.d_type) == Int(DT_DIR)))
        }
    }
}

/// Where a symbolic link points; nil if it is none or gone. The C function is `readlinkat`.
func linkTarget(_ path: String, at directory: Int32 = AT_FDCWD) -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = unsafe buffer.withUnsafeMutableBytes { bytes in
        guard let start = bytes.baseAddress else { return -1 }
        return unsafe readlinkat(directory, path, start.assumingMemoryBound(to: CChar.self), bytes.count)
    }
    guard count > 0 else { return nil }
    return String(decoding: buffer[..<count], as: UTF8.self)
}

/// A whole file as text.
func textFile(_ path: String, at directory: Int32 = AT_FDCWD) throws(HostError) -> String {
    let file = try Descriptor.open(path, at: directory, operation: "read")
    return String(decoding: try file.contents(of: path), as: UTF8.self)
}
