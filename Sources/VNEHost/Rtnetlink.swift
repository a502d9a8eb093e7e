internal import CLinux
internal import Glibc

/// A network interface.
struct NetworkLink: Hashable {
    var index: UInt32
    var name: String
    var isUp: Bool
    /// `dummy`, `veth`, …; nil for hardware and `lo`.
    var kind: String?
}

/// An address of an interface.
struct InterfaceAddress: Hashable {
    /// AF_INET or AF_INET6.
    var family: UInt8
    var prefixLength: UInt8
    /// RT_SCOPE_….
    var scope: UInt8
    /// The interface's index.
    var link: UInt32
    /// The local address in network byte order: 4 or 16 bytes.
    var bytes: [UInt8]
    /// The peer's or the network's address in network byte order; that of the prefix.
    var prefixBytes: [UInt8]
    /// The directed broadcast address in network byte order, where one is set.
    var broadcast: [UInt8]?
    /// `lo:name` and the like; IPv4 only.
    var label: String?
}

/// Interfaces and their addresses, by rtnetlink. See rtnetlink(7).
final class Rtnetlink {
    private let session: NetlinkSession

    init(_ socket: any NetlinkSocket) {
        session = NetlinkSession(socket)
    }

    /// The interface of a name; nil if there is none.
    func link(named name: String) throws(HostError) -> NetworkLink? {
        // Longer names cannot exist, and the kernel takes asking for one as an error.
        guard (1...15).contains(name.utf8.count) else { return nil }
        let answer = try session.exchange(Self.linkRequest(named: name))
        guard answer.code != ENODEV else { return nil }
        try check(answer, "look at the interface", name)
        return answer.replies.compactMap(NetworkLink.init).first
    }

    /// Makes a `dummy` interface that is up; false if there is one of that name.
    ///
    /// Throws ``HostError/Kind/unsupported`` where the kernel has no such interfaces.
    func addDummy(named name: String) throws(HostError) -> Bool {
        let answer = try session.exchange(Self.addDummyRequest(named: name))
        guard answer.code != EEXIST else { return false }
        guard answer.code != EOPNOTSUPP else {
            throw .unsupported(
                "make the interface", name, code: answer.code, hint: "This kernel has no dummy interfaces.")
        }
        try check(answer, "make the interface", name)
        return true
    }

    /// Removes an interface; nothing if it is gone.
    func removeLink(_ link: NetworkLink) throws(HostError) {
        let answer = try session.exchange(Self.removeLinkRequest(link.index))
        guard answer.code != ENODEV else { return }
        try check(answer, "remove the interface", link.name)
    }

    /// Brings an interface up.
    func bringUp(_ link: NetworkLink) throws(HostError) {
        try check(try session.exchange(Self.bringUpRequest(link.index)), "bring up the interface", link.name)
    }

    /// Adds a single address; the `errno` of a refusal is the caller's to judge.
    func addAddress(_ bytes: [UInt8], to link: NetworkLink, label: String?) throws(HostError) -> NetlinkSession.Answer {
        try session.exchange(Self.addAddressRequest(bytes, to: link.index, label: label))
    }

    /// Removes a single address; false if it was not there.
    func removeAddress(_ bytes: [UInt8], from link: NetworkLink, subject: String) throws(HostError) -> Bool {
        let answer = try session.exchange(Self.removeAddressRequest(bytes, from: link.index))
        guard answer.code != EADDRNOTAVAIL, answer.code != ENODEV else { return false }
        try check(answer, "remove the address", subject)
        return true
    }

    /// Every address of a family (AF_INET, AF_INET6) in the namespace.
    func addresses(family: Int32) throws(HostError) -> [InterfaceAddress] {
        let answer = try session.exchange(Self.addressesRequest(family: family))
        // A kernel without IPv6 has no such table.
        guard answer.code != EOPNOTSUPP || family == AF_INET else { return [] }
        try check(answer, "list", "the addresses of this host")
        return answer.replies.compactMap(InterfaceAddress.init)
    }

    /// Throws what the kernel refused.
    func check(_ answer: NetlinkSession.Answer, _ operation: String, _ subject: String) throws(HostError) {
        guard answer.code == 0 else {
            let needed = answer.code == EPERM ? "Changing interfaces needs CAP_NET_ADMIN: run as root." : nil
            throw .system(operation, subject, code: answer.code, hint: needed ?? answer.text)
        }
    }
}
