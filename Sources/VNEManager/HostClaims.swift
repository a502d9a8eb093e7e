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
    /// What was asked for last.
    private var asked: Set<IPAddress>?
    /// Whether it is to be asked for whatever is there.
    private var isDue = false
    private var told: [String: String] = [:]
    private var failure: String?

    /// How long an answer may wait for what another host has: milliseconds.
    private static let patience = 10_000
    private static let connecting = Duration.milliseconds(500)
    private static let answering = Duration.seconds(20)
    private static let retry = Duration.seconds(1)

    init(_ place: NetworkPlace, log: @escaping @Sendable (String) -> Void) {
        self.place = place
        self.log = log
    }

    /// Asks for what is there now, if that is something else than what was asked for last.
    /// - Parameter isAnyway: whether it is asked for even if it is the same.
    func look(isAnyway: Bool = false) async {
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
            turn = max(turn + 1, Int(Date().timeIntervalSince1970 * 1000))
            try await ask(for: wanted, node: node, turn: turn)
        } catch {
            say(error.description)
            await again()
        }
    }

    private func ask(for wanted: Set<IPAddress>, node: NetworkNode, turn own: Int) async throws(ManagerError) {
        let request = ClaimRequest(
            turn: own, addresses: wanted.sorted().map(\.description), patience: Self.patience)
        guard let data = try? JSONEncoder().encode(request) else { return }
        var failures: [String] = []
        for manager in node.managerEnds {
            let answer: ClaimAnswer
            do throws(ManagerError) {
                answer = try await Self.exchange(String(decoding: data, as: UTF8.self), manager, place.namespace)
            } catch {
                failures.append(error.description)
                continue
            }
            // Something else was asked for meanwhile.
            guard turn == own else { return }
            if let later = answer.later {
                turn = max(min(later, Int.max >> 1), turn)
                return await look(isAnyway: true)
            }
            if let failure = answer.failure {
                failures.append(failure)
                continue
            }
            return try await take(answer, own)
        }
        guard turn == own else { return }
        throw ManagerError(.failed, "no manager answers for claims: \(failures.joined(separator: "; "))")
    }

    private func take(_ answer: ClaimAnswer, _ own: Int) async throws(ManagerError) {
        if failure != nil { log("\(place.label): managers answer for claims") }
        failure = nil
        let held = Set(answer.held.compactMap { IPAddress($0) })
        let isOld = try await place.changing { () throws(ManagerError) in
            // A later request may have been answered meanwhile.
            guard turn == own else { return true }
            let node = NetworkNode(try KeptNode(place))
            if try node.keep(claimed: held, refused: answer.refused), !node.kept.isDown {
                try await node.leadToApplications()
            }
            return false
        }
        guard !isOld else { return }
        for (address, reason) in answer.refused.sorted(by: { $0.key < $1.key }) where told[address] != reason {
            log("\(place.label): \(address) is not this host's: \(reason)")
        }
        told = answer.refused
        // The manager has waited with its answer for what another host has.
        guard answer.mayPass, turn == own else { return }
        Task { await self.look(isAnyway: true) }
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

    private static func exchange(
        _ request: String, _ manager: IPAddress, _ namespace: String
    ) async throws(ManagerError) -> ClaimAnswer {
        let line = try await waiting { () throws(HostError) in
            let socket = try LineSocket.connected(
                to: manager, ClaimRequest.port, in: namespace, patience: Self.connecting)
            try socket.write(request, patience: Self.connecting)
            return try socket.readLine(limit: ClaimRequest.limit, patience: Self.answering)
        }
        guard let line, let answer = try? JSONDecoder().decode(ClaimAnswer.self, from: Data(line.utf8)) else {
            throw ManagerError(.failed, "the manager at \(manager) ended the connection")
        }
        return answer
    }
}
