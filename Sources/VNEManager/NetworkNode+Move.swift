internal import FoundationEssentials
internal import OverlayModel
public import PolicyModel
internal import VNEHost

/// Handing an application's address over to another host, while both have an application with it.
///
/// The host that gets it stands by: it tells the others of a way to the address, and lets nothing through. Then the owner lets
/// nothing through any more, and one commit to the store takes the address from it and gives it to the other one, which lets
/// through what comes once it has heard of the commit. So no two hosts take or send packets of the address at any time, whatever
/// breaks meanwhile; managers move it from one tunnel to the other as soon as they hear of it.
extension NetworkNode {
    /// What came of a handover.
    public struct Handover: Hashable, Sendable {
        /// Who has the address.
        public var host: String
        /// From this host's stop to the manager's answer.
        public var duration: Duration
    }

    /// Hands an address that this host claimed and has over to another host.
    public func move(_ address: IPAddress, to name: String) async throws(ManagerError) -> Handover {
        try check(address, to: name)
        OwnPriority.raise()
        var failures: [String] = []
        var known = 0
        for manager in managerEnds {
            // Another process of this host may ask for something at the same time; then it is begun anew.
            for _ in 0..<Self.tries {
                let outcome: Outcome
                do throws(ManagerError) {
                    outcome = try await hand(address, over: name, by: manager, after: known)
                } catch {
                    outcome = .failed(error.description)
                }
                switch outcome {
                case .done(let handover): return handover
                case .failed(let reason): failures.append(reason)
                case .refused(let reason):
                    throw ManagerError(.failed, "\(address) stays this host's: \(reason)")
                case .later(let turn):
                    known = turn
                    continue
                }
                break
            }
            // Who stopped finds out first what became of it.
            guard passing.contains(address) else { continue }
            return try await findOut(address, name, failures)
        }
        throw ManagerError(
            .failed,
            "\(address) stays this host's: \(failures.isEmpty ? "something else is asked for all the time" : failures.joined(separator: "; "))"
        )
    }

    private static let tries = 5

    private enum Outcome {
        case done(Handover)
        /// This manager could not do it; another one may.
        case failed(String)
        /// No manager does it as things are.
        case refused(String)
        /// Somebody asked for something later, in that turn.
        case later(Int)
    }

    private func check(_ address: IPAddress, to name: String) throws(ManagerError) {
        guard kept.node.role == .host else {
            throw ManagerError(.failed, "an address is handed over by the host that has it, and this node is a manager")
        }
        guard !kept.isApart else {
            throw ManagerError(
                .failed,
                "\(place.label) is kept apart: its applications are in the network's own namespace, and are not stopped there; "
                    + "detach the application here, and attach it there")
        }
        guard isUp, !kept.isDown else { throw ManagerError(.failed, "this node is down: see vne-manager up") }
        guard name != kept.node.name else { throw ManagerError(.failed, "\(address) is at \(name) already") }
        guard let host = kept.topology.node(named: name), host.role == .host else {
            var nearest = NearestWord()
            let others = kept.topology.hosts.map(\.name).filter { $0 != kept.node.name }
            let suggestion = nearest.find(name, in: others).map { "; did you mean \($0.quoted)?" } ?? ""
            throw ManagerError(.missing, "\(kept.topology.network) has no host \(name.quoted)\(suggestion)")
        }
        guard host.mayClaim(address) else {
            throw ManagerError(
                .failed, "the topology does not let \(name) claim \(address): see hosts.\(name).claims")
        }
        guard claimed.contains(address) else {
            throw ManagerError(
                .missing, "\(address) is not claimed by this host: see vne-manager status, which says whose it is")
        }
    }

    private func hand(
        _ address: IPAddress, over name: String, by manager: IPAddress, after known: Int
    ) async throws(ManagerError) -> Outcome {
        let conversation = try await ClaimConversation(with: manager, in: place.namespace)
        let place = place
        let wanted = try await wanted()
        let turn = try await place.changing { () throws(ManagerError) in try ClaimTurn.next(place, after: known) }
        let offer = try await conversation.ask(
            ClaimRequest(
                turn: turn, addresses: wanted.union([address]).sorted().map(\.description), patience: 0,
                offers: ["\(address)": name]))
        if let later = offer.later { return .later(later) }
        if let failure = offer.failure { return .failed(failure) }
        if let reason = offer.refused["\(address)"] { return .refused(reason) }
        let (begun, own) = try await place.changing { () throws(ManagerError) in
            // Its answer has the owner's consent as it is now.
            guard try ClaimTurn.last(place) == turn else { return (Duration.zero, 0) }
            let own = try ClaimTurn.next(place, after: turn)
            return (try await stop(address), own)
        }
        guard own > 0 else { return .later(turn) }
        let answer = try await conversation.ask(
            ClaimRequest(
                turn: own, addresses: wanted.subtracting([address]).sorted().map(\.description), patience: 0,
                handovers: ["\(address)": name]))
        let duration = EngineEvents.now - begun
        if let failure = answer.failure { return .failed(failure) }
        guard answer.later == nil else { return .failed("something else was asked for meanwhile") }
        try await place.changing { () throws(ManagerError) in
            guard try ClaimTurn.last(place) == own else { return }
            let held = Set(answer.held.compactMap { IPAddress($0) }).subtracting([address])
            try await take(
                claimed: held, refused: answer.refused.merging(["\(address)": "\(name) has it"]) { $1 })
        }
        return .done(Handover(host: name, duration: duration))
    }

    /// Asks what became of a handover whose answer did not come, or was a refusal. This host lets nothing through until then.
    private func findOut(
        _ address: IPAddress, _ name: String, _ failures: [String]
    ) async throws(ManagerError) -> Handover {
        let begun = EngineEvents.now
        let claims = HostClaims(place) { _ in }
        await claims.look(isAnyway: true, isPatient: false)
        let reasons = failures.joined(separator: "; ")
        if claimed.contains(address) { throw ManagerError(.failed, "\(address) stays this host's: \(reasons)") }
        guard !passing.contains(address) else {
            throw ManagerError(
                .failed,
                "no manager says whether \(name) has \(address) (\(reasons)): this host lets nothing through to it until one does"
            )
        }
        guard refused.contains(where: { $0.address == "\(address)" && $0.reason == "\(name) has it" }) else {
            throw ManagerError(.failed, "\(address) is not this host's any more, and not \(name)'s: \(reasons)")
        }
        return Handover(host: name, duration: EngineEvents.now - begun)
    }

    // MARK: Letting nothing through

    /// What this host lets nothing through to or from, and tells others of all the same: what it is handing over, until it knows
    /// whose it is, and what is about to become its own.
    var passing: Set<IPAddress> { claimable(in: place.passing) }

    /// Whether there is something that a host lets nothing through to.
    static func isPassing(_ place: NetworkPlace) -> Bool {
        (try? NodeFiles.text(place.passing)).map { $0?.isEmpty == false } ?? false
    }

    private func keep(passing: Set<IPAddress>) throws(ManagerError) {
        try NodeFiles.write(passing.sorted().map { "\($0)\n" }.joined(), to: place.passing)
    }

    /// Lets nothing through to and from an address from now on, and does not have it before a manager says so; returns when
    /// that was.
    private func stop(_ address: IPAddress) async throws(ManagerError) -> Duration {
        try keep(passing: passing.union([address]))
        try NodeFiles.write(
            claimed.subtracting([address]).sorted().map { "\($0)\n" }.joined(), to: place.claimed)
        let begun = EngineEvents.now
        try await close([address])
        return begun
    }

    /// Tells others of ways to what is about to become this host's, and lets nothing through; returns what of it this host
    /// wants.
    func standBy(_ coming: Set<IPAddress>) async throws(ManagerError) -> Set<IPAddress> {
        guard isUp, !kept.isDown else { return [] }
        let ready = try await wanted().intersection(coming).subtracting(claimed)
        try keep(passing: passing.union(ready))
        try await close(ready)
        return ready
    }

    /// Has this host have what managers answered, and nothing else that others may have, too.
    func take(claimed held: Set<IPAddress>, refused: [String: String]) async throws(ManagerError) {
        let (before, awaited) = (claimed, passing)
        let isRunning = isUp && !kept.isDown
        // What was waited for first: packets are lost meanwhile.
        if isRunning { try await open(awaited.intersection(held)) }
        let reasons = refused.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\n" }
        let texts = [(place.claimed, held.sorted().map { "\($0)\n" }.joined()), (place.refused, reasons.joined())]
        for (file, text) in texts where try NodeFiles.text(file) != text { try NodeFiles.write(text, to: file) }
        if !awaited.isEmpty { try keep(passing: []) }
        if isRunning, before != held || !awaited.isEmpty { try await leadToApplications() }
    }

    private func close(_ addresses: Set<IPAddress>) async throws(ManagerError) {
        let namespace = place.namespace
        try await waiting { () throws(HostError) in
            let routes = try SingleRoutes(in: namespace, protocol: UInt8(NodeConfiguration.applicationRoutes))
            for address in addresses.sorted() { try routes.close(address) }
        }
    }

    private func open(_ addresses: Set<IPAddress>) async throws(ManagerError) {
        guard !addresses.isEmpty else { return }
        let (namespace, isApart) = (place.namespace, kept.isApart)
        let (gateway, link) = (
            isApart ? nil : kept.topology.linkSubnet.network, isApart ? "lo" : NodeConfiguration.carrier
        )
        try await waiting { () throws(HostError) in
            let routes = try SingleRoutes(in: namespace, protocol: UInt8(NodeConfiguration.applicationRoutes))
            for address in addresses.sorted() { try routes.lead(to: address, via: gateway, over: link) }
        }
    }
}
