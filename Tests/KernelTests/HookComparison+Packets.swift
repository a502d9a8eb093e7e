import Glibc
import PolicyModel
import TestSupport

extension HookComparison {
    /// A packet that somebody sends to a socket of an application.
    private struct Packet: CustomStringConvertible {
        var transport: TransportProtocol
        /// TCP's flags.
        var flags: UInt8
        var source: IPAddress
        var sourcePort: UInt16
        var destination: IPAddress
        /// Ping: the identifier.
        var destinationPort: UInt16
        /// From the neighbour, not over loopback.
        var onWire: Bool
        /// IPv6: there is a header of options between that of IPv6 and that of the transport.
        var hasOptions = false
        /// The application at whose socket it arrives.
        var receiver: Int

        static let synchronize: UInt8 = 0x02
        static let reset: UInt8 = 0x04
        static let acknowledge: UInt8 = 0x10

        var opens: Bool { transport != .tcp || flags & 0x12 == Self.synchronize }
        var accepts: Bool { transport == .tcp && flags & 0x12 == 0x12 }

        var question: String {
            "packet \(onWire ? "veth0" : "lo") \(transport) \(flags) \(source) \(sourcePort) \(destination) "
                + "\(destinationPort) \(hasOptions ? 1 : 0)"
        }
        var description: String { "\(question) for application \(receiver)" }

        /// What the kernel drops before any socket: sources that cannot be. Over loopback it does not look at IPv4's.
        var isMartian: Bool {
            guard let ipv4 = source.ipv4 else {
                return source.rawValue >> 120 == 0xff || (onWire && source == HookWorld.localhost(.ipv6))
            }
            return onWire && (ipv4 == 0 || ipv4 >> 28 == 0xe || ipv4 == .max)
        }
    }

    /// Sends a packet to an application and compares what its ingress hook says.
    mutating func packet() throws -> Tried? {
        if random.coin(0.1) { return try datagramOfHost() }
        if random.coin(0.03) { return try mappedPacket() }
        guard let packet = randomPacket() else { return nil }
        return try send(packet)
    }

    private mutating func randomPacket() -> Packet? {
        let receiver = anyMember()
        let member = world.members[receiver]
        let transport = random.pick([TransportProtocol.tcp, .tcp, .udp, .udp, .ping])
        let flags = random.pick([
            Packet.synchronize, Packet.synchronize, Packet.synchronize | Packet.acknowledge, Packet.acknowledge,
            Packet.reset, Packet.reset | Packet.acknowledge, 0x11,
        ])
        // To a wildcard's socket, or to one that asked for loopback.
        let isToLoopback = transport != .ping && random.coin(0.25)
        let destination =
            isToLoopback
            ? random.pick(["127.0.0.1", "127.0.1.1", "::1"].compactMap { member.bound(HookWorld.address($0)) })
            : random.pick(member.subject.addresses.all)
        var packet = Packet(
            transport: transport, flags: flags, source: anySource(destination.family, of: receiver),
            sourcePort: random.coin(0.25) ? anyLoopbackPort() : anyPort(), destination: destination,
            destinationPort: isToLoopback ? HookWorld.loopbackPort : random.pick(HookWorld.ports),
            onWire: random.coin(), receiver: receiver)
        let shared = (host.sharedServices + policy.loopbackShared).filter { $0.address.family == destination.family }
        if random.coin(0.06), !shared.isEmpty {
            let service = random.pick(shared)
            (packet.source, packet.sourcePort) = (service.address, service.port)
        }
        // Some come from ports of which no application has a socket.
        if random.coin(0.1) { packet.sourcePort = random.pick([4_444, 30_000]) }
        switch transport {
        case .tcp: break
        case .udp:
            if random.coin(0.25), let flow = flow(of: receiver), let own = member.subject.addresses[flow.remote.family]
            {
                (packet.source, packet.sourcePort) = (flow.remote, flow.remotePort)
                (packet.destination, packet.destinationPort) = (own, flow.localPort)
            }
        case .ping:
            guard let identifier = member.pingIdentifiers[destination.family] else { return nil }
            (packet.sourcePort, packet.destinationPort) = (0, identifier)
            let flows = ledgers[receiver].outgoing
            if random.coin(0.4), let flow = flows.last(where: { $0.remotePort == 0 && $0.localPort == identifier }),
                flow.remote.family == destination.family
            {
                packet.source = flow.remote
            }
        }
        if transport != .ping, random.coin(0.08) {
            packet.destinationPort = member.wildcardPort
            let addresses = HookWorld.addresses + HookWorld.loopbackAddresses
            packet.destination = random.pick(addresses.filter { $0.family == packet.source.family })
        }
        if transport == .udp, random.coin(0.15) {
            // Only the sockets that were bound before the application was attached hear groups.
            packet.destinationPort = member.wildcardPort
            packet.destination = random.pick(HookWorld.groups.filter { $0.family == packet.source.family })
            let isIPv6 = packet.destination.family == .ipv6
            if isIPv6 { packet.onWire = true }
            // The kernel knows when a host without an address may speak.
            if packet.source.isUnspecified { return nil }
        }
        packet.hasOptions = packet.source.family == .ipv6 && random.coin(0.15)
        // The kernel takes nothing from the wire to ::1. A raw socket fills an address of zeros in.
        if packet.onWire, packet.destination == HookWorld.localhost(.ipv6) { return nil }
        return packet.source == HookWorld.address("0.0.0.0") && !packet.onWire ? nil : packet
    }

    private mutating func anySource(_ family: AddressFamily, of receiver: Int) -> IPAddress {
        let subject = world.members[receiver].subject
        switch random.number(in: 0..<20) {
        case 0..<5:
            let addresses = HookWorld.addresses + HookWorld.loopbackAddresses
            return random.pick(addresses.filter { $0.family == family })
        case 5..<8:
            let loopback = random.pick(["127.0.0.1", "127.0.0.53", "127.0.1.1"].map { HookWorld.address($0) })
            let asked = family == .ipv4 ? loopback : HookWorld.localhost(.ipv6)
            return subject.loopback.own(asked) ?? asked
        case 8..<9:
            return subject.addresses[family] ?? HookWorld.localhost(family)
        default:
            return random.address(family, near: landmarks)
        }
    }

    /// An IPv6 packet to an IPv4 address of the application in its IPv6 form. The kernel has a socket for it, one that
    /// takes both families; nobody may send such a packet, whatever its source.
    private mutating func mappedPacket() throws -> Tried? {
        let transport = random.pick([TransportProtocol.tcp, .udp])
        let source = random.address(.ipv6, near: landmarks)
        let packet = Packet(
            transport: transport, flags: Packet.synchronize, source: source, sourcePort: anyPort(),
            destination: HookWorld.localhost(.ipv6), destinationPort: HookWorld.dualPort, onWire: random.coin(),
            receiver: 0)
        guard !packet.isMartian else { return nil }
        let path = packet.onWire ? "veth0" : "lo"
        let question =
            "packet \(path) \(transport) \(packet.flags) \(source) \(packet.sourcePort) \(HookWorld.mappedAddress) "
            + "\(packet.destinationPort)"
        let before = try watch(packet.receiver)
        try (packet.onWire ? world.neighbour : world.host).demand(question)
        let change = try change(of: packet.receiver, since: before, packets: 1)
        try expect(Verdict(allowed: false, reason: .malformed), .ingress, in: change, of: question)
        return Tried(packets: 1)
    }

    /// A flow that the application began, or the peer of one of its connected sockets.
    private mutating func flow(of member: Int) -> FlowKey? {
        let flows = ledgers[member].outgoing.filter { $0.remotePort != 0 && HookWorld.ports.contains($0.localPort) }
        let all = flows + connected[member]
        return all.isEmpty ? nil : random.pick(all)
    }

    /// Sends one with the source that it says, whoever has that.
    private mutating func send(_ packet: Packet) throws -> Tried? {
        guard let incoming = incoming(packet, sender: senderOwns(packet) ? .owner : .unknown) else { return nil }
        if packet.accepts {
            let handshake = Handshake(
                client: packet.destination, clientPort: packet.destinationPort, server: packet.source,
                serverPort: packet.sourcePort)
            // The SYN that it answers was let in, perhaps just now.
            if handshakes.contains(handshake) { return nil }
        }
        let verdict = verdict(.incoming(incoming), by: packet.receiver)
        let before = try watch(packet.receiver)
        try (packet.onWire ? world.neighbour : world.host).demand(packet.question)
        if packet.isMartian {
            try expect([:], .ingress, in: try change(of: packet.receiver, since: before), of: "\(packet)")
            return Tried()
        }
        var change = try change(of: packet.receiver, since: before, packets: 1)
        if packet.transport == .tcp, verdict.allowed, isOnThisHost(packet.source) {
            // The listener answers, and what it answers is answered: nothing of that may come into the next attempt.
            usleep(5_000)
            change = try self.change(of: packet.receiver, since: before)
        }
        if packet.transport == .tcp, verdict.allowed, isOnThisHost(packet.source) {
            let reasons = answers(to: packet).map { self.verdict(.incoming($0), by: packet.receiver).reason }
            try expect(someOf: Set(reasons + [verdict.reason]), .ingress, in: change, of: "\(packet)")
            guard change.reasons(.ingress)[verdict.reason] != nil else {
                throw Difference(text: "\(packet): the model says \(verdict), \(change.reasons(.ingress)) was counted")
            }
        } else {
            try expect(verdict, .ingress, in: change, of: "\(packet)")
        }
        if packet.transport == .tcp, packet.opens, !packet.onWire, verdict.allowed {
            handshakes.insert(
                Handshake(
                    client: packet.source, clientPort: packet.sourcePort, server: packet.destination,
                    serverPort: packet.destinationPort))
        }
        remember(packet, verdict)
        return Tried(packets: 1)
    }

    /// Has a process of the host send a datagram from a socket of its own, which is bound to any address that the host
    /// has, applications' included.
    private mutating func datagramOfHost() throws -> Tried? {
        let receiver = anyMember()
        let source = random.pick(HookWorld.addresses + HookWorld.loopbackAddresses)
        let own = world.members[receiver].bound(HookWorld.localhost(source.family))
        let isToLoopback = random.coin(0.3)
        guard let destination = isToLoopback ? own : world.members[receiver].subject.addresses[source.family] else {
            return nil
        }
        let packet = Packet(
            transport: .udp, flags: 0, source: source, sourcePort: random.pick([30_001, 30_080, 39_999]),
            destination: destination,
            destinationPort: isToLoopback ? HookWorld.loopbackPort : random.pick(HookWorld.ports), onWire: false,
            receiver: receiver)
        guard let incoming = incoming(packet, sender: .other) else { return nil }
        let verdict = verdict(.incoming(incoming), by: receiver)
        let before = try watch(receiver)
        try world.host.demand(
            "send_from \(packet.source) \(packet.sourcePort) \(packet.destination) \(packet.destinationPort)")
        let attempt = "the host sends \(packet)"
        try expect(verdict, .ingress, in: try change(of: receiver, since: before, packets: 1), of: attempt)
        remember(packet, verdict)
        return Tried(packets: 1)
    }

    /// The packet as the model sees it; nil where it can't be told whether it answers a flow.
    private func incoming(_ packet: Packet, sender: Incoming.Sender) -> Incoming? {
        let key = flowKey(packet)
        guard let recorded = ledgers[packet.receiver].holds(key, incoming: false) else { return nil }
        let isTCP = packet.transport == .tcp
        return Incoming(
            packet.transport, from: packet.source, port: packet.sourcePort, to: packet.destination,
            port: packet.transport == .ping ? 0 : packet.destinationPort,
            arrival: packet.onWire ? .interface(world.wire) : .thisHost, opensFlow: packet.opens,
            answersFlow: !isTCP && (recorded || connected[packet.receiver].contains(key)),
            sender: sender, acceptsFlow: packet.accepts)
    }

    private func flowKey(_ packet: Packet) -> FlowKey {
        FlowKey(remote: packet.source, remotePort: packet.sourcePort, localPort: packet.destinationPort)
    }

    private mutating func remember(_ packet: Packet, _ verdict: Verdict) {
        guard packet.transport != .tcp else { return }
        ledgers[packet.receiver].record(flowKey(packet), incoming: true, reason: verdict.reason)
    }

    private func isOnThisHost(_ address: IPAddress) -> Bool {
        HookWorld.addresses.contains(address) || address == HookWorld.localhost(.ipv6)
            || address.ipv4.map { $0 >> 24 == 127 } == true
    }

    /// What else may come to the receiver's sockets if its listener takes a segment from this host. A SYN is answered by a
    /// SYN-ACK, which nobody waits for and which is reset; anything else is reset. Where both ends are the receiver's the
    /// answer comes to a socket of it, too.
    private func answers(to packet: Packet) -> [Incoming] {
        func segment(back: Bool, accepts: Bool = false, owned: Bool = true) -> Incoming {
            let (from, to) = back ? (packet.destination, packet.source) : (packet.source, packet.destination)
            let (port, toPort) =
                back
                ? (packet.destinationPort, packet.sourcePort) : (packet.sourcePort, packet.destinationPort)
            return Incoming(
                .tcp, from: from, port: port, to: to, port: toPort, arrival: .thisHost, opensFlow: false,
                sender: owned ? .owner : .unknown, acceptsFlow: accepts)
        }
        let subject = world.members[packet.receiver].subject
        // A reset by the kernel itself has no sender that could be found.
        var answers = packet.opens ? [segment(back: false), segment(back: false, owned: false)] : []
        if subject.addresses.contains(packet.source) || subject.loopback.contains(packet.source) {
            answers += [segment(back: true), segment(back: true, owned: false), segment(back: false)]
            if packet.opens { answers.append(segment(back: true, accepts: true)) }
        }
        return answers
    }

    /// Whether the kernel finds a socket of the application with the source's address where the packet says that it
    /// comes from: all that it can know of a forged packet.
    private func senderOwns(_ packet: Packet) -> Bool {
        let receiver = world.members[packet.receiver]
        let isOwnLoopback = receiver.subject.loopback.contains(packet.source)
        let claimed =
            isOwnLoopback ? receiver : world.members.first { $0.subject.addresses.contains(packet.source) }
        guard let claimed else { return false }
        func hasSocket(_ address: IPAddress?) -> Bool {
            guard let address else { return false }
            let place = HookWorld.Place(transport: packet.transport, address: address, port: packet.sourcePort)
            return claimed.sockets[place] != nil
        }
        // A wildcard of both families sends IPv6 too, though it is bound to IPv4.
        if packet.transport == .udp, packet.source.family == .ipv6, let ipv4 = claimed.subject.addresses.ipv4,
            claimed.sockets[HookWorld.Place(transport: .udp, address: ipv4, port: packet.sourcePort)]?.isDual == true
        {
            return true
        }
        // A datagram to loopback has a loopback source though its socket may be bound to the wildcard.
        return hasSocket(packet.source) || packet.sourcePort == claimed.wildcardPort
            || (isOwnLoopback && packet.transport == .udp && hasSocket(claimed.subject.addresses[packet.source.family]))
    }
}
