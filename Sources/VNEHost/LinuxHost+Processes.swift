public import PolicyModel

internal import CLinux
internal import Glibc

/// Processes and their namespaces.
extension LinuxHost {
    /// Processes in the cgroup or below it whose network namespace is not the instance's.
    public func foreignNamespaceProcesses(of path: String) throws(HostError) -> [UInt32] {
        guard let own = Namespace.current else { throw .system("look at", "/proc/thread-self/ns/net") }
        // One that has ended meanwhile has no namespace; a zombie has none either.
        return try processes(below: path).filter { id in
            guard let namespace = ProcessEntry(id: id).networkNamespace else { return false }
            return namespace != own
        }
    }

    /// Whether this process is still there. A zombie is not, and neither is a later process with the same id; one that
    /// cannot be looked at is.
    public func isAlive(_ launcher: AttachedApplication.Launcher) -> Bool {
        do throws(HostError) {
            return try ProcessEntry(id: launcher.process).startTime() == launcher.startTime
        } catch {
            return true
        }
    }

    /// This process, as the launcher of an application.
    public static func currentLauncher() throws(HostError) -> AttachedApplication.Launcher {
        let id = UInt32(getpid())
        guard let startTime = try ProcessEntry(id: id).startTime() else {
            throw .system("read", "/proc/self/stat", code: ENOENT)
        }
        return AttachedApplication.Launcher(process: id, startTime: startTime)
    }

    /// The kernel's cookie of the calling thread's network namespace (SO_NETNS_COOKIE, Linux 5.14): never 0, and never
    /// given twice before the next boot.
    public static func networkNamespaceCookie() throws(HostError) -> UInt64 {
        let operation = "tell the cookie of"
        let subject = "the network namespace"
        let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { throw .system(operation, subject) }
        let socket = Descriptor.adopting(number)
        var cookie: UInt64 = 0
        var size = socklen_t(MemoryLayout<UInt64>.size)
        guard unsafe getsockopt(socket.number, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0 else {
            guard errno == ENOPROTOOPT else { throw .system(operation, subject) }
            throw .unsupported(operation, subject, code: errno, hint: "It needs Linux 5.14.")
        }
        return cookie
    }
}

/// The kernel.
extension LinuxHost {
    /// Its release, as uname(2) says it.
    public static var kernelRelease: String {
        var names = utsname()
        guard unsafe uname(&names) == 0 else { return "unknown" }
        return unsafe withUnsafeBytes(of: names.release) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
