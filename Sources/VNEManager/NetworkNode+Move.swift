internal import FoundationEssentials
internal import OverlayModel
public import PolicyModel
internal import VNEHost

/// Handing an application's address over to another host, while both have an application with it.
///
/// The host that gets it stands by: it tells the others of a way to the address, and lets nothing through. Once the store says that
/// it is ready, the owner alone says when: it keeps on its disk that it hands over, lets nothing through any more, and tells all
/// its managers. Each of them moves the address from one tunnel to the other at once, and tells the new owner, which lets through
/// what comes. One commit to the store follows, which takes the address from the one and gives it to the other. Until the owner
/// knows of it, it lets nothing through, whatever becomes of it, and the store gives it back only if the other host is not ready any
/// more. So no two hosts take or send packets of the address at any time, whatever breaks meanwhile.
extension NetworkNode {
    /// What came of a handover.
    public struct Handover: Hashable, Sendable {
        /// Who has the address.
        public var host: String
        /// From this host's stop until the store said so, which is after packets go to the other one.
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
        let (offering, wanted) = try await place.changing { () throws(ManagerError) -> (ClaimRequest, Set<IPAddress>) in
            let found = try await self.wanted()
            let turn = try ClaimTurn.next(place, after: known)
            var offering = try request(turn: turn, wanting: found.union([address]))
            offering.offers = ["\(address)": name]
            try await giveUp(allBut: offering)
            return (offering, found)
        }
        let offer = try await conversation.ask(offering)
        if let later = offer.later { return .later(later) }
        if let failure = offer.failure { return .failed(failure) }
        if let reason = offer.refused["\(address)"] { return .refused(reason) }
        let handover = try await place.changing {
            () throws(ManagerError) -> (begun: Duration, turn: Int, to: [ClaimConversation])? in
            // Its answer has the owner's consent as it is now.
            guard try ClaimTurn.last(place) == offering.turn else { return nil }
            let turn = try ClaimTurn.next(place, after: offering.turn)
            // The others are told as well: whoever forwards to the address need not hear of it from the store.
            let conversations = [conversation] + (await connected(to: managerEnds.filter { $0 != manager }))
            let begun = try await stop(address, for: name, turn: turn, wanting: wanted, telling: conversations)
            return (begun, turn, conversations)
        }
        guard let handover else { return .later(offering.turn) }
        let answer = try await Self.first(of: handover.to)
        let duration = EngineEvents.now - handover.begun
        guard answer.later == nil else { return .failed("something else was asked for meanwhile") }
        try await place.changing { () throws(ManagerError) in
            guard try ClaimTurn.last(place) == handover.turn else { return }
            try await take(claimed: Set(answer.held.compactMap { IPAddress($0) }), refused: answer.refused)
        }
        guard answer.refused["\(address)"] == "\(name) has it" else {
            return .failed("something else was asked for meanwhile")
        }
        return .done(Handover(host: name, duration: duration))
    }

    /// Conversations with those that answer.
    private func connected(to managers: [IPAddress]) async -> [ClaimConversation] {
        let namespace = place.namespace
        return await withTaskGroup(of: ClaimConversation?.self) { group in
            for manager in managers {
                group.addTask { try? await ClaimConversation(with: manager, in: namespace) }
            }
            return await group.reduce(into: []) { found, one in if let one { found.append(one) } }
        }
    }

    /// The first answer of several managers that says what became of something.
    private static func first(of conversations: [ClaimConversation]) async throws(ManagerError) -> ClaimAnswer {
        let answers = AsyncStream<Result<ClaimAnswer, ManagerError>> { continuation in
            // Whoever answers later is heard by nobody.
            for conversation in conversations {
                Task {
                    do throws(ManagerError) {
                        continuation.yield(.success(try await conversation.answer()))
                    } catch {
                        continuation.yield(.failure(error))
                    }
                }
            }
        }
        var failures: [String] = []
        for await answer in answers {
            switch answer {
            case .success(let answer) where answer.failure == nil: return answer
            case .success(let answer): failures.append(answer.failure ?? "")
            case .failure(let error): failures.append(error.description)
            }
            if failures.count == conversations.count { break }
        }
        throw ManagerError(.failed, failures.joined(separator: "; "))
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
    var passing: Set<IPAddress> {
        claimable(in: place.passing).union(claimable(in: place.handing))
    }

    /// Whether there is something that a host lets nothing through to.
    static func isPassing(_ place: NetworkPlace) -> Bool {
        [place.passing, place.handing].contains { (try? NodeFiles.text($0)).map { $0?.isEmpty == false } ?? false }
    }

    private func keep(passing: Set<IPAddress>) throws(ManagerError) {
        try NodeFiles.write(passing.sorted().map { "\($0)\n" }.joined(), to: place.passing)
    }

    /// What this host handed over, to whom, as far as it does not know what became of it. It is on the disk: whoever was told so may
    /// have it, and the host that began anew does not ask for it as its own.
    var handing: [String: String] {
        get throws(ManagerError) {
            let lines = (try NodeFiles.text(place.handing) ?? "").split(separator: "\n")
            let pairs = lines.map { $0.split(separator: " ").map(String.init) }.filter { $0.count == 2 }
            return Dictionary(pairs.map { ($0[0], $0[1]) }) { first, _ in first }
        }
    }

    /// What a host asks for that wants some addresses.
    func request(
        turn: Int, wanting wanted: Set<IPAddress>, patience: Int = 0, standsBy: Bool = false
    ) throws(ManagerError) -> ClaimRequest {
        let handing = try handing
        return ClaimRequest(
            turn: turn, addresses: wanted.sorted().map(\.description).filter { handing[$0] == nil }, patience: patience,
            standsBy: standsBy, handovers: handing.isEmpty ? nil : handing)
    }

    /// Does not have any more what a request does not want, before anybody hears of the request: another host may have it as soon
    /// as that.
    func giveUp(allBut request: ClaimRequest) async throws(ManagerError) {
        let before = claimed
        let kept = before.intersection(request.addresses.compactMap { IPAddress($0) })
        guard kept != before || request.handovers != nil else { return }
        let isRunning = isUp && !self.kept.isDown
        // Whatever fails from here on, nothing is let through.
        if isRunning { try await close(before.subtracting(kept)) }
        try keep(claimed: kept)
        if isRunning { try await leadToApplications() }
    }

    private func keep(claimed: Set<IPAddress>) throws(ManagerError) {
        try NodeFiles.write(claimed.sorted().map { "\($0)\n" }.joined(), to: place.claimed)
    }

    /// Lets nothing through to and from an address from now on, tells managers so, and does not have it before one of them says so;
    /// returns when that was.
    private func stop(
        _ address: IPAddress, for name: String, turn: Int, wanting wanted: Set<IPAddress>,
        telling conversations: [ClaimConversation]
    ) async throws(ManagerError) -> Duration {
        let handing = try handing.merging(["\(address)": name]) { $1 }
        // The first of these files is the one that “run” hears of: whatever becomes of this process, it finds out.
        try keep(passing: passing.union([address]))
        try NodeFiles.write(
            handing.sorted { $0.key < $1.key }.map { "\($0) \($1)\n" }.joined(), to: place.handing, isDurable: true)
        try keep(claimed: claimed.subtracting([address]))
        let text = try ClaimConversation.text(try request(turn: turn, wanting: wanted))
        let namespace = place.namespace
        return try await waiting { () throws(HostError) in
            let routes = try SingleRoutes(in: namespace, protocol: UInt8(NodeConfiguration.applicationRoutes))
            let begun = EngineEvents.now
            try routes.close(address)
            // Whoever does not hear of it here hears of it from the store.
            for conversation in conversations { try? conversation.say(text) }
            return begun
        }
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
        let reasons = refused.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\n" }
        let texts = [(place.claimed, held.sorted().map { "\($0)\n" }.joined()), (place.refused, reasons.joined())]
        for (file, text) in texts where try NodeFiles.text(file) != text { try NodeFiles.write(text, to: file) }
        try NodeFiles.remove(place.handing)
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

    /// Lets through what was waited for and is this host's now.
    func openAwaited(_ held: Set<IPAddress>) async throws(ManagerError) {
        let addresses = passing.intersection(held)
        guard !addresses.isEmpty, isUp, !kept.isDown else { return }
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
