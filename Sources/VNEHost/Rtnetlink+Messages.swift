internal import CLinux
internal import Glibc
internal import PolicyModel

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
    /// it can be bound to at once; and no route but the local one. IPv4 ignores deprecation, but an interface without an
    /// address of its own borrows one of global scope from another interface, and never one of link scope.
    static func addAddressRequest(_ address: IPAddress, to link: UInt32, label: String?) -> NetlinkMessage {
        let bytes = address.networkBytes
        let isIPv4 = address.family == .ipv4
        var message = NetlinkMessage(type: Int(RTM_NEWADDR), flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)
        message.append(
            addressHeader(address, link: link, scope: UInt8((isIPv4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE).rawValue)))
        message.attribute(Int(IFA_LOCAL), bytes)
        message.attribute(Int(IFA_ADDRESS), bytes)
        if let label, isIPv4 { message.attribute(Int(IFA_LABEL), string: label) }
        // The header has room for the lower eight flags only.
        if !isIPv4 { message.attribute(Int(IFA_FLAGS), UInt32(IFA_F_NODAD | IFA_F_NOPREFIXROUTE).nativeBytes) }
        // struct ifa_cacheinfo: preferred and valid lifetime, and two stamps that the kernel writes.
        message.attribute(
            Int(IFA_CACHEINFO),
            UInt32(0).nativeBytes + UInt32.max.nativeBytes + UInt32(0).nativeBytes + UInt32(0).nativeBytes)
        return message
    }

    /// RTM_DELADDR of a /32 or /128.
    static func removeAddressRequest(_ address: IPAddress, from link: UInt32) -> NetlinkMessage {
        var message = NetlinkMessage(type: Int(RTM_DELADDR), flags: NLM_F_ACK)
        message.append(addressHeader(address, link: link))
        message.attribute(Int(IFA_LOCAL), address.networkBytes)
        message.attribute(Int(IFA_ADDRESS), address.networkBytes)
        return message
    }

    /// RTM_GETADDR: a dump of every family that the kernel has.
    static func addressesRequest() -> NetlinkMessage {
        dumpRequest(Int(RTM_GETADDR), family: AF_UNSPEC)
    }

    /// RTM_GETANYCAST: a dump of IPv6's.
    static func anycastAddressesRequest() -> NetlinkMessage {
        dumpRequest(Int(RTM_GETANYCAST), family: AF_INET6)
    }

    /// RTM_GETROUTE: where a packet for this address would go.
    static func routeRequest(to address: IPAddress) -> NetlinkMessage {
        var message = NetlinkMessage(type: Int(RTM_GETROUTE), flags: NLM_F_ACK)
        // struct rtmsg: family, length of the destination, and six bytes that say nothing; then its flags. The route as it
        // is in the table (Linux 4.13): for a whole answer the kernel would look for a source among all addresses.
        message.append([number(of: address.family), UInt8(address.networkBytes.count * 8)])
        message.append([UInt8](repeating: 0, count: 6) + UInt32(RTM_F_FIB_MATCH).nativeBytes)
        message.attribute(Int(RTA_DST.rawValue), address.networkBytes)
        return message
    }

    /// RTM_NEWROUTE to a single IPv4 address in the main table, in place of whatever route of that priority leads there.
    /// - Parameter way: where to; nil for a route by which packets are dropped without a word.
    static func singleRouteRequest(
        to address: IPAddress, _ way: (gateway: IPAddress?, link: UInt32)?, protocol number: UInt8
    ) -> NetlinkMessage {
        var message = NetlinkMessage(type: Int(RTM_NEWROUTE), flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE)
        // struct rtmsg: family, lengths of destination and source, type of service; table, protocol, scope, type; flags.
        let isDirect = way.map { $0.gateway == nil } ?? false
        message.append([Self.number(of: .ipv4), 32, 0, 0])
        message.append([
            UInt8(RT_TABLE_MAIN.rawValue), number,
            UInt8((isDirect ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE).rawValue),
            UInt8(way == nil ? RTN_BLACKHOLE : RTN_UNICAST),
        ])
        message.append(UInt32(0))
        message.attribute(Int(RTA_DST.rawValue), address.networkBytes)
        if let way {
            if let gateway = way.gateway { message.attribute(Int(RTA_GATEWAY.rawValue), gateway.networkBytes) }
            message.attribute(Int(RTA_OIF.rawValue), way.link.nativeBytes)
        }
        return message
    }

    /// struct ifaddrmsg, all zero but the family.
    private static func dumpRequest(_ type: Int, family: Int32) -> NetlinkMessage {
        var message = NetlinkMessage(type: type, flags: NLM_F_DUMP)
        message.append([UInt8(family), 0, 0, 0] + UInt32(0).nativeBytes)
        return message
    }

    private static var up: UInt32 { UInt32(IFF_UP) }

    /// struct ifinfomsg.
    private static func linkHeader(index: UInt32 = 0, flags: UInt32 = 0, change: UInt32 = 0) -> [UInt8] {
        [UInt8(AF_UNSPEC), 0, 0, 0] + index.nativeBytes + flags.nativeBytes + change.nativeBytes
    }

    /// struct ifaddrmsg for a single address.
    private static func addressHeader(_ address: IPAddress, link: UInt32, scope: UInt8 = 0) -> [UInt8] {
        [number(of: address.family), UInt8(address.networkBytes.count * 8), 0, scope] + link.nativeBytes
    }

    private static func number(of family: AddressFamily) -> UInt8 {
        switch family {
        case .ipv4: UInt8(AF_INET)
        case .ipv6: UInt8(AF_INET6)
        }
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
        // struct ifinfomsg has the type of hardware in its third and fourth byte; 1 is ARPHRD_ETHER.
        let isAsked = flags & UInt32(IFF_NOARP | IFF_LOOPBACK) == 0 && reply.payload.number(at: 2, as: UInt16.self) == 1
        let hardware = attributes[Int(IFLA_ADDRESS)].flatMap { HardwareAddress(Array($0)) }
        let information = attributes[Int(IFLA_LINKINFO)].map { NetlinkReply.attributes($0) }
        self.init(
            index: index, name: name, isUp: flags & UInt32(IFF_UP) != 0,
            kind: information?[Int(IFLA_INFO_KIND)]?.text, hardware: isAsked ? hardware : nil)
    }
}

extension InterfaceAddress {
    /// From an RTM_NEWADDR of IPv4 or IPv6.
    init?(_ reply: NetlinkReply) {
        let header = Array(reply.payload.prefix(4))
        guard reply.type == UInt16(RTM_NEWADDR), header.count == 4,
            let link = reply.payload.number(at: 4, as: UInt32.self)
        else { return nil }
        let attributes = reply.attributes(after: 8)
        // On a link with a peer IFA_ADDRESS is the peer's; where there is no IFA_LOCAL it is the interface's own.
        guard let network = (attributes[Int(IFA_ADDRESS)] ?? attributes[Int(IFA_LOCAL)]).flatMap(Self.address),
            let address = attributes[Int(IFA_LOCAL)].map(Self.address) ?? network
        else { return nil }
        // An IPv4-mapped address that someone gave to an interface is in no packet: it is left out.
        switch network.family {
        case .ipv4: guard header[0] == UInt8(AF_INET), header[1] <= 32 else { return nil }
        case .ipv6: guard header[0] == UInt8(AF_INET6), header[1] <= 128 else { return nil }
        }
        self.init(
            address: address, prefix: IPPrefix(holding: network, length: Int(header[1])), scope: header[3], link: link,
            broadcast: attributes[Int(IFA_BROADCAST)].flatMap(Self.address), label: attributes[Int(IFA_LABEL)]?.text)
    }

    private static func address(_ bytes: ArraySlice<UInt8>) -> IPAddress? {
        IPAddress(networkBytes: bytes)
    }
}
