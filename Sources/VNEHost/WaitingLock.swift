internal import CLinux
internal import Glibc

/// A lock on a file that processes wait for, for as long as this value lives. The kernel drops it with the process, however
/// that ends.
public final class WaitingLock: Sendable {
    private let descriptor: Descriptor

    /// Takes the lock once no other process has it.
    /// - Parameter path: a file in a directory that only those may open who may take the lock; it is made if it is not there.
    public init(_ path: String) throws(HostError) {
        descriptor = try Descriptor.create(path, mode: 0o600)
        let number = descriptor.number
        guard restarting({ flock(number, LOCK_EX) }) == 0 else { throw .system("lock", path) }
    }
}
