import Glibc
import PolicyModel
import TestSupport

extension HookComparison {
    /// Has an application make some system call.
    mutating func call() throws -> Tried? {
        let member = anyMember()
        switch random.number(in: 0..<100) {
        case 0..<37: return try connect(member)
        case 37..<48: return try connectDatagrams(member)
        case 48..<75: return try send(member)
        case 75..<78: return try exchange(member)
        case 78..<90: return try bind(member)
        case 90..<94: return try create(member)
        case 94..<98: return try ping(member)
        default: return try pingLoopback(member)
        }
    }

    /// The word for a socket that can call an address: one of IPv6 can call IPv4 too, in its mapped form.
    private mutating func family(calling address: IPAddress) -> String {
        address.family == .ipv6 || random.coin(0.25) ? "6" : "4"
    }

    /// A call as the model sees it.
    private func outgoing(
        _ transport: TransportProtocol, to peer: Endpoint, by member: Int, connecting: Bool, answersFlow: Bool = false
    ) -> Outgoing {
        let listener = world.members[member].loopbackPeer(transport, peer.address, peer.port, connecting: connecting)
        return Outgoing(
            transport, to: peer.address, port: peer.port, loopbackListens: listener != nil, answersFlow: answersFlow)
    }

    /// Where a call that was allowed goes in truth, and from where if its socket was not bound.
    private func route(
        _ transport: TransportProtocol, to peer: Endpoint, by member: Int, connecting: Bool, _ verdict: Verdict
    ) -> (source: IPAddress, destination: IPAddress)? {
        let subject = world.members[member].subject
        switch verdict.reason {
        case .ownLoopback:
            let listener = world.members[member].loopbackPeer(
                transport, peer.address, peer.port, connecting: connecting)
            guard let listener, let source = subject.loopback.own(HookWorld.localhost(listener.family)) else {
                return nil
            }
            return (source, listener)
        case .shared where subject.addresses[peer.address.family] == nil:
            return subject.loopback.own(HookWorld.localhost(peer.address.family)).map { ($0, peer.address) }
        default:
            return subject.addresses[peer.address.family].map { ($0, peer.address) }
        }
    }

    /// That a socket says of its ends what a host without the isolator would, as far as it has a peer.
    private func expectNames(
        _ local: IPAddress?, _ remote: IPAddress?, are ends: (local: IPAddress, remote: IPAddress), by member: Int,
        _ attempt: String
    ) throws {
        let subject = world.members[member]
        let shown = (subject.shown(ends.local, other: ends.remote), subject.shown(ends.remote, other: ends.local))
        guard local == shown.0, remote == nil || remote == shown.1 else {
            throw Difference(
                text: "\(attempt): the names are \(String(describing: local)) and \(String(describing: remote)), "
                    + "not \(shown)")
        }
    }

    // MARK: - TCP

    private mutating func connect(_ member: Int) throws -> Tried? {
        let peer = anyPeer()
        let outgoing = outgoing(.tcp, to: peer, by: member, connecting: true)
        let verdict = verdict(.outgoing(outgoing), by: member)
        let route = route(.tcp, to: peer, by: member, connecting: true, verdict)
        let server = route.flatMap { listener(.tcp, at: $0.destination, peer.port) }
        let before = try watch(member, server?.member)
        // A socket of a protocol that is not allowed can only be an earlier policy's.
        var question =
            speaks(.tcp, member)
            ? "connect \(family(calling: peer.address)) tcp"
            : "connect_held stock-tcp-\(HookWorld.word(peer.address.family))"
        question += " \(peer)"
        let accepts = verdict.reason == .ownLoopback && server?.member == member
        if accepts, let server { question += " \(server.socket.name)" }
        let attempt = "\(world.members[member].subject) \(question)"
        let answer = try world.members[member].prober.ask(question)
        let change = try change(of: member, since: before)
        try expect(verdict, .connect, in: change, of: attempt)
        try expect(answer.errno, after: verdict, of: attempt)
        guard verdict.allowed, answer.errno == 0, let route else { return Tried(calls: 1) }
        try expectNames(
            answer.address(1), answer.address(2), are: (route.source, route.destination), by: member, attempt)
        if accepts {
            try expectNames(
                answer.address(3), answer.address(4), are: (route.destination, route.source), by: member,
                "\(attempt), accepted")
        }
        guard let server else { return Tried(calls: 1) }
        let client = Endpoint(address: route.source, port: UInt16(truncatingIfNeeded: answer.value))
        try converse(
            (member, client), (server.member, Endpoint(address: route.destination, port: peer.port)), since: before,
            attempt)
        return Tried(calls: 1, packets: 1)
    }

    /// The application whose socket is there, and the socket.
    private func listener(
        _ transport: TransportProtocol, at address: IPAddress, _ port: UInt16
    ) -> (member: Int, socket: HookWorld.HeldSocket)? {
        let place = HookWorld.Place(transport: transport, address: address, port: port)
        for (index, member) in world.members.enumerated() {
            if let socket = member.sockets[place] { return (index, socket) }
        }
        return nil
    }

    /// What the packets of a handshake and the reset behind it were judged, as far as it got.
    private func converse(
        _ client: (member: Int, end: Endpoint), _ server: (member: Int, end: Endpoint), since before: Watch,
        _ attempt: String
    ) throws {
        func toServer(opens: Bool, owned: Bool = true) -> Verdict {
            verdict(
                .incoming(
                    Incoming(
                        .tcp, from: client.end.address, port: client.end.port, to: server.end.address,
                        port: server.end.port, arrival: .thisHost, opensFlow: opens, sender: owned ? .owner : .unknown)),
                by: server.member)
        }
        let opening = toServer(opens: true)
        // The reset of a socket that is being closed has no sender any more that could be found.
        let later = [toServer(opens: false).reason, toServer(opens: false, owned: false).reason]
        let accepting = verdict(
            .incoming(
                Incoming(
                    .tcp, from: server.end.address, port: server.end.port, to: client.end.address,
                    port: client.end.port, arrival: .thisHost, opensFlow: false, acceptsFlow: true)), by: client.member)
        if client.member == server.member {
            let change = try change(of: client.member, since: before, packets: 4)
            return try expect(
                someOf: Set(later + [opening.reason, accepting.reason]), .ingress, in: change, of: attempt)
        }
        // SYN, ACK and reset at the server, SYN-ACK at the client.
        let connects = opening.allowed && accepting.allowed
        let atServer = try change(of: server.member, since: before, packets: connects ? 3 : 1)
        let atClient = try change(of: client.member, since: before, packets: opening.allowed ? 1 : 0)
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
        let peer = anyPeer()
        let subject = world.members[member].subject
        let prober = world.members[member].prober
        let before = try watch(member)
        guard speaks(.udp, member) else {
            let verdict = verdict(.outgoing(Outgoing(.udp, to: peer.address, port: peer.port)), by: member)
            let answer = try prober.ask("connect_held stock-udp-\(HookWorld.word(peer.address.family)) \(peer)")
            let attempt = "\(subject) connects an earlier UDP socket to \(peer)"
            try expect(verdict, .connect, in: try change(of: member, since: before), of: attempt)
            try expect(answer.errno, after: verdict, of: attempt)
            return Tried(calls: 1)
        }
        // Bound before, so that the flow is known by its ports, or bound by connecting. Who is bound to loopback can
        // talk to the application itself and to shared services only.
        let local = random.coin() ? UInt16(20_000 + 2_000 * member + kept[member]) : 0
        let asksLoopback = local != 0 && random.coin(0.2)
        let isIPv6 = peer.address.family == .ipv6
        let asked =
            asksLoopback
            ? HookWorld.localhost(peer.address.family) : HookWorld.address(isIPv6 ? "::" : "0.0.0.0")
        // A wildcard that is one in truth can't be given a source any more.
        let staysWildcard = local != 0 && !asksLoopback && hearsGroups(member)
        let bound = local == 0 ? nil : world.members[member].bound(asked)
        let key = FlowKey(remote: peer.address, remotePort: peer.port, localPort: local)
        guard let answers = ledgers[member].holds(key, incoming: true) else { return nil }
        let outgoing = outgoing(
            .udp, to: peer, by: member, connecting: true, answersFlow: local != 0 && answers)
        let verdict = verdict(.outgoing(outgoing), by: member)
        let answer = try prober.ask(
            "connect_keep kept-\(kept[member]) \(isIPv6 ? "only6" : "4") \(asked) \(local) \(peer)")
        kept[member] += 1
        let attempt = "\(subject) connects UDP from port \(local) of \(asked) to \(peer)"
        let change = try change(of: member, since: before)
        ledgers[member].record(key, incoming: false, reason: verdict.reason)
        let isOnLoopback = bound.map(subject.loopback.contains) ?? false
        let isInside =
            verdict.reason == .ownLoopback || verdict.reason == .shared || subject.addresses.contains(peer.address)
        if verdict.allowed, staysWildcard || isOnLoopback && !isInside {
            try expect([verdict.reason: 1, .source: 1], .connect, in: change, of: attempt)
            try expect(answer.errno, after: Verdict(allowed: false, reason: .foreignAddress), of: attempt)
            return Tried(calls: 1)
        }
        try expect(verdict, .connect, in: change, of: attempt)
        try expect(answer.errno, after: verdict, of: attempt)
        guard answer.errno == 0, let route = route(.udp, to: peer, by: member, connecting: true, verdict) else {
            return Tried(calls: 1)
        }
        let ends = (local: bound ?? route.source, remote: route.destination)
        try expectNames(answer.address(1), answer.address(2), are: ends, by: member, attempt)
        if verdict.reason != .ownLoopback, !isOnLoopback {
            var flow = key
            flow.localPort = UInt16(truncatingIfNeeded: answer.value)
            connected[member].append(flow)
        }
        let end = Endpoint(address: ends.local, port: UInt16(truncatingIfNeeded: answer.value))
        return try sendConnected(
            member, "kept-\(kept[member] - 1)", from: end, to: Endpoint(address: ends.remote, port: peer.port))
    }

    /// Has a connected socket send with a control message that asks for an address of the host as the source: the hook of
    /// sends runs, without the peer's name, and the source stays the socket's own.
    private mutating func sendConnected(
        _ member: Int, _ socket: String, from source: Endpoint, to peer: Endpoint
    ) throws -> Tried {
        let key = FlowKey(remote: peer.address, remotePort: peer.port, localPort: source.port)
        guard let answers = ledgers[member].holds(key, incoming: true) else { return Tried(calls: 1) }
        // It is judged by what the kernel knows of the peer, as a packet from the application address is.
        let own = world.members[member].subject.addresses[peer.address.family] ?? source.address
        let verdict = verdict(
            .outgoing(
                Outgoing(
                    .udp, to: peer.address, port: peer.port, source: own, answersFlow: answers)), by: member)
        let receiver = listener(.udp, at: peer.address, peer.port)
        if let receiver { try world.members[receiver.member].prober.demand("take \(receiver.socket.name)") }
        let before = try watch(member, receiver?.member)
        let claimed = HookWorld.hostAddresses.first { $0.family == peer.address.family } ?? source.address
        let answer = try world.members[member].prober.ask("send_control \(socket) \(claimed)")
        let attempt = "\(world.members[member].subject) sends from \(source), connected to \(peer), as \(claimed)"
        try expect(verdict, .send, in: try change(of: member, since: before), of: attempt)
        try expect(answer.errno, after: verdict, of: attempt)
        ledgers[member].record(key, incoming: false, reason: verdict.reason)
        guard let receiver, verdict.allowed, answer.errno == 0 else { return Tried(calls: 2) }
        let packets = try arrive(from: source, isFound: true, at: peer, receiver, since: before, attempt)
        return Tried(calls: 2, packets: packets)
    }

    private mutating func send(_ member: Int) throws -> Tried? {
        var peer = anyPeer()
        let subject = world.members[member].subject
        let isFresh = speaks(.udp, member) && random.coin(0.2)
        var place = anySocket(of: member, calling: peer.address)
        if random.coin(0.3), let flow = ledgers[member].incoming.last(where: { $0.remotePort != 0 }),
            let own = subject.addresses[flow.remote.family]
        {
            peer = Endpoint(address: flow.remote, port: flow.remotePort)
            place = HookWorld.Place(transport: .udp, address: own, port: flow.localPort)
        }
        let socket = world.members[member].sockets[place]
        guard isFresh || socket != nil else { return nil }
        let key = FlowKey(remote: peer.address, remotePort: peer.port, localPort: place.port)
        guard let answers = ledgers[member].holds(key, incoming: true) else { return nil }
        let outgoing = outgoing(
            .udp, to: peer, by: member, connecting: false, answersFlow: !isFresh && answers)
        let verdict = verdict(.outgoing(outgoing), by: member)
        let route = route(.udp, to: peer, by: member, connecting: false, verdict)
        var source = route?.source
        // A socket that is bound to loopback talks to loopback from there.
        if !isFresh, subject.loopback.contains(place.address),
            verdict.reason == .ownLoopback || verdict.reason == .shared || subject.addresses.contains(peer.address)
        {
            source = place.address
        }
        let receiver = isFresh ? nil : route.flatMap { listener(.udp, at: $0.destination, peer.port) }
        if let receiver { try world.members[receiver.member].prober.demand("take \(receiver.socket.name)") }
        let before = try watch(member, receiver?.member)
        let question = "send \(isFresh ? family(calling: peer.address) : socket?.name ?? "") \(peer)"
        let attempt = "\(subject) \(question)"
        let answer = try world.members[member].prober.ask(question)
        let change = try change(of: member, since: before)
        try expect(verdict, .send, in: change, of: attempt)
        try expect(answer.errno, after: verdict, of: attempt)
        if !isFresh { ledgers[member].record(key, incoming: false, reason: verdict.reason) }
        guard verdict.allowed, answer.errno == 0, let source, let route else { return Tried(calls: 1) }
        if world.members[member].application.egress {
            let leaving = self.verdict(
                .outgoing(
                    Outgoing(
                        .udp, to: route.destination, port: peer.port, source: source,
                        answersFlow: outgoing.answersFlow)), by: member)
            try expect(someOf: [leaving.reason], .egress, in: change, of: attempt)
        }
        guard let receiver else { return Tried(calls: 1) }
        // Bound to loopback, it sends elsewhere from an address at which it is not.
        let isFound = subject.loopback.contains(source) || place.address == source
        let packets = try arrive(
            from: Endpoint(address: source, port: place.port), isFound: isFound,
            at: Endpoint(address: route.destination, port: peer.port), receiver, since: before, attempt)
        return Tried(calls: 1, packets: packets)
    }

    /// What a datagram of an application was judged where it arrives, and from whom it says that it comes. Says how many
    /// were compared.
    private mutating func arrive(
        from source: Endpoint, isFound: Bool, at destination: Endpoint,
        _ receiver: (member: Int, socket: HookWorld.HeldSocket), since before: Watch, _ attempt: String
    ) throws -> Int {
        let flow = FlowKey(remote: source.address, remotePort: source.port, localPort: destination.port)
        guard let isAnswer = ledgers[receiver.member].holds(flow, incoming: false) else { return 0 }
        let arriving = verdict(
            .incoming(
                Incoming(
                    .udp, from: source.address, port: source.port, to: destination.address, port: destination.port,
                    arrival: .thisHost, answersFlow: isAnswer, sender: isFound ? .owner : .unknown)),
            by: receiver.member)
        let change = try change(of: receiver.member, since: before, packets: 1)
        try expect(arriving, .ingress, in: change, of: "\(attempt), at the receiver")
        ledgers[receiver.member].record(flow, incoming: true, reason: arriving.reason)
        guard arriving.allowed else { return 1 }
        let taken = try world.members[receiver.member].prober.ask("take \(receiver.socket.name)")
        let shown = world.members[receiver.member].shown(source.address, other: destination.address)
        guard taken.address(0) == shown else {
            throw Difference(text: "\(attempt), at the receiver: it came from \(taken.words), not \(shown)")
        }
        return 1
    }

    /// A question over loopback from a socket that is neither bound nor connected, and the answer.
    private mutating func exchange(_ member: Int) throws -> Tried? {
        let asked = HookWorld.address(random.pick(["127.0.0.1", "127.0.1.1", "127.0.0.53", "::1"]))
        let peer = Endpoint(address: asked, port: anyLoopbackPort())
        let outgoing = outgoing(.udp, to: peer, by: member, connecting: false)
        let verdict = verdict(.outgoing(outgoing), by: member)
        guard speaks(.udp, member), verdict.reason == .ownLoopback,
            let route = route(.udp, to: peer, by: member, connecting: false, verdict),
            let server = listener(.udp, at: route.destination, peer.port)
        else { return nil }
        let before = try watch(member)
        let question = "exchange \(family(calling: asked)) \(peer) \(server.socket.name)"
        let attempt = "\(world.members[member].subject) \(question)"
        let answer = try world.members[member].prober.ask(question)
        let change = try change(of: member, since: before)
        try expect([.ownLoopback: 2], .send, in: change, of: attempt)
        try expect(answer.errno, after: verdict, of: attempt)
        try expect([.ownLoopback: 2], .ingress, in: change, of: attempt)
        let local = HookWorld.localhost(asked.family)
        let shown = server.socket.isWildcard ? local : asked
        guard answer.address(0) == local, answer.address(1) == shown else {
            throw Difference(text: "\(attempt): the names are \(answer.words), not \(local) and \(shown)")
        }
        return Tried(calls: 2, packets: 2)
    }

    /// A UDP socket of an application that can send to an address.
    private mutating func anySocket(of member: Int, calling address: IPAddress) -> HookWorld.Place {
        let member = world.members[member]
        let family = address.family
        let asked = random.coin(0.8) ? (family == .ipv4 ? "0.0.0.0" : "::") : (family == .ipv4 ? "127.0.0.1" : "::1")
        let port =
            asked.hasSuffix("1") ? HookWorld.loopbackPort : random.pick(HookWorld.ports + [HookWorld.mixedPort])
        let bound = member.bound(HookWorld.address(asked)) ?? address
        return HookWorld.Place(transport: .udp, address: bound, port: port)
    }

    // MARK: - Echo requests

    /// An echo request: no hook of system calls sees it, so egress judges alone.
    private mutating func ping(_ member: Int) throws -> Tried? {
        let peer = anyPeer().address
        let subject = world.members[member].subject
        // The kernel takes a wildcard for the socket's own address.
        guard speaks(.ping, member), !peer.isUnspecified, let source = subject.addresses[peer.family],
            let identifier = world.members[member].pingIdentifiers[peer.family]
        else { return nil }
        let key = FlowKey(remote: peer, remotePort: 0, localPort: identifier)
        guard let answers = ledgers[member].holds(key, incoming: true) else { return nil }
        let verdict = verdict(
            .outgoing(Outgoing(.ping, to: peer, port: 0, source: source, answersFlow: answers)), by: member)
        let before = try watch(member)
        let answer = try world.members[member].prober.ask("ping ping-\(HookWorld.word(peer.family)) \(peer)")
        let attempt = "\(subject) pings \(peer)"
        // What the network refused by itself, such as a broadcast address, never came to the hook.
        guard answer.errno == 0 || answer.errno == EPERM else { return nil }
        try expect(someOf: [verdict.reason], .egress, in: try change(of: member, since: before), of: attempt)
        // Of IPv6 the kernel does not say that a request was dropped.
        guard verdict.allowed == (answer.errno != EPERM) || peer.family == .ipv6 else {
            throw Difference(text: "\(attempt): errno \(answer.errno) where the model says \(verdict)")
        }
        ledgers[member].record(key, incoming: false, reason: verdict.reason)
        guard verdict.allowed, HookWorld.addresses.contains(peer),
            let isAnswer = ledgers[member].holds(key, incoming: false)
        else { return Tried(calls: 1) }
        // The kernel answers for every address of the host.
        let arriving = self.verdict(
            .incoming(
                Incoming(
                    .ping, from: peer, port: 0, to: source, port: 0, arrival: .thisHost, answersFlow: isAnswer)),
            by: member)
        let change = try change(of: member, since: before, packets: 1)
        try expect(arriving, .ingress, in: change, of: "\(attempt), answered")
        ledgers[member].record(key, incoming: true, reason: arriving.reason)
        return Tried(calls: 1, packets: 1)
    }

    /// A ping socket that is connected to loopback: its requests and the answers stay there.
    private mutating func pingLoopback(_ member: Int) throws -> Tried? {
        let subject = world.members[member].subject
        let asked = HookWorld.address(random.pick(["127.0.0.1", "127.0.1.7", "127.0.0.127", "127.1.0.1", "::1"]))
        guard speaks(.ping, member) else { return nil }
        let verdict = verdict(.outgoing(Outgoing(.ping, to: asked, port: 0)), by: member)
        let before = try watch(member)
        let answer = try world.members[member].prober.ask("ping_connected \(HookWorld.word(asked.family)) \(asked)")
        let attempt = "\(subject) connects to ping \(asked)"
        let change = try change(of: member, since: before)
        try expect(verdict, .connect, in: change, of: attempt)
        guard verdict.allowed else {
            try expect(answer.errno, after: verdict, of: attempt)
            return Tried(calls: 1)
        }
        guard answer.errno == 0, let own = subject.loopback.own(asked),
            let source = subject.loopback.own(HookWorld.localhost(asked.family))
        else { throw Difference(text: "\(attempt): errno \(answer.errno)") }
        try expectNames(answer.address(0), answer.address(1), are: (source, own), by: member, attempt)
        try expect([.ownLoopback: 1], .egress, in: change, of: attempt)
        try expect([.ownLoopback: 1], .ingress, in: change, of: attempt)
        return Tried(calls: 1, packets: 1)
    }

    // MARK: - The rest

    private mutating func bind(_ member: Int) throws -> Tried? {
        let spoken = [TransportProtocol.tcp, .udp].filter { speaks($0, member) }
        guard let transport = spoken.randomElement(using: &random.generator) else { return nil }
        let subject = world.members[member].subject
        let local =
            switch random.number(in: 0..<6) {
            case 5: random.pick(RandomPolicies.groups)
            case 0: random.pick(subject.addresses.all)
            case 1: random.pick(HookWorld.addresses + HookWorld.loopbackAddresses)
            case 2: anyPeer().address
            case 3: HookWorld.address(random.pick(["0.0.0.0", "::", "127.0.0.1", "127.0.1.126", "::1"]))
            default: random.address(near: landmarks)
            }
        let verdict = verdict(.bind(transport, local), by: member)
        let before = try watch(member)
        var family = family(calling: local)
        if local.family == .ipv6, random.coin() { family = "only6" }
        let question = "bind \(family) \(transport) \(local) 0"
        let answer = try world.members[member].prober.ask(question)
        let attempt = "\(subject) \(question)"
        try expect(verdict, .bind, in: try change(of: member, since: before), of: attempt)
        // A broadcast address of a network that the kernel knows nothing of.
        if verdict.allowed, answer.errno == EADDRNOTAVAIL, host.broadcasts.contains(local) { return Tried(calls: 1) }
        try expect(answer.errno, after: verdict, of: attempt)
        guard answer.errno == 0 else { return Tried(calls: 1) }
        guard local.isUnspecified ? answer.address(0)?.isUnspecified == true : answer.address(0) == local else {
            throw Difference(text: "\(attempt): the socket says \(answer.words)")
        }
        return Tried(calls: 1)
    }

    private mutating func create(_ member: Int) throws -> Tried? {
        let kinds: [(String, TransportProtocol?)] = [
            ("tcp", .tcp), ("udp", .udp), ("ping", .ping), ("raw", nil), ("udplite", nil),
        ]
        let (kind, transport) = random.pick(kinds)
        let family = random.coin() ? "4" : "6"
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
}
