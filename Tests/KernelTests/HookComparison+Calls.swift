import Glibc
import PolicyModel
import TestSupport

extension HookComparison {
    /// Has an application make some system call.
    mutating func call() throws -> Tried? {
        let member = anyMember()
        switch random.number(in: 0..<100) {
        case 0..<35: return try connect(member)
        case 35..<45: return try connectDatagrams(member)
        case 45..<75: return try send(member)
        case 75..<87: return try bind(member)
        case 87..<92: return try create(member)
        case 92..<96: return try ping(member)
        default: return try native(member)
        }
    }

    private mutating func family() -> String { random.coin(0.75) ? "4" : "6" }

    // MARK: - TCP

    private mutating func connect(_ member: Int) throws -> Tried? {
        let (peer, port) = anyPeer()
        let verdict = verdict(.outgoing(Outgoing(.tcp, to: peer, port: port)), by: member)
        let server = listener(at: peer, port)
        let before = try watch(member, server)
        // A socket of a protocol that is not allowed can only be an earlier policy's.
        let question = speaks(.tcp, member) ? "connect \(family()) tcp" : "connect_held stock-tcp"
        let attempt = "\(world.members[member].subject) \(question) \(peer) \(port)"
        let answer = try world.members[member].prober.ask("\(question) \(peer) \(port)")
        let change = try change(of: member, since: before)
        try expect(verdict, .connect, in: change, of: attempt)
        try expect(answer.errno, after: verdict, of: attempt)
        guard verdict.allowed, answer.errno == 0, let server else { return Tried(calls: 1) }
        let ports = (client: UInt16(truncatingIfNeeded: answer.value), server: port)
        try converse(member, server, ports, since: before, attempt)
        return Tried(calls: 1, packets: 1)
    }

    /// The application that listens there.
    private func listener(at address: IPv4Address, _ port: UInt16) -> Int? {
        guard HookWorld.ports.contains(port) else { return nil }
        return world.members.firstIndex { $0.subject.address == address }
    }

    /// What the packets of a handshake and the reset behind it were judged, as far as it got.
    private func converse(
        _ client: Int, _ server: Int, _ port: (client: UInt16, server: UInt16), since before: Watch, _ attempt: String
    ) throws {
        func toServer(opens: Bool, owned: Bool = true) -> Verdict {
            verdict(
                .incoming(
                    Incoming(
                        .tcp, from: world.members[client].subject.address, port: port.client,
                        to: world.members[server].subject.address, port: port.server, arrival: .thisHost,
                        opensFlow: opens, senderOwnsSource: owned)), by: server)
        }
        let opening = toServer(opens: true)
        // The reset of a socket that is being closed has no sender any more that could be found.
        let later = [toServer(opens: false).reason, toServer(opens: false, owned: false).reason]
        let accepting = verdict(
            .incoming(
                Incoming(
                    .tcp, from: world.members[server].subject.address, port: port.server,
                    to: world.members[client].subject.address, port: port.client, arrival: .thisHost, opensFlow: false,
                    acceptsFlow: true)), by: client)
        if client == server {
            let change = try change(of: client, since: before, packets: 4)
            return try expect(
                someOf: Set(later + [opening.reason, accepting.reason]), .ingress, in: change, of: attempt)
        }
        // SYN, ACK and reset at the server, SYN-ACK at the client.
        let connects = opening.allowed && accepting.allowed
        let atServer = try change(of: server, since: before, packets: connects ? 3 : 1)
        let atClient = try change(of: client, since: before, packets: opening.allowed ? 1 : 0)
        if opening.allowed {
            try expect(accepting, .ingress, in: atClient, of: "\(attempt), at the client")
        } else {
            try expect([:], .ingress, in: atClient, of: "\(attempt), at the client")
        }
        if connects {
            try expect(someOf: Set(later + [opening.reason]), .ingress, in: atServer, of: "\(attempt), at the server")
        } else {
            try expect(opening, .ingress, in: atServer, of: "\(attempt), at the server")
        }
    }

    // MARK: - Datagrams

    private mutating func connectDatagrams(_ member: Int) throws -> Tried? {
        let (peer, port) = anyPeer()
        let subject = world.members[member].subject
        let prober = world.members[member].prober
        let before = try watch(member)
        guard speaks(.udp, member) else {
            let verdict = verdict(.outgoing(Outgoing(.udp, to: peer, port: port)), by: member)
            let answer = try prober.ask("connect_held stock-udp \(peer) \(port)")
            let attempt = "\(subject) connects an earlier UDP socket to \(peer) \(port)"
            try expect(verdict, .connect, in: try change(of: member, since: before), of: attempt)
            try expect(answer.errno, after: verdict, of: attempt)
            return Tried(calls: 1)
        }
        // Bound before, so that the flow is known by its ports, or bound by connecting.
        let local: UInt16 = random.coin() ? 20_000 + UInt16(connected[member].count) : 0
        let key = FlowKey(remote: peer, remotePort: port, localPort: local)
        guard let answers = ledgers[member].holds(key, incoming: true) else { return nil }
        let verdict = verdict(
            .outgoing(Outgoing(.udp, to: peer, port: port, answersFlow: local != 0 && answers)), by: member)
        let answer = try prober.ask("connect_keep kept-\(connected[member].count) \(local) \(peer) \(port)")
        let attempt = "\(subject) connects UDP from port \(local) to \(peer) \(port)"
        try expect(verdict, .connect, in: try change(of: member, since: before), of: attempt)
        try expect(answer.errno, after: verdict, of: attempt)
        ledgers[member].record(key, incoming: false, reason: verdict.reason)
        if answer.errno == 0 {
            var flow = key
            flow.localPort = UInt16(truncatingIfNeeded: answer.value)
            connected[member].append(flow)
        }
        return Tried(calls: 1)
    }

    private mutating func send(_ member: Int) throws -> Tried? {
        var (peer, port) = anyPeer()
        var local = random.pick(HookWorld.ports)
        if random.coin(0.3), let flow = ledgers[member].incoming.last(where: { $0.remotePort != 0 }) {
            (peer, port, local) = (flow.remote, flow.remotePort, flow.localPort)
        }
        let isFresh = speaks(.udp, member) && random.coin(0.2)
        let key = FlowKey(remote: peer, remotePort: port, localPort: local)
        guard let answers = ledgers[member].holds(key, incoming: true) else { return nil }
        let verdict = verdict(
            .outgoing(Outgoing(.udp, to: peer, port: port, answersFlow: !isFresh && answers)), by: member)
        let receiver = isFresh ? nil : listener(at: peer, port)
        let before = try watch(member, receiver)
        let question =
            "send \(isFresh ? family() : local == world.members[member].wildcardPort ? "wild-udp" : "udp-\(local)")"
        let attempt = "\(world.members[member].subject) \(question) \(peer) \(port)"
        let answer = try world.members[member].prober.ask("\(question) \(peer) \(port)")
        let change = try change(of: member, since: before)
        try expect(verdict, .send, in: change, of: attempt)
        try expect(answer.errno, after: verdict, of: attempt)
        if !isFresh { ledgers[member].record(key, incoming: false, reason: verdict.reason) }
        guard verdict.allowed, answer.errno == 0 else { return Tried(calls: 1) }
        if world.members[member].application.egress {
            try expect(someOf: [verdict.reason], .egress, in: change, of: attempt)
        }
        guard let receiver else { return Tried(calls: 1) }
        let incoming = FlowKey(
            remote: world.members[member].subject.address, remotePort: local, localPort: port)
        guard let isAnswer = ledgers[receiver].holds(incoming, incoming: false) else { return Tried(calls: 1) }
        let arriving = self.verdict(
            .incoming(
                Incoming(
                    .udp, from: incoming.remote, port: local, to: peer, port: port, arrival: .thisHost,
                    answersFlow: isAnswer)), by: receiver)
        let atReceiver = try self.change(of: receiver, since: before, packets: 1)
        try expect(arriving, .ingress, in: atReceiver, of: "\(attempt), at the receiver")
        ledgers[receiver].record(incoming, incoming: true, reason: arriving.reason)
        return Tried(calls: 1, packets: 1)
    }

    /// An echo request: no hook of system calls sees it, so egress judges alone.
    private mutating func ping(_ member: Int) throws -> Tried? {
        let peer = anyPeer().address
        let identifier = world.members[member].pingIdentifier
        let key = FlowKey(remote: peer, remotePort: 0, localPort: identifier)
        // The kernel takes 0.0.0.0 for the socket's own address.
        guard speaks(.ping, member), peer.rawValue != 0, let answers = ledgers[member].holds(key, incoming: true)
        else { return nil }
        let verdict = verdict(.outgoing(Outgoing(.ping, to: peer, port: 0, answersFlow: answers)), by: member)
        let before = try watch(member)
        let answer = try world.members[member].prober.ask("ping ping \(peer)")
        let attempt = "\(world.members[member].subject) pings \(peer)"
        // What the network refused by itself, such as a broadcast address, never came to the hook.
        guard answer.errno == 0 || answer.errno == EPERM else { return nil }
        try expect(someOf: [verdict.reason], .egress, in: try change(of: member, since: before), of: attempt)
        guard verdict.allowed == (answer.errno != EPERM) else {
            throw Difference(text: "\(attempt): errno \(answer.errno) where the model says \(verdict)")
        }
        ledgers[member].record(key, incoming: false, reason: verdict.reason)
        return Tried(calls: 1)
    }

    // MARK: - The rest

    private mutating func bind(_ member: Int) throws -> Tried? {
        let spoken = [TransportProtocol.tcp, .udp].filter { speaks($0, member) }
        guard let transport = spoken.randomElement(using: &random.generator) else { return nil }
        let subject = world.members[member].subject
        let local =
            switch random.number(in: 0..<4) {
            case 0: subject.address
            case 1:
                random.pick(HookWorld.addresses)
            default: random.address(near: landmarks)
            }
        let verdict = verdict(.bind(transport, local), by: member)
        let before = try watch(member)
        let question = "bind \(family()) \(transport) \(local) 0"
        let answer = try world.members[member].prober.ask(question)
        let attempt = "\(subject) \(question)"
        try expect(verdict, .bind, in: try change(of: member, since: before), of: attempt)
        try expect(answer.errno, after: verdict, of: attempt)
        return Tried(calls: 1)
    }

    private mutating func create(_ member: Int) throws -> Tried? {
        let kinds: [(String, TransportProtocol?)] = [
            ("tcp", .tcp), ("udp", .udp), ("ping", .ping), ("raw", nil), ("udplite", nil),
        ]
        let (kind, transport) = random.pick(kinds)
        let family = transport == .ping ? "4" : family()
        // What the model has no word for is a protocol that is not allowed.
        let verdict =
            transport.map { self.verdict(.create($0), by: member) } ?? Verdict(allowed: false, reason: .protocol)
        let before = try watch(member)
        let answer = try world.members[member].prober.ask("create \(family) \(kind)")
        let attempt = "\(world.members[member].subject) creates \(kind) \(family)"
        // Not every kernel makes every socket.
        guard answer.errno != EPROTONOSUPPORT, answer.errno != ESOCKTNOSUPPORT else { return nil }
        try expect(verdict, .create, in: try change(of: member, since: before), of: attempt)
        try expect(answer.errno, after: verdict, of: attempt)
        return Tried(calls: 1)
    }

    /// Native IPv6, of which the model has no word yet: as on a host without it.
    private mutating func native(_ member: Int) throws -> Tried? {
        let spoken = [TransportProtocol.tcp, .udp].filter { speaks($0, member) }
        guard let transport = spoken.randomElement(using: &random.generator) else { return nil }
        let peer = random.pick(["::1", "2001:db8::1", "fe80::1", "64:ff9b::a0a:1", "::10.10.0.1"])
        let cases: [(String, Hook, Reason)] = [
            ("connect 6 \(transport) \(peer) 80", .connect, .noIPv6), ("send 6 \(peer) 80", .send, .noIPv6),
            ("bind 6 \(transport) \(peer) 0", .bind, .foreignAddress),
        ]
        let (question, hook, reason) = random.pick(transport == .udp ? cases : [cases[0], cases[2]])
        let before = try watch(member)
        let answer = try world.members[member].prober.ask(question)
        let attempt = "\(world.members[member].subject) \(question)"
        let verdict = Verdict(allowed: false, reason: reason)
        try expect(verdict, hook, in: try change(of: member, since: before), of: attempt)
        try expect(answer.errno, after: verdict, of: attempt)
        return Tried(calls: 1)
    }
}
