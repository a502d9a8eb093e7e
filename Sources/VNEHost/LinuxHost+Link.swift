public import PolicyModel

internal import Glibc

/// What is told to the other hosts of an interface's link, and asked of them.
///
/// Where hosts do not ask each other for addresses, on loopback and in tunnels, nobody has one and nobody is told.
extension LinuxHost {
    /// Who on the link of an interface has, or wants at the same time, one of some addresses: the hardware addresses of
    /// those who said so. It takes a quarter of a second if one is free. Those that are on this host's interfaces are not
    /// asked for.
    ///
    /// Three questions follow each other faster than RFC 5227 has it, whose five seconds are for links of seconds of
    /// delay: an address that moves from host to host is to be away for less than one.
    public func holders(of addresses: Set<IPAddress>, on interface: String) throws(HostError) -> [IPAddress: String] {
        let wanted = addresses.subtracting(try interfaceAddresses())
        let link = try carrier(named: interface)
        guard !wanted.isEmpty, let hardware = link.hardware else { return [:] }
        var sockets: [AddressFamily: PacketSocket] = [:]
        for family in Set(wanted.map(\.family)) { sockets[family] = try PacketSocket(family, on: link) }
        var found: [IPAddress: String] = [:]
        for _ in 0..<Self.probes {
            for address in wanted where found[address] == nil {
                try sockets[address.family]?.send(.probe(for: address, from: hardware))
            }
            let end = HostEvents.now + Self.probeInterval
            while HostEvents.now < end, found.count < wanted.count {
                try PacketSocket.wait(for: Array(sockets.values), until: end)
                for socket in sockets.values {
                    while let (message, sender) = try socket.receive() {
                        if let address = message.claimed, wanted.contains(address) { found[address] = "\(sender)" }
                    }
                }
            }
        }
        return found
    }

    /// Tells the hosts on the link of an interface that addresses are here now: gratuitous ARP, unsolicited neighbour
    /// advertisements. Twice, as nobody acknowledges it.
    public func announce(_ addresses: Set<IPAddress>, on interface: String) throws(HostError) {
        let link = try carrier(named: interface)
        guard let hardware = link.hardware else { return }
        for family in Set(addresses.map(\.family)) {
            let socket = try PacketSocket(family, on: link)
            for _ in 1...2 {
                for address in addresses where address.family == family {
                    try socket.send(.announcement(of: address, from: hardware))
                }
            }
        }
    }

    private static let probes = 3
    private static let probeInterval: Duration = .milliseconds(80)

    /// The interface that a policy names.
    private func carrier(named name: String) throws(HostError) -> NetworkLink {
        try interface().carrier(named: name)
    }
}
