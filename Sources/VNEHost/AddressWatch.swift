internal import CLinux
internal import Glibc

/// Hears that addresses come and go in a network namespace, by rtnetlink's groups.
///
/// As ``NameWatch``, it tells that something happened and not what.
final class AddressWatch {
    /// A descriptor that is readable while something waits to be heard.
    let descriptor: Descriptor

    /// - Parameter namespace: a file that names it; nil for the caller's own.
    init(namespace: String? = nil) throws(HostError) {
        let type = Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let number: Int32
        if let namespace {
            let file = try Descriptor.open(namespace)
            number = vne_socket_in(file.number, AF_NETLINK, type, NETLINK_ROUTE)
        } else {
            number = socket(AF_NETLINK, type, NETLINK_ROUTE)
        }
        guard number >= 0 else { throw .system("listen for changes of", "addresses") }
        descriptor = Descriptor.adopting(number)
        var address = sockaddr_nl()
        address.nl_family = sa_family_t(AF_NETLINK)
        address.nl_groups = UInt32(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR)
        let bound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe bind(
                number, UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_nl>.size))
        }
        guard bound == 0 else { throw .system("listen for changes of", "addresses") }
    }

    /// Takes what was heard; says whether it was something. What nobody took in time is lost, which counts as well.
    func hear() throws(HostError) -> Bool {
        var something = false
        var buffer = [UInt8](repeating: 0, count: 32768)
        while true {
            let number = descriptor.number
            let count = restarting {
                unsafe buffer.withUnsafeMutableBytes { unsafe recv(number, $0.baseAddress, $0.count, 0) }
            }
            if count < 0 {
                if errno == ENOBUFS {
                    something = true
                    continue
                }
                guard errno == EAGAIN else { throw .system("hear of changes of", "addresses") }
                return something
            }
            something = true
        }
    }
}
