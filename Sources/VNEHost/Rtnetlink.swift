internal import CLinux
internal import Glibc
internal import PolicyModel

/// A network interface.
struct NetworkLink: Hashable {
    var index: UInt32
    var name: String
    var isUp: Bool
    /// `dummy`, `veth`, …; nil for hardware and `lo`.
    var kind: String?
    /// The address that Ethernet frames of it have; nil where hosts do not ask each other for addresses: loopback,
    /// tunnels, IFF_NOARP.
    var hardware: HardwareAddress?
}

/// An address of an interface.
struct InterfaceAddress: Hashable {
    /// The interface's own address.
    var address: IPAddress
    /// The network that it leads to; on a link with a peer, the peer's.
    var prefix: IPPrefix
    /// RT_SCOPE_….
    var scope: UInt8
    /// The interface's index.
    var link: UInt32
    /// The directed broadcast address, where one is set; IPv4 only.
    var broadcast: IPAddress?
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
    func addAddress(
        _ address: IPAddress, to link: NetworkLink, label: String?
    ) throws(HostError) -> NetlinkSession.Answer {
        try session.exchange(Self.addAddressRequest(address, to: link.index, label: label))
    }

    /// Removes a single address; false if it was not there.
    func removeAddress(_ address: IPAddress, from link: NetworkLink) throws(HostError) -> Bool {
        let answer = try session.exchange(Self.removeAddressRequest(address, from: link.index))
        switch answer.code {
        case EADDRNOTAVAIL, ENODEV: return false
        // A kernel without IPv6 has none of its addresses.
        case EOPNOTSUPP where address.family == .ipv6, EAFNOSUPPORT where address.family == .ipv6: return false
        default:
            try check(answer, "remove the address", "\(address)")
            return true
        }
    }

    /// Every IPv4 and IPv6 address in the namespace.
    func addresses() throws(HostError) -> [InterfaceAddress] {
        let answer = try session.exchange(Self.addressesRequest())
        try check(answer, "list", "the addresses of this host")
        return answer.replies.compactMap(InterfaceAddress.init)
    }

    /// The IPv6 anycast addresses in the namespace, which are not among ``addresses()``.
    func anycastAddresses() throws(HostError) -> [IPAddress] {
        let answer = try session.exchange(Self.anycastAddressesRequest())
        // A kernel without IPv6 has no such table.
        guard answer.code != EOPNOTSUPP else { return [] }
        try check(answer, "list", "the anycast addresses of this host")
        return answer.replies.compactMap { reply in
            guard reply.type == UInt16(RTM_GETANYCAST) else { return nil }
            return reply.attributes(after: 8)[Int(IFA_ANYCAST)].flatMap { IPAddress(networkBytes: $0) }
        }
    }

    /// Whether packets for an IPv6 address are delivered on this host (RTN_LOCAL).
    func isLocal(_ address: IPAddress) throws(HostError) -> Bool {
        // Where no route leads there, the refusal says so.
        let answer = try session.exchange(Self.routeRequest(to: address))
        return answer.replies.contains { reply in
            reply.type == UInt16(RTM_NEWROUTE) && reply.payload.dropFirst(7).first == UInt8(RTN_LOCAL)
        }
    }

    /// Throws what the kernel refused.
    func check(_ answer: NetlinkSession.Answer, _ operation: String, _ subject: String) throws(HostError) {
        guard answer.code == 0 else {
            let needed = answer.code == EPERM ? "Changing interfaces needs CAP_NET_ADMIN: run as root." : nil
            throw .system(operation, subject, code: answer.code, hint: needed ?? answer.text)
        }
    }
}
