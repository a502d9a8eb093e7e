internal import CLinux
internal import Glibc

/// A process, or a thread, as `/proc` shows it. Whatever is asked of one that has ended is nil or empty.
struct ProcessEntry: Hashable {
    /// Its id in this PID namespace.
    var id: UInt32

    /// A descriptor of the process that is a socket.
    struct SocketDescriptor: Hashable {
        var number: Int32
        var inode: UInt64
    }

    /// The name of its command, as `comm` has it: at most 15 bytes.
    var command: String? {
        guard let text = try? textFile("/proc/\(id)/comm") else { return nil }
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    /// When it started, in clock ticks since boot (field 22 of `stat`); nil if it has ended, reaped or not.
    func startTime() throws(HostError) -> UInt64? {
        do throws(HostError) {
            return Self.startTime(parsing: try textFile("/proc/\(id)/stat"))
        } catch {
            guard Self.meansEnded(error) else { throw error }
            return nil
        }
    }

    /// Device and inode of its network namespace.
    var networkNamespace: Namespace? { Namespace(path: "/proc/\(id)/ns/net") }

    /// Its descriptors that are sockets. Empty for one that has ended.
    func sockets() throws(HostError) -> [SocketDescriptor] {
        let path = "/proc/\(id)/fd"
        do throws(HostError) {
            let directory = try Descriptor.open(path, flags: O_RDONLY | O_DIRECTORY, operation: "list")
            var sockets: [SocketDescriptor] = []
            for entry in try directory.entries(of: path) {
                guard let number = Int32(entry.name), let target = linkTarget(entry.name, at: directory.number),
                    target.hasPrefix("socket:["), target.hasSuffix("]"),
                    let inode = UInt64(target.dropFirst(8).dropLast())
                else { continue }
                sockets.append(SocketDescriptor(number: number, inode: inode))
            }
            return sockets
        } catch {
            guard Self.meansEnded(error) else { throw error }
            return []
        }
    }

    /// Files of a process that ends while they are open answer ESRCH.
    private static func meansEnded(_ error: HostError) -> Bool {
        error.kind == .missing || error.code == ESRCH
    }

    /// Reads field 22 of a `/proc/PID/stat`. The second field may hold blanks and parentheses; the last one ends it.
    /// A zombie (state Z or X) counts as ended.
    static func startTime(parsing text: String) -> UInt64? {
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(whereSeparator: { $0 == " " || $0 == "\n" })
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return UInt64(fields[19])
    }
}

/// What tells one namespace from another.
struct Namespace: Hashable {
    var device: UInt64
    var inode: UInt64

    /// The network namespace of the calling thread.
    static var current: Self? { Self(path: "/proc/thread-self/ns/net") }

    /// The namespace that a file below `/proc/PID/ns` names; nil if the process is gone.
    init?(path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }
}
