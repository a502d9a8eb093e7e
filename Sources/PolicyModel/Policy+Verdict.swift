extension Policy {
    /// The reference decision: what the kernel must answer. `explain` runs it, and tests hold the kernel to it.
    ///
    /// Indexes the policy first; for many verdicts about one policy keep a ``PolicyIndex`` and ask that.
    public func verdict(_ attempt: Attempt, by subject: Subject, on host: HostView) -> Verdict {
        PolicyIndex(self).verdict(attempt, by: subject, on: host)
    }

    /// What the address is, on a host. Indexes the policy first, as ``verdict(_:by:on:)`` does.
    public func classify(_ address: IPAddress, on host: HostView) -> AddressClass {
        PolicyIndex(self).classify(address, on: host)
    }
}

extension PolicyIndex {
    /// The reference decision: what the kernel must answer (`bpf/decision.bpf.h` is its twin).
    ///
    /// In audit mode a denial of reachability is allowed, with its reason.
    public func verdict(_ attempt: Attempt, by subject: Subject, on host: HostView) -> Verdict {
        // Nothing lifts this one: without an environment there is no mode either.
        // Nor where the policy has given one of its addresses to somebody else since it was attached.
        guard let environment = environment(named: subject.environment), environment.contains(subject.addresses) else {
            return Verdict(allowed: false, reason: .unconfigured)
        }
        let decision = Decision(index: self, environment: environment, subject: subject, host: host)
        let finding =
            switch attempt {
            case .create(let transport): decision.create(transport)
            case .bind(let transport, let address): decision.bind(transport, address)
            case .outgoing(let outgoing): decision.outgoing(outgoing)
            case .incoming(let incoming): decision.incoming(incoming)
            }
        let lifted = environment.mode == .audit && finding.reason.isReachability
        return Verdict(allowed: finding.reason.allows || lifted, reason: finding.reason, line: finding.line)
    }
}

/// A reason, and the line of the policy file behind it.
private struct Finding {
    var reason: Reason
    var line: Int?

    init(_ reason: Reason, line: Int? = nil) {
        self.reason = reason
        self.line = line
    }
}

/// The rules, for one application on one host.
private struct Decision {
    let index: PolicyIndex
    let environment: Environment
    let subject: Subject
    let host: HostView

    func create(_ transport: TransportProtocol) -> Finding {
        Finding(environment.protocols.contains(transport) ? .permittedUse : .protocol)
    }

    func bind(_ transport: TransportProtocol, _ local: IPAddress) -> Finding {
        let isOwn = subject.addresses.contains(local) || subject.loopback.own(local) != nil
        let isGroup = takesGroups(transport) && isGroup(local)
        return Finding(local.isUnspecified || isOwn || isGroup ? .permittedUse : .foreignAddress)
    }

    // MARK: Outgoing

    func outgoing(_ attempt: Outgoing) -> Finding {
        guard environment.protocols.contains(attempt.transport) else { return Finding(.protocol) }
        let own = subject.addresses[attempt.destination.family]
        if let source = attempt.source {
            let isFromLoopback = subject.loopback.contains(source)
            guard source.family == attempt.destination.family, source == own || isFromLoopback else {
                return Finding(.source)
            }
            if isFromLoopback || subject.loopback.contains(attempt.destination) {
                if isOwn(attempt.destination) { return Finding(.ownLoopback) }
                return Finding(isShared(attempt.destination, attempt.port, attempt.transport) ? .shared : .source)
            }
        }
        let destination = index.classify(attempt.destination, on: host)
        if destination == .loopback { return outgoingToLoopback(attempt) }
        guard let own else { return Finding(.noFamily) }
        switch destination {
        case .loopback:
            return outgoingToLoopback(attempt)
        case .environment(environment.name):
            return Finding(.ownEnvironment)
        case .environment(let other):
            return outgoing(attempt, from: own, to: other)
        case .unassigned:
            return Finding(.unassigned)
        case .host:
            return judgedAsHost
        case .linkLocal:
            return Finding(environment.linkLocal ? .linkLocal : .linkLocalDenied)
        case .multicast:
            return Finding(takesGroups(attempt.transport) ? .group : .multicast)
        case .broadcast:
            return Finding(takesGroups(attempt.transport) ? .group : .broadcast)
        case .remote:
            return outgoingToRemote(attempt)
        }
    }

    /// To a loopback address as the program names it. A packet has been through the rewriting of calls: one that still
    /// names such an address goes to a shared service, or to nobody.
    private func outgoingToLoopback(_ attempt: Outgoing) -> Finding {
        if isShared(attempt.destination, attempt.port, attempt.transport) { return Finding(.shared) }
        let isCall = attempt.source == nil
        let isTaken = attempt.transport == .ping || attempt.loopbackListens
        return Finding(
            isCall && isTaken && subject.loopback.own(attempt.destination) != nil ? .ownLoopback : .loopback)
    }

    private func outgoingToRemote(_ attempt: Outgoing) -> Finding {
        let out = environment.remoteOut.decide(attempt.destination, attempt.transport, attempt.port)
        if out.allows { return Finding(.remote, line: out.line) }
        guard attempt.answersFlow else { return Finding(.remoteDenied, line: out.line) }
        // The flow table holds only datagram flows that were let in; a TCP segment shows no more than its ports.
        guard attempt.transport == .tcp else { return Finding(.answer) }
        let into = environment.remoteIn.decide(attempt.destination, .tcp, attempt.localPort)
        return into.allows ? Finding(.answer, line: into.line) : Finding(.remoteDenied, line: out.line)
    }

    /// To another environment.
    private func outgoing(_ attempt: Outgoing, from own: IPAddress, to other: String) -> Finding {
        let permit = index.permit(
            from: environment.name, to: other, address: attempt.destination, covering: attempt.transport, attempt.port)
        if let permit { return Finding(.permit, line: permit.line) }
        guard attempt.answersFlow else { return Finding(.otherEnvironment) }
        guard attempt.transport == .tcp else { return Finding(.answer) }
        let reverse = index.permit(
            from: other, to: environment.name, address: own, covering: .tcp, attempt.localPort)
        return reverse.map { Finding(.answer, line: $0.line) } ?? Finding(.otherEnvironment)
    }

    // MARK: Incoming

    func incoming(_ packet: Incoming) -> Finding {
        if subject.loopback.contains(packet.destination) { return incomingOnLoopback(packet) }
        let isForMany = !subject.addresses.contains(packet.destination)
        if isForMany {
            guard takesGroups(packet.transport), packet.source.family == packet.destination.family,
                subject.addresses[packet.source.family] != nil, isGroup(packet.destination)
            else { return Finding(.notAddressed) }
            // Nobody's loopback is a source there.
            guard !subject.loopback.contains(packet.source) else { return Finding(.forged) }
        }
        guard environment.protocols.contains(packet.transport) else { return Finding(.protocol) }
        // A wildcard listener is reached over loopback on the application address.
        if subject.loopback.contains(packet.source) { return Finding(isOwnLoopback(packet) ? .ownLoopback : .forged) }
        let source = index.classify(packet.source, on: host)
        switch source {
        case .environment, .unassigned:
            guard carriesAddressSpace(packet.arrival) else { return Finding(.forged) }
            let member = member(packet, from: source)
            return isForMany ? judgedBySender(toGroup: packet, member: member) : judgedBySender(packet, member: member)
        case .multicast, .broadcast:
            return Finding(.malformed)
        case .loopback:
            guard packet.arrival == .thisHost else { return Finding(.forged) }
            return isSharedAnswer(packet) ? Finding(.shared) : judgedAsHost
        case .host:
            return packet.arrival == .thisHost ? judgedAsHost : Finding(.forged)
        case .linkLocal, .remote:
            // From this host, it is an address that the host got after the policy was published.
            guard packet.arrival != .thisHost else { return judgedAsHost }
            guard source == .remote else {
                return Finding(environment.linkLocal ? .linkLocal : .linkLocalDenied)
            }
            return incomingFromRemote(packet)
        }
    }

    private func incomingOnLoopback(_ packet: Incoming) -> Finding {
        guard environment.protocols.contains(packet.transport) else { return Finding(.protocol) }
        if isOwnLoopback(packet) { return Finding(.ownLoopback) }
        return Finding(packet.arrival == .thisHost && isSharedAnswer(packet) ? .shared : .loopback)
    }

    /// Whether a packet comes over the application's own loopback: from itself, on this host. A later segment of TCP
    /// belongs to a handshake that was judged, and an echo reply comes from the kernel.
    private func isOwnLoopback(_ packet: Incoming) -> Bool {
        let isLater = packet.transport == .tcp && !packet.opensFlow && !packet.acceptsFlow
        let isOwnSource =
            subject.loopback.contains(packet.source)
            || packet.source == subject.addresses[packet.destination.family]
        return packet.arrival == .thisHost && isOwnSource
            && (packet.sender == .owner || isLater || packet.transport == .ping)
    }

    /// From a source in the address space, taken for the application that has it.
    private func member(_ packet: Incoming, from source: AddressClass) -> Finding {
        guard case .environment(let other) = source else { return Finding(.unassigned) }
        return other == environment.name ? Finding(.ownEnvironment) : incoming(packet, from: other)
    }

    /// A process of this host that is not the application whose address it uses is judged as the host; where both
    /// judgements agree, the one about the address stands. A later segment of TCP belongs to a handshake that was judged,
    /// so its sender can only lift a denial, and an echo reply comes from the kernel.
    private func judgedBySender(_ packet: Incoming, member: Finding) -> Finding {
        guard packet.arrival == .thisHost, packet.sender != .owner, packet.transport != .ping else { return member }
        let allowed = member.reason.allows
        // An application whose socket can't be found, as it is connected elsewhere or behind a NAT rule, is not the host.
        guard allowed || packet.sender == .other else { return member }
        if packet.transport == .tcp, packet.acceptsFlow {
            // A daemon of the host never answers on an application address.
            return allowed ? Finding(.forged) : member
        }
        if packet.transport == .tcp, !packet.opensFlow, allowed { return member }
        return allowed == environment.host ? member : judgedAsHost
    }

    /// The same of a group's datagram, whose sender may not be found: what its address denies is denied.
    private func judgedBySender(toGroup packet: Incoming, member: Finding) -> Finding {
        let isKnown = packet.arrival != .thisHost || packet.sender == .owner
        return isKnown || !member.reason.allows || environment.host ? member : judgedAsHost
    }

    /// From another environment.
    private func incoming(_ packet: Incoming, from other: String) -> Finding {
        let own = subject.addresses[packet.destination.family] ?? packet.destination
        let permit = index.permit(
            from: other, to: environment.name, address: own, covering: packet.transport, packet.destinationPort)
        if let permit { return Finding(.permit, line: permit.line) }
        guard answers(packet) else { return Finding(.otherEnvironment) }
        let reverse = index.permit(
            from: environment.name, to: other, address: packet.source, covering: packet.transport, packet.sourcePort)
        return reverse.map { Finding(.answer, line: $0.line) } ?? Finding(.otherEnvironment)
    }

    private func incomingFromRemote(_ packet: Incoming) -> Finding {
        let into = environment.remoteIn.decide(packet.source, packet.transport, packet.destinationPort)
        if into.allows { return Finding(.remote, line: into.line) }
        let out = environment.remoteOut.decide(packet.source, packet.transport, packet.sourcePort)
        guard answers(packet), out.allows else { return Finding(.remoteDenied, line: into.line) }
        return Finding(.answer, line: out.line)
    }

    /// Whether a packet answers a flow: TCP, unless it is a bare SYN; a datagram, if its flow was let out.
    private func answers(_ packet: Incoming) -> Bool {
        packet.transport == .tcp ? !packet.opensFlow : packet.answersFlow
    }

    private var judgedAsHost: Finding {
        Finding(environment.host ? .host : .hostDenied)
    }

    private func carriesAddressSpace(_ arrival: Incoming.Arrival) -> Bool {
        switch arrival {
        case .thisHost: true
        case .interface(let interface): host.interfaces.values.contains(interface)
        }
    }

    // MARK: What is whose

    /// Whether the application may send to and hear groups.
    private func takesGroups(_ transport: TransportProtocol) -> Bool {
        environment.multicast && transport == .udp
    }

    /// Whether the address stands for many.
    private func isGroup(_ address: IPAddress) -> Bool {
        switch index.classify(address, on: host) {
        case .multicast, .broadcast: true
        default: false
        }
    }

    /// Whether the address is one of the application, be it on its loopback.
    private func isOwn(_ address: IPAddress) -> Bool {
        subject.addresses.contains(address) || subject.loopback.contains(address)
    }

    private func isSharedAnswer(_ packet: Incoming) -> Bool {
        (packet.transport == .udp || !packet.opensFlow) && isShared(packet.source, packet.sourcePort, packet.transport)
    }

    /// Whether the peer is a loopback service that every application shares. It has ports, so that ping asks none.
    private func isShared(_ address: IPAddress, _ port: UInt16, _ transport: TransportProtocol) -> Bool {
        let service = SharedService(address: address, port: port)
        guard transport != .ping else { return false }
        return index.policy.loopbackShared.contains(service) || host.sharedServices.contains(service)
    }
}
