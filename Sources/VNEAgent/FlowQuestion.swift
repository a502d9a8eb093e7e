import PolicyModel

/// One `explain`, port by port.
struct FlowQuestion {
    let index: PolicyIndex
    let view: HostView
    let application: AttachedApplication
    let peer: IPAddress
    /// The attached application that has the peer's address.
    let local: AttachedApplication?
    let transport: TransportProtocol
    let incoming: Bool
    /// Where a connection to the application's own loopback is taken; nil where that is not known, or does not decide.
    var listeners: Set<UInt16>?
    /// Where a datagram to the application's own loopback would come to somebody else.
    var strangers: Set<UInt16> = []

    /// Where no real port is known: an ephemeral one, which no rule is likely to mean.
    private static let ephemeral: UInt16 = 49152

    /// What the peer's address is in truth where it is the application's own loopback that it names.
    var ownLoopback: IPAddress? {
        guard !incoming, index.classify(peer, on: view) == .loopback else { return nil }
        return application.loopback.own(peer)
    }

    var peerKind: String {
        if let local { return "application \(local.name) of \(local.environment)" }
        if let ownLoopback { return "loopback, its own is \(ownLoopback)" }
        return switch index.classify(peer, on: view) {
        case .environment(let name): "environment \(name), no application of this host"
        case .unassigned: "in the address space, in no environment"
        case .loopback: "loopback"
        case .multicast: "multicast"
        case .broadcast: "broadcast"
        case .host: "the host"
        case .linkLocal: "link-local"
        case .remote: "remote"
        }
    }

    /// The answers for one port, or for every range of ports that is judged alike.
    func cases(port: UInt16?) -> [Explanation.Case] {
        if transport == .ping { return [answer(to: 0, ports: nil)] }
        if let port { return [answer(to: port, ports: "\(port)")] }
        var found: [(first: UInt16, answer: Explanation.Case)] = []
        for port in boundaries {
            let answer = answer(to: port, ports: nil)
            if found.last?.answer != answer { found.append((port, answer)) }
        }
        guard found.count > 1 else { return found.map(\.answer) }
        return found.indices.map { position in
            var answer = found[position].answer
            let first = found[position].first
            let last = position + 1 < found.count ? found[position + 1].first - 1 : UInt16.max
            answer.ports = first == last ? "\(first)" : "\(first)-\(last)"
            return answer
        }
    }

    /// Every port from which on another rule may decide.
    private var boundaries: [UInt16] {
        var environments = [application.environment]
        if case .environment(let name) = index.classify(peer, on: view) { environments.append(name) }
        var ports: Set<UInt16> = [1]
        func mark(_ range: ClosedRange<UInt16>) {
            ports.insert(max(range.lowerBound, 1))
            if range.upperBound < UInt16.max { ports.insert(range.upperBound + 1) }
        }
        for environment in environments.compactMap(index.environment) {
            let remotes = (environment.remoteIn.rules + environment.remoteOut.rules).filter { $0.prefix.contains(peer) }
            for rule in environment.permits.flatMap(\.ports) + remotes.flatMap(\.ports) { mark(rule.ports) }
        }
        for service in view.sharedServices + index.policy.loopbackShared where service.address == peer {
            mark(service.port...service.port)
        }
        for port in strangers.union(listeners ?? []) { mark(port...port) }
        return ports.sorted()
    }

    private func answer(to port: UInt16, ports: String?) -> Explanation.Case {
        var sides: [Explanation.Side] = []
        let (sender, receiver) = incoming ? (local, application) : (application, local)
        if let sender, let call = outgoing(from: sender, port: port) { sides.append(call) }
        if let receiver, let arrival = arriving(at: receiver, port: port) { sides.append(arrival) }
        return Explanation.Case(ports: ports, allowed: sides.allSatisfy(\.allowed), sides: sides)
    }
}

// MARK: - The ends

extension FlowQuestion {
    /// The end that begins: the application that was asked about, or the peer's; nil where the peer has nothing to talk to,
    /// as the application has no address of its family.
    private func outgoing(from sender: AttachedApplication, port: UInt16) -> Explanation.Side? {
        guard let destination = incoming ? application.addresses[peer.family] : peer else { return nil }
        let attempt = Outgoing(
            transport, to: destination, port: port,
            loopbackListens: listeners?.contains(port) ?? !strangers.contains(port))
        let verdict = index.verdict(.outgoing(attempt), by: sender.subject, on: view)
        let hook: Hook =
            switch (verdict.reason, transport) {
            case (.protocol, _): .create
            case (_, .tcp): .connect
            case (_, .udp): .send
            // A socket that is not connected sends to loopback as it is named, where nobody is.
            case (_, .ping): index.classify(destination, on: view) == .loopback ? .connect : .egress
            }
        return side(verdict, at: sender, hook: hook)
    }

    /// The end that is talked to; nil where nothing can arrive, as the sender has no address of its family.
    private func arriving(at receiver: AttachedApplication, port: UInt16) -> Explanation.Side? {
        guard let source = incoming ? peer : application.addresses[peer.family] else { return nil }
        let packet = Incoming(
            transport, from: source, port: transport == .ping ? 0 : Self.ephemeral,
            to: receiver.addresses[source.family] ?? .unspecified(of: source.family), port: port,
            arrival: arrival(from: source))
        return side(
            index.verdict(.incoming(packet), by: receiver.subject, on: view), at: receiver, hook: .ingress)
    }

    private func arrival(from source: IPAddress) -> Incoming.Arrival {
        if local != nil { return .thisHost }
        return switch index.classify(source, on: view) {
        case .host, .loopback: .thisHost
        case .environment, .unassigned: .interface(view.interfaces.values.min() ?? 0)
        default: .interface(0)
        }
    }

    private func side(_ verdict: Verdict, at application: AttachedApplication, hook: Hook) -> Explanation.Side {
        Explanation.Side(
            application: application.name, hook: hook.name, attachPoint: hook.attachPoint(peer.family),
            allowed: verdict.allowed, audited: verdict.audited, reason: verdict.reason.name,
            sentence: verdict.reason.sentence,
            file: verdict.line == nil ? nil : index.policy.source, line: verdict.line)
    }
}

extension IPAddress {
    /// 0.0.0.0 or ::.
    fileprivate static func unspecified(of family: AddressFamily) -> IPAddress {
        switch family {
        case .ipv4: IPAddress(ipv4: 0)
        case .ipv6: IPAddress(rawValue: 0)
        }
    }
}
