internal import CLinux
internal import Glibc

/// Looks at descriptors of another process, by duplicating them for a moment (`pidfd_getfd`, Linux 5.6).
final class ForeignDescriptors {
    private let pidfd: Int32
    /// Why there is no descriptor of the process; 0 if there is.
    private let failure: Int32

    init(process id: UInt32) {
        pidfd = vne_pidfd_open(pid_t(id))
        failure = pidfd < 0 ? errno : 0
    }

    deinit {
        if pidfd >= 0 { _ = close(pidfd) }
    }

    /// What kind of socket a descriptor is, if it is one that could carry IP traffic; nil for every other descriptor and
    /// for one that was closed meanwhile. One that cannot be looked at is named, since it could be anything.
    func summary(of descriptor: Int32) -> String? {
        let number = failure == 0 ? vne_pidfd_getfd(pidfd, descriptor) : -1
        guard number >= 0 else {
            let code = failure == 0 ? errno : failure
            switch code {
            case EBADF, ESRCH: return nil
            default: return "a socket that could not be looked at (\(unsafe String(cString: strerror(code))))"
            }
        }
        let duplicate = Descriptor.adopting(number)
        guard let family = Self.option(duplicate, SO_DOMAIN) else { return nil }
        let type = Self.option(duplicate, SO_TYPE) ?? 0
        let number6 = family == AF_INET6 ? "6" : ""
        switch family {
        // They reach other processes of this host, the kernel, or nobody.
        case AF_UNIX, AF_NETLINK, AF_ALG: return nil
        case AF_INET, AF_INET6:
            if type == Int32(SOCK_RAW.rawValue) {
                return "raw\(number6) socket, which the kernel does not attribute to a cgroup"
            }
            let name =
                switch Self.option(duplicate, SO_PROTOCOL) ?? 0 {
                case Int32(IPPROTO_TCP): "tcp"
                case Int32(IPPROTO_UDP): "udp"
                // IPPROTO_MPTCP, which this C library's header may lack.
                case 262: "mptcp"
                case let other: "protocol \(other)"
                }
            return "\(name)\(number6) socket, not bound or of another namespace, which the kernel does not attribute"
        case AF_PACKET: return "packet socket, which no cgroup program sees"
        default: return "socket of address family \(family), which no cgroup program sees"
        }
    }

    private static func option(_ socket: borrowing Descriptor, _ name: Int32) -> Int32? {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard unsafe getsockopt(socket.number, SOL_SOCKET, name, &value, &size) == 0 else { return nil }
        return value
    }
}
