import Glibc
import PolicyModel
import TestSupport

extension HookComparison {
    /// A packet that somebody sends to a socket of an application.
    private struct Packet: CustomStringConvertible {
        var transport: TransportProtocol
        /// TCP's flags.
        var flags: UInt8
        var source: IPv4Address
        var sourcePort: UInt16
        var destination: IPv4Address
        /// Ping: the identifier.
        var destinationPort: UInt16
        /// From the neighbour, not over loopback.
        var onWire: Bool
        /// The application at whose socket it arrives.
        var receiver: Int

        static let synchronize: UInt8 = 0x02
        static let reset: UInt8 = 0x04
        static let acknowledge: UInt8 = 0x10

        var opens: Bool { transport != .tcp || flags & 0x12 == Self.synchronize }
        var accepts: Bool { transport == .tcp && flags & 0x12 == 0x12 }

        var question: String {
            "packet \(onWire ? "veth0" : "lo") \(transport) \(flags) \(source) \(sourcePort) \(destination) "
                + "\(destinationPort)"
        }
        var description: String { "\(question) for application \(receiver)" }

        /// What the kernel drops before any socket, from the wire: sources that cannot be.
        var isMartian: Bool {
            onWire && (source.rawValue == 0 || source.rawValue >> 28 == 0xe || source.rawValue == .max)
        }
    }

    /// Sends a packet to an application and compares what its ingress hook says.
    mutating func packet() throws -> Tried? {
        if random.coin(0.1) { return try datagramOfHost() }
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
        var packet = Packet(
            transport: transport, flags: flags, source: anySource(), sourcePort: anyPort(),
            destination: member.subject.address, destinationPort: random.pick(HookWorld.ports), onWire: random.coin(),
            receiver: receiver)
        // Some come from ports of which no application has a socket.
        if random.coin(0.1) { packet.sourcePort = random.pick([4_444, 30_000]) }
        switch transport {
        case .tcp: break
        case .udp:
            if random.coin(0.25), let flow = flow(of: receiver) {
                (packet.source, packet.sourcePort, packet.destinationPort) = (
                    flow.remote, flow.remotePort, flow.localPort
                )
            }
        case .ping:
            (packet.sourcePort, packet.destinationPort) = (0, member.pingIdentifier)
            if random.coin(0.4), let flow = ledgers[receiver].outgoing.last(where: { $0.remotePort == 0 }) {
                packet.source = flow.remote
            }
        }
        if transport != .ping, random.coin(0.06) {
            packet.destinationPort = member.wildcardPort
            packet.destination = random.pick(HookWorld.addresses)
        }
        // A raw socket fills an address of zeros in.
        return packet.source.rawValue == 0 && !packet.onWire ? nil : packet
    }

    private mutating func anySource() -> IPv4Address {
        random.coin(0.25)
            ? random.pick(HookWorld.addresses)
            : random.address(near: landmarks)
    }

    /// A flow that the application began, or the peer of one of its connected sockets.
    private mutating func flow(of member: Int) -> FlowKey? {
        let flows = ledgers[member].outgoing.filter { $0.remotePort != 0 && HookWorld.ports.contains($0.localPort) }
        let all = flows + connected[member]
        return all.isEmpty ? nil : random.pick(all)
    }

    /// Sends one with the source that it says, whoever has that.
    private mutating func send(_ packet: Packet) throws -> Tried? {
        let owns = senderOwns(packet)
        guard let incoming = incoming(packet, senderOwnsSource: owns) else { return nil }
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
        if packet.transport == .tcp, verdict.allowed, isAnswered(packet) {
            var reset = incoming
            reset.arrival = .thisHost
            reset.opensFlow = false
            reset.acceptsFlow = false
            let answer = self.verdict(.incoming(reset), by: packet.receiver)
            try expect(someOf: [verdict.reason, answer.reason], .ingress, in: change, of: "\(packet)")
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
        let packet = Packet(
            transport: .udp, flags: 0, source: random.pick(HookWorld.addresses),
            sourcePort: random.pick([30_001, 30_080, 39_999]),
            destination: world.members[receiver].subject.address, destinationPort: random.pick(HookWorld.ports),
            onWire: false, receiver: receiver)
        guard let incoming = incoming(packet, senderOwnsSource: false) else { return nil }
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
    private func incoming(_ packet: Packet, senderOwnsSource: Bool) -> Incoming? {
        let key = flowKey(packet)
        guard let recorded = ledgers[packet.receiver].holds(key, incoming: false) else { return nil }
        let isTCP = packet.transport == .tcp
        return Incoming(
            packet.transport, from: packet.source, port: packet.sourcePort, to: packet.destination,
            port: packet.transport == .ping ? 0 : packet.destinationPort,
            arrival: packet.onWire ? .interface(world.wire) : .thisHost, opensFlow: packet.opens,
            answersFlow: !isTCP && (recorded || connected[packet.receiver].contains(key)),
            senderOwnsSource: senderOwnsSource, acceptsFlow: packet.accepts)
    }

    private func flowKey(_ packet: Packet) -> FlowKey {
        FlowKey(remote: packet.source, remotePort: packet.sourcePort, localPort: packet.destinationPort)
    }

    private mutating func remember(_ packet: Packet, _ verdict: Verdict) {
        guard packet.transport != .tcp else { return }
        ledgers[packet.receiver].record(flowKey(packet), incoming: true, reason: verdict.reason)
    }

    private func isOnThisHost(_ address: IPv4Address) -> Bool {
        HookWorld.addresses.contains(address) || address.rawValue >> 24 == 127
    }

    /// Whether the listener's answer brings the receiver another packet: its SYN-ACK a reset, or its reset itself.
    private func isAnswered(_ packet: Packet) -> Bool {
        packet.opens ? isOnThisHost(packet.source) : packet.source == packet.destination
    }

    /// Whether the kernel finds a socket of the application with the source's address where the packet says that it
    /// comes from: all that it can know of a forged packet.
    private func senderOwns(_ packet: Packet) -> Bool {
        guard let claimed = world.members.first(where: { $0.subject.address == packet.source }) else { return false }
        return HookWorld.ports.contains(packet.sourcePort) || packet.sourcePort == claimed.wildcardPort
    }
}
