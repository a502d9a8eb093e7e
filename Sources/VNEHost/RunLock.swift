internal import CLinux
internal import Glibc

/// Has an instance one process of a kind: a lock on a file in `/run/vne`, for as long as this value lives. The kernel drops
/// it with the process, however that ends.
public final class RunLock {
    /// What a process is for an instance. The raw value ends the file's name.
    public enum Role: String, Sendable {
        /// It keeps the policy file and the kernel in line.
        case daemon
        /// It waits for a policy to be confirmed.
        case trial
    }

    /// Where the files are.
    public static let directory = "/run/vne"
    private let descriptor: Descriptor

    /// Takes the lock; refuses if another process has it.
    public init(_ role: Role, instance: String) throws(HostError) {
        let path = Self.path(role, instance)
        guard unsafe mkdir(Self.directory, 0o755) == 0 || errno == EEXIST else {
            throw .system("make the directory", Self.directory)
        }
        // Whoever can open it can lock it.
        descriptor = try Descriptor.create(path, mode: 0o600)
        _ = fchmod(descriptor.number, 0o600)
        guard flock(descriptor.number, LOCK_EX | LOCK_NB) == 0 else {
            guard errno == EWOULDBLOCK else { throw .system("lock", path) }
            throw HostError(
                .refused, "run a daemon for", instance,
                hint: "There is one already: process \(Self.owner(path) ?? "unknown").")
        }
        let text = Array("\(getpid())\n".utf8)
        let number = descriptor.number
        guard ftruncate(number, 0) == 0, unsafe write(number, text, text.count) == text.count else {
            throw .system("write to", path)
        }
    }

    /// The process that has a role for an instance; nil if none has.
    public static func holder(_ role: Role, instance: String) -> String? {
        let path = path(role, instance)
        guard let file = try? Descriptor.open(path) else { return nil }
        if flock(file.number, LOCK_SH | LOCK_NB) == 0 { return nil }
        return owner(path) ?? "unknown"
    }

    private static func path(_ role: Role, _ instance: String) -> String { "\(directory)/\(instance).\(role.rawValue)" }

    private static func owner(_ path: String) -> String? {
        (try? textFile(path))?.split(separator: "\n").first.map(String.init)
    }
}
