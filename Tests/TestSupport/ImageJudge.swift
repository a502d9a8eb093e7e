public import PolicyModel
public import VNEBPF

/// The decision as the programs take it, from an image alone: what holds the compiler to the model without a kernel.
public struct ImageJudge {
    let image: PolicyImageReader
    /// The record of the subject's environment.
    public let environment: PolicyImageReader.EnvironmentRecord
    let subject: Subject

    /// A judge of what one application does; nil if the image has no environment of the name of the application's.
    public init?(_ image: PolicyImageReader, subject: Subject) throws {
        guard let environment = try image.environment(named: subject.environment) else { return nil }
        self.image = image
        self.environment = environment
        self.subject = subject
    }

    /// What the image says of an attempt.
    public func reason(_ attempt: Attempt) throws -> Reason {
        for address in subject.addresses.all {
            guard case .environment(environment.id, _) = try image.owner(of: address) else { return .unconfigured }
        }
        return switch attempt {
        case .outgoing(let attempt): try outgoing(attempt)
        case .incoming(let attempt): try incoming(attempt)
        case .bind(let transport, let address):
            try address.isUnspecified || isGroup(address, transport) || subject.addresses.contains(address)
                || subject.loopback.own(address) != nil
                ? .permittedUse : .foreignAddress
        case .create(let transport): environment.protocols.contains(transport) ? .permittedUse : .protocol
        }
    }

    private func isShared(_ address: IPAddress, _ port: UInt16, _ transport: TransportProtocol) -> Bool {
        transport != .ping && image.sharedServices.contains(SharedService(address: address, port: port))
    }

    /// Whether a packet of this host is the answer of a shared service.
    private func isSharedAnswer(_ packet: Incoming) -> Bool {
        packet.arrival == .thisHost && (packet.transport == .udp || !packet.opensFlow)
            && isShared(packet.source, packet.sourcePort, packet.transport)
    }

    private func takesGroups(_ transport: TransportProtocol) -> Bool {
        environment.multicast && transport == .udp
    }

    private func isGroup(_ address: IPAddress, _ transport: TransportProtocol) throws -> Bool {
        let owner = try image.owner(of: address)
        return takesGroups(transport) && (owner == .multicast || owner == .broadcast)
    }

    private var hostReason: Reason { environment.host ? .host : .hostDenied }

    private func outgoing(_ attempt: Outgoing) throws -> Reason {
        guard environment.protocols.contains(attempt.transport) else { return .protocol }
        let peer = attempt.destination
        let own = subject.addresses[peer.family]
        let loopback = subject.loopback
        if let source = attempt.source {
            guard source == own || loopback.contains(source) else { return .source }
            if loopback.contains(source) || loopback.contains(peer) {
                if subject.addresses.contains(peer) || loopback.contains(peer) { return .ownLoopback }
                return isShared(peer, attempt.port, attempt.transport) ? .shared : .source
            }
        }
        let owner = try image.owner(of: peer)
        if owner == .loopback {
            let isPing = attempt.transport == .ping
            if isShared(peer, attempt.port, attempt.transport) { return .shared }
            guard attempt.source == nil, isPing || attempt.loopbackListens else { return .loopback }
            return loopback.own(peer) == nil ? .loopback : .ownLoopback
        }
        guard let own else { return .noFamily }
        switch owner {
        case .loopback: return .loopback
        case .environment(environment.id, _): return .ownEnvironment
        case .environment(let other, _):
            if try image.permits(from: environment.id, to: other, at: peer, attempt.transport, attempt.port) {
                return .permit
            }
            guard attempt.answersFlow else { return .otherEnvironment }
            let answers =
                try attempt.transport != .tcp
                || image.permits(from: other, to: environment.id, at: own, .tcp, attempt.localPort)
            return answers ? .answer : .otherEnvironment
        case .unassigned: return .unassigned
        case .host: return hostReason
        case .linkLocal: return environment.linkLocal ? .linkLocal : .linkLocalDenied
        case .multicast: return takesGroups(attempt.transport) ? .group : .multicast
        case .broadcast: return takesGroups(attempt.transport) ? .group : .broadcast
        case .remote:
            if try image.allows(environment.remoteOut, peer, attempt.transport, attempt.port) { return .remote }
            guard attempt.answersFlow else { return .remoteDenied }
            let answers =
                try attempt.transport != .tcp || image.allows(environment.remoteIn, peer, .tcp, attempt.localPort)
            return answers ? .answer : .remoteDenied
        }
    }

    /// From a source in the address space, taken for the application that has it.
    private func member(
        _ owner: PolicyImageReader.AddressOwner, _ attempt: Incoming, answers: Bool
    ) throws -> Reason {
        guard case .environment(let other, _) = owner else { return .unassigned }
        if other == environment.id { return .ownEnvironment }
        let port = attempt.destinationPort
        let own = subject.addresses[attempt.destination.family] ?? attempt.destination
        if try image.permits(from: other, to: environment.id, at: own, attempt.transport, port) {
            return .permit
        }
        let permitted = try image.permits(
            from: environment.id, to: other, at: attempt.source, attempt.transport, attempt.sourcePort)
        return answers && permitted ? .answer : .otherEnvironment
    }

    /// Whether a packet comes from the application itself.
    private func isOwnLoopback(_ attempt: Incoming) -> Bool {
        guard attempt.arrival == .thisHost else { return false }
        guard
            subject.loopback.contains(attempt.source)
                || subject.addresses[attempt.destination.family] == attempt.source
        else { return false }
        switch attempt.transport {
        case .ping: return true
        case .udp: return attempt.sender == .owner
        case .tcp: return attempt.sender == .owner || !attempt.opensFlow && !attempt.acceptsFlow
        }
    }

    private func incoming(_ attempt: Incoming) throws -> Reason {
        let toLoopback = subject.loopback.contains(attempt.destination)
        let toMany = !toLoopback && !subject.addresses.contains(attempt.destination)
        if toMany {
            guard try isGroup(attempt.destination, attempt.transport),
                attempt.source.family == attempt.destination.family,
                subject.addresses[attempt.source.family] != nil
            else { return .notAddressed }
            if subject.loopback.contains(attempt.source) { return .forged }
        }
        guard environment.protocols.contains(attempt.transport) else { return .protocol }
        if toLoopback {
            if isOwnLoopback(attempt) { return .ownLoopback }
            return isSharedAnswer(attempt) ? .shared : .loopback
        }
        if subject.loopback.contains(attempt.source) { return isOwnLoopback(attempt) ? .ownLoopback : .forged }
        let isTCP = attempt.transport == .tcp
        let answers = isTCP ? !attempt.opensFlow : attempt.answersFlow
        let peer = attempt.source
        let owner = try image.owner(of: peer)
        switch owner {
        case .environment, .unassigned:
            if case .interface(let index) = attempt.arrival, !image.interfaces.contains(index) { return .forged }
            let member = try member(owner, attempt, answers: answers)
            if toMany, attempt.arrival == .thisHost, attempt.sender != .owner {
                return member.allows && !environment.host ? .hostDenied : member
            }
            let accepts = isTCP && attempt.acceptsFlow
            guard attempt.arrival == .thisHost, attempt.sender != .owner, attempt.transport != .ping else {
                return member
            }
            guard member.allows || attempt.sender == .other else { return member }
            if accepts { return member.allows ? .forged : member }
            if isTCP, !attempt.opensFlow, member.allows { return member }
            return member.allows == hostReason.allows ? member : hostReason
        case .multicast, .broadcast: return .malformed
        case .loopback:
            guard attempt.arrival == .thisHost else { return .forged }
            return isSharedAnswer(attempt) ? .shared : hostReason
        case .host: return attempt.arrival == .thisHost ? hostReason : .forged
        case .linkLocal:
            if attempt.arrival == .thisHost { return hostReason }
            return environment.linkLocal ? .linkLocal : .linkLocalDenied
        case .remote:
            if attempt.arrival == .thisHost { return hostReason }
            if try image.allows(environment.remoteIn, peer, attempt.transport, attempt.destinationPort) {
                return .remote
            }
            let allowed = try image.allows(environment.remoteOut, peer, attempt.transport, attempt.sourcePort)
            return answers && allowed ? .answer : .remoteDenied
        }
    }
}
