internal import Glibc

/// Files that others read while they are written anew.
public enum TextFile {
    /// Has a file say something else at once: who reads it finds all of the old text or all of the new one. Everybody may
    /// read it.
    public static func replace(_ path: String, with text: String) throws(HostError) {
        let draft = "\(path).\(getpid())"
        let number = restarting { unsafe open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644) }
        guard number >= 0 else { throw .system("write", draft) }
        do throws(HostError) {
            let file = Descriptor.adopting(number)
            try file.write(Array(text.utf8), to: draft)
            guard fchmod(file.number, 0o644) == 0, unsafe rename(draft, path) == 0 else { throw .system("write", path) }
        } catch {
            unsafe _ = unlink(draft)
            throw error
        }
    }
}

extension Descriptor {
    fileprivate borrowing func write(_ bytes: [UInt8], to subject: String) throws(HostError) {
        var rest = bytes[...]
        let number = number
        while !rest.isEmpty {
            let count = restarting {
                unsafe rest.withUnsafeBytes { unsafe Glibc.write(number, $0.baseAddress, $0.count) }
            }
            guard count > 0 else { throw .system("write", subject) }
            rest = rest.dropFirst(count)
        }
    }
}
