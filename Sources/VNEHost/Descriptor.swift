internal import CLinux
internal import Glibc

/// A file descriptor that is closed with its owner.
struct Descriptor: ~Copyable {
    /// The descriptor's number.
    let number: Int32

    private init(owning number: Int32) {
        self.number = number
    }

    deinit {
        _ = Glibc.close(number)
    }

    /// Takes over a descriptor that something else made.
    static func adopting(_ number: Int32) -> Descriptor {
        Descriptor(owning: number)
    }

    /// Opens a file for reading, relative to `directory` unless the path is absolute. The C function is `openat`.
    static func open(
        _ path: String, at directory: Int32 = AT_FDCWD, flags: Int32 = O_RDONLY, operation: String = "open"
    ) throws(HostError) -> Descriptor {
        let number = restarting { unsafe openat(directory, path, flags | O_CLOEXEC) }
        guard number >= 0 else { throw .system(operation, path) }
        return Descriptor(owning: number)
    }

    /// Opens a file for reading and writing, and makes it if it is not there. The C function is `open`.
    static func create(_ path: String, mode: mode_t = 0o644) throws(HostError) -> Descriptor {
        let number = restarting { unsafe Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode) }
        guard number >= 0 else { throw .system("open", path) }
        return Descriptor(owning: number)
    }

    /// Opens what lies below `directory` without leaving it, its file system, or passing a link (`openat2`, Linux 5.6).
    static func openBeneath(
        _ directory: Int32, _ path: String, flags: Int32, operation: String
    ) throws(HostError) -> Descriptor {
        let resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV
        let number = restarting {
            unsafe vne_openat2(directory, path, UInt64(flags | O_CLOEXEC), UInt64(resolve))
        }
        guard number >= 0 else { throw .system(operation, path) }
        return Descriptor(owning: number)
    }

    /// Gives the descriptor away; the caller closes it.
    consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }
}

/// Repeats a system call that a signal interrupted.
func restarting(_ call: () -> Int32) -> Int32 {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}

/// Repeats a read or write that a signal interrupted.
func restarting(_ call: () -> Int) -> Int {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}
