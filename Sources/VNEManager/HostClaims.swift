internal import FoundationEssentials
internal import OverlayModel
internal import PolicyModel
internal import VNEHost

/// A host's part in claims: asks its managers for the addresses that its applications have, and has the network lead to
/// those that it gets.
actor HostClaims {
    private let place: NetworkPlace
    private let log: @Sendable (String) -> Void
    /// That of the last request.
    private var turn = 0
    /// How often it was looked what is there.
    private var looks = 0
    /// How often it was found out that something is to be asked for.
    private var asks = 0
    /// What was asked for last.
    private var asked: Set<IPAddress>?
    /// Whether it is to be asked for whatever is there.
    private var isDue = false
    private var told: [String: String] = [:]
    private var failure: String?

    /// How long an answer may wait for what another host has: milliseconds.
    private static let patience = 10_000
    private static let retry = Duration.seconds(1)
    /// How long a handover is left to whoever makes it: as many times ``retry``.
    private static let longestHandover = 10
    /// Whether it is looked soon, as something is handed over.
    private var isLooking = false

    init(_ place: NetworkPlace, log: @escaping @Sendable (String) -> Void) {
        self.place = place
        self.log = log
    }

    /// Asks for what is there now, if that is something else than what was asked for last.
    /// - Parameters:
    ///   - isAnyway: whether it is asked for even if it is the same.
    ///   - isPatient: whether the answer waits for what another host has, and it is asked again if there is none.
    func look(isAnyway: Bool = false, isPatient: Bool = true) async {
        isDue = isDue || isAnyway
        looks += 1
        let own = looks
        do throws(ManagerError) {
            let node = NetworkNode(try KeptNode(place))
            guard !node.kept.isDown, !node.kept.node.claims.isEmpty else { return }
            let wanted = try await node.wanted()
            // Whoever began to look later sees what is there now, and asks for that.
            guard looks == own, isDue || asked != wanted else { return }
            (isDue, asked) = (false, wanted)
            asks += 1
            let number = asks
            let request = try await place.changing { () throws(ManagerError) -> ClaimRequest? in
                // Who found out later what is there has the later turn.
                guard asks == number else { return nil }
                turn = try ClaimTurn.next(place, after: turn)
                return try node.request(
                    turn: turn, wanting: wanted, patience: isPatient ? Self.patience : 0, standsBy: isPatient)
            }
            guard let request else { return }
            try await ask(request, node: node, isPatient: isPatient)
        } catch {
            say(error.description)
            if isPatient { await again() }
        }
    }

    /// Asks anew once a handover is over, whoever made it: what was handed over may come back. What became of one whose maker
    /// is gone is found out, too.
    func lookLater() async {
        guard !isLooking else { return }
        isLooking = true
        defer { isLooking = false }
        try? await Task.sleep(for: Self.retry)
        for _ in 0..<Self.longestHandover where NetworkNode.isPassing(place) { try? await Task.sleep(for: Self.retry) }
        Task { await self.look(isAnyway: true) }
    }

    private func ask(_ request: ClaimRequest, node: NetworkNode, isPatient: Bool) async throws(ManagerError) {
        let own = request.turn
        var failures: [String] = []
        for manager in node.managerEnds {
            var answer: ClaimAnswer
            do throws(ManagerError) {
                let conversation = try await ClaimConversation(with: manager, in: place.namespace)
                guard try await giveUp(request) else { break }
                answer = try await conversation.ask(request)
                while let coming = answer.coming {
                    answer = try await conversation.ask(ClaimRequest.Readiness(ready: try await standBy(coming, own)))
                }
            } catch {
                failures.append(error.description)
                continue
            }
            // Something else was asked for meanwhile.
            guard turn == own else { return }
            if let later = answer.later {
                turn = max(min(later, Int.max >> 1), turn)
                return await look(isAnyway: true, isPatient: isPatient)
            }
            if let failure = answer.failure {
                failures.append(failure)
                continue
            }
            return try await take(answer, node, own, isPatient: isPatient)
        }
        guard turn == own else { return }
        guard try ClaimTurn.last(place) == own else {
            // Another process asked for something later.
            if isPatient { await again() }
            return
        }
        throw ManagerError(.failed, "no manager answers for claims: \(failures.joined(separator: "; "))")
    }

    /// Has this host have no more what it is about to say that it does not want; says whether it is still to say so.
    private func giveUp(_ request: ClaimRequest) async throws(ManagerError) -> Bool {
        let (place, isLast) = (place, turn == request.turn)
        return try await place.changing { () throws(ManagerError) in
            guard isLast, try ClaimTurn.last(place) == request.turn else { return false }
            try await NetworkNode(try KeptNode(place)).giveUp(allBut: request)
            return true
        }
    }

    private func take(
        _ answer: ClaimAnswer, _ node: NetworkNode, _ own: Int, isPatient: Bool
    ) async throws(ManagerError) {
        if failure != nil { log("\(place.label): managers answer for claims") }
        failure = nil
        let held = Set(answer.held.compactMap { IPAddress($0) })
        let isLast = try await place.changing { () throws(ManagerError) in
            // A later request may have been answered meanwhile.
            guard turn == own, try ClaimTurn.last(place) == own else { return false }
            // Packets are lost until then; what is kept is read after it.
            try await node.openAwaited(held)
            try await NetworkNode(try KeptNode(place)).take(claimed: held, refused: answer.refused)
            return true
        }
        guard isLast else {
            // Another process asked for something else: what is there is asked for again.
            if isPatient { await again() }
            return
        }
        for (address, reason) in answer.refused.sorted(by: { $0.key < $1.key }) where told[address] != reason {
            log("\(place.label): \(address) is not this host's: \(reason)")
        }
        told = answer.refused
        // The manager has waited with its answer for what another host has.
        guard isPatient, answer.mayPass, turn == own else { return }
        Task { await self.look(isAnyway: true) }
    }

    /// Has this host be ready for what is about to become its own; returns what it is ready for.
    private func standBy(_ words: [String], _ own: Int) async throws(ManagerError) -> [String] {
        let coming = Set(words.compactMap { IPAddress($0) })
        let place = place
        let isLast = turn == own
        let ready = try await place.changing { () throws(ManagerError) in
            guard isLast, try ClaimTurn.last(place) == own else { return Set<IPAddress>() }
            return try await NetworkNode(try KeptNode(place)).standBy(coming)
        }
        return ready.sorted().map(\.description)
    }

    private func again() async {
        let own = turn
        try? await Task.sleep(for: Self.retry)
        // Whoever asked since then goes on.
        if turn == own, !Task.isCancelled { Task { await self.look(isAnyway: true) } }
    }

    private func say(_ sentence: String) {
        if failure != sentence { log("\(place.label): \(sentence)") }
        failure = sentence
    }
}
