internal import CLinux
internal import Glibc

/// The requests, as pure values.
extension Rtnetlink {
    /// RTM_GETLINK by name.
    static func linkRequest(named name: String) -> NetlinkMessage {
        var message = NetlinkMessage(type: Int(RTM_GETLINK), flags: NLM_F_ACK)
        message.append(linkHeader())
        message.attribute(Int(IFLA_IFNAME), string: name)
        return message
    }

    /// RTM_NEWLINK: a dummy, up from the start, so that no crash leaves one that is down.
    static func addDummyRequest(named name: String) -> NetlinkMessage {
        var message = NetlinkMessage(type: Int(RTM_NEWLINK), flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)
        message.append(linkHeader(flags: up, change: up))
        message.attribute(Int(IFLA_IFNAME), string: name)
        message.attribute(Int(IFLA_LINKINFO)) { $0.attribute(Int(IFLA_INFO_KIND), Array("dummy".utf8)) }
        return message
    }

    /// RTM_DELLINK by index.
    static func removeLinkRequest(_ index: UInt32) -> NetlinkMessage {
        var message = NetlinkMessage(type: Int(RTM_DELLINK), flags: NLM_F_ACK)
        message.append(linkHeader(index: index))
        return message
    }

    /// RTM_NEWLINK: IFF_UP, nothing else changed.
    static func bringUpRequest(_ index: UInt32) -> NetlinkMessage {
        var message = NetlinkMessage(type: Int(RTM_NEWLINK), flags: NLM_F_ACK)
        message.append(linkHeader(index: index, flags: up, change: up))
        return message
    }

    /// RTM_NEWADDR of a /32 or /128 that nobody picks as a source unasked.
    ///
    /// IPv6: `preferred_lft 0` makes it deprecated, the last choice of RFC 6724; no duplicate address detection, so that
    /// it can be bound to at once. IPv4 ignores deprecation, but an interface without an address of its own borrows one
    /// of global scope from another interface, and never one of link scope.
    static func addAddressRequest(_ bytes: [UInt8], to link: UInt32, label: String?) -> NetlinkMessage {
        var message = NetlinkMessage(type: Int(RTM_NEWADDR), flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)
        let isIPv4 = bytes.count == 4
        message.append(
            addressHeader(
                bytes, link: link, flags: isIPv4 ? 0 : UInt8(IFA_F_NODAD),
                scope: isIPv4 ? UInt8(RT_SCOPE_LINK.rawValue) : UInt8(RT_SCOPE_UNIVERSE.rawValue)))
        message.attribute(Int(IFA_LOCAL), bytes)
        message.attribute(Int(IFA_ADDRESS), bytes)
        if let label, isIPv4 { message.attribute(Int(IFA_LABEL), string: label) }
        // struct ifa_cacheinfo: preferred and valid lifetime, and two stamps that the kernel writes.
        message.attribute(
            Int(IFA_CACHEINFO),
            UInt32(0).nativeBytes + UInt32.max.nativeBytes + UInt32(0).nativeBytes + UInt32(0).nativeBytes)
        return message
    }

    /// RTM_DELADDR of a /32 or /128.
    static func removeAddressRequest(_ bytes: [UInt8], from link: UInt32) -> NetlinkMessage {
        var message = NetlinkMessage(type: Int(RTM_DELADDR), flags: NLM_F_ACK)
        message.append(addressHeader(bytes, link: link))
        message.attribute(Int(IFA_LOCAL), bytes)
        message.attribute(Int(IFA_ADDRESS), bytes)
        return message
    }

    /// RTM_GETADDR: a dump of a family.
    static func addressesRequest(family: Int32) -> NetlinkMessage {
        var message = NetlinkMessage(type: Int(RTM_GETADDR), flags: NLM_F_DUMP)
        message.append([UInt8(family), 0, 0, 0] + UInt32(0).nativeBytes)
        return message
    }

    private static var up: UInt32 { UInt32(IFF_UP) }

    /// struct ifinfomsg.
    private static func linkHeader(index: UInt32 = 0, flags: UInt32 = 0, change: UInt32 = 0) -> [UInt8] {
        [UInt8(AF_UNSPEC), 0, 0, 0] + index.nativeBytes + flags.nativeBytes + change.nativeBytes
    }

    /// struct ifaddrmsg for a single address.
    private static func addressHeader(
        _ bytes: [UInt8], link: UInt32, flags: UInt8 = 0, scope: UInt8 = 0
    ) -> [UInt8] {
        [UInt8(bytes.count == 4 ? AF_INET : AF_INET6), UInt8(bytes.count * 8), flags, scope] + link.nativeBytes
    }
}

extension NetworkLink {
    /// From an RTM_NEWLINK.
    init?(_ reply: NetlinkReply) {
        guard reply.type == UInt16(RTM_NEWLINK), let index = reply.payload.number(at: 4, as: UInt32.self),
            let flags = reply.payload.number(at: 8, as: UInt32.self)
        else { return nil }
        let attributes = reply.attributes(after: 16)
        guard let name = attributes[Int(IFLA_IFNAME)]?.text else { return nil }
        let information = attributes[Int(IFLA_LINKINFO)].map { NetlinkReply.attributes($0) }
        self.init(
            index: index, name: name, isUp: flags & UInt32(IFF_UP) != 0,
            kind: information?[Int(IFLA_INFO_KIND)]?.text)
    }
}

extension InterfaceAddress {
    /// From an RTM_NEWADDR.
    init?(_ reply: NetlinkReply) {
        let header = reply.payload.prefix(4)
        guard reply.type == UInt16(RTM_NEWADDR), header.count == 4,
            let link = reply.payload.number(at: 4, as: UInt32.self)
        else { return nil }
        let attributes = reply.attributes(after: 8)
        // On a link with a peer IFA_ADDRESS is the peer's; where there is no IFA_LOCAL it is the interface's own.
        guard let prefix = attributes[Int(IFA_ADDRESS)] ?? attributes[Int(IFA_LOCAL)] else { return nil }
        let local = attributes[Int(IFA_LOCAL)] ?? prefix
        self.init(
            family: header[header.startIndex], prefixLength: header[header.startIndex + 1],
            scope: header[header.startIndex + 3], link: link, bytes: Array(local), prefixBytes: Array(prefix),
            broadcast: attributes[Int(IFA_BROADCAST)].map { Array($0) }, label: attributes[Int(IFA_LABEL)]?.text)
    }
}
