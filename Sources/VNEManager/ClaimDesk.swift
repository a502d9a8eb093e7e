internal import FoundationEssentials
internal import OverlayModel
internal import PolicyModel
internal import VNEHost

/// A manager's part in claims: answers hosts, and has tunnels and routing believe what the store says.
///
/// Every manager does both, and none depends on another one: the store is where they agree.
actor ClaimDesk {
    private let place: NetworkPlace
    private let log: @Sendable (String) -> Void
    /// What the store has, once it was read.
    private var state: StoreState?
    /// How often it has changed since; whoever waits for a change looks at it.
    private var changes = 0
    /// How many requests are being answered, by who asks.
    private var visitors: [IPAddress: Int] = [:]

    /// Requests of one host at a time: one that waits, and those that came since.
    private static let visitorLimit = 4
    /// Of all together: each may hold a thread for as long as it says nothing.
    private static let crowdLimit = 32
    /// Addresses that change in one commit; etcd is told of a limit beyond.
    private static let commitLimit = 1000
    /// How long a request may take to arrive, and its answer to leave.
    private static let patience = Duration.seconds(2)
    /// How long an answer waits at most for what somebody else has.
    private static let longestWait = Duration.seconds(5)
    /// How often it is tried again if others change the same at the same time.
    private static let tries = 20

    init(_ place: NetworkPlace, log: @escaping @Sendable (String) -> Void) {
        self.place = place
        self.log = log
    }

    // MARK: What the store says

    /// Follows the store for as long as the task lives.
    func follow() async {
        var failure: String?
        while !Task.isCancelled {
            do throws(ManagerError) {
                let client = try Self.client(place)
                let read = try await client.read()
                state = read
                changes += 1
                try await believe(read.claims)
                if failure != nil { log("\(place.label): the store answers") }
                failure = nil
                // Now and then all of it is read, so that a member of the store that is cut off is found out.
                try await client.watch(after: read.revision, patience: .seconds(10)) { changes in
                    try await self.hear(changes)
                }
            } catch {
                guard !Task.isCancelled, error.kind != .missing else { return }
                if failure != error.description { log("\(place.label): \(error)") }
                failure = error.description
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    private func hear(_ told: [StoreClient.Change]) async throws(ManagerError) {
        take(told)
        if let state { try await believe(state.claims) }
    }

    private func take(_ told: [StoreClient.Change]) {
        state?.apply(told)
        changes += 1
    }

    private func believe(_ claims: Claims) async throws(ManagerError) {
        guard try KeptNode(place).claims != claims else { return }
        try await place.changing { () throws(ManagerError) in
            let node = NetworkNode(try KeptNode(place))
            try await node.believe(claims)
        }
    }

    static func client(_ place: NetworkPlace) throws(ManagerError) -> StoreClient {
        let endpoints = try KeptNode(place).configuration().storeEndpoints
        guard !endpoints.isEmpty else {
            throw ManagerError(.missing, "\(place.label) has no store here: see “store” in its topology")
        }
        return StoreClient(place: place, endpoints: endpoints)
    }

    // MARK: Requests

    /// Answers whoever connects, until the socket is shut.
    nonisolated func serve(_ listener: LineSocket) async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                do throws(ManagerError) {
                    guard let (socket, peer) = try await waiting({ () throws(HostError) in try listener.accept() })
                    else { return }
                    group.addTask { await self.receive(socket, from: peer) }
                } catch {
                    log("\(place.label): \(error)")
                    try? await Task.sleep(for: .seconds(1))
                }
            }
        }
    }

    private func receive(_ socket: LineSocket, from peer: IPAddress) async {
        // No host takes another one's turn.
        guard visitors[peer, default: 0] < Self.visitorLimit, visitors.values.reduce(0, +) < Self.crowdLimit else {
            return
        }
        visitors[peer, default: 0] += 1
        defer {
            let others = visitors[peer, default: 1] - 1
            visitors[peer] = others > 0 ? others : nil
        }
        do throws(ManagerError) {
            let line = try await waiting { () throws(HostError) in
                try socket.readLine(limit: ClaimRequest.limit, patience: Self.patience)
            }
            guard let line, let request = try? JSONDecoder().decode(ClaimRequest.self, from: Data(line.utf8)) else {
                return
            }
            let answer = await self.answer(request, from: peer)
            guard let data = try? JSONEncoder().encode(answer) else { return }
            try await waiting { () throws(HostError) in
                try socket.write(String(decoding: data, as: UTF8.self), patience: Self.patience)
            }
        } catch {
            log("\(place.label): \(error)")
        }
    }

    private func answer(_ request: ClaimRequest, from peer: IPAddress) async -> ClaimAnswer {
        do throws(ManagerError) {
            return try await grant(request, from: peer)
        } catch {
            return ClaimAnswer(failure: error.description)
        }
    }

    private func grant(_ request: ClaimRequest, from peer: IPAddress) async throws(ManagerError) -> ClaimAnswer {
        let topology = try KeptNode(place).topology
        guard let host = topology.node(atLinkAddress: peer), host.role == .host else {
            throw ManagerError(.invalid, "\(peer) is no host's end of a tunnel")
        }
        guard (1...ClaimRequest.lastTurn).contains(request.turn) else {
            throw ManagerError(.invalid, "\(request.turn) is no turn")
        }
        let wanted = Set(request.addresses.compactMap { IPAddress($0) })
        let end = EngineEvents.now + min(.milliseconds(max(request.patience, 0)), Self.longestWait)
        let client = try Self.client(place)
        var known = state
        for _ in 0..<Self.tries {
            let seen = changes
            // What is known may be old. Then the store refuses what follows from it, and it is read.
            let state: StoreState
            if let known { state = known } else { state = try await client.read() }
            let last = state.turns[host.name]?.turn ?? 0
            guard request.turn >= last else { return ClaimAnswer(later: last) }
            let change = state.claims.change(of: host, wanting: wanted, in: topology)
            if !change.isEmpty {
                let part = change.prefix(Self.commitLimit)
                guard
                    let committed = try await state.commit(part, of: host.name, turn: request.turn, by: client)
                else {
                    known = nil
                    continue
                }
                take(committed)
                log("\(place.label): \(host.name) \(Self.summary(part))")
                guard part == change else {
                    known = self.state
                    continue
                }
            }
            if change.mayPass, await hasChanged(since: seen, until: end) {
                known = self.state
                continue
            }
            return Self.answer(change)
        }
        throw ManagerError(.failed, "claims change too fast: ask again")
    }

    /// Waits until the store has changed, no longer than until then; says whether it has.
    private func hasChanged(since seen: Int, until end: Duration) async -> Bool {
        while changes == seen {
            guard EngineEvents.now < end, !Task.isCancelled else { return false }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return true
    }

    private static func answer(_ change: ClaimChange) -> ClaimAnswer {
        var answer = ClaimAnswer(
            held: (change.held + change.made).sorted().map(\.description), mayPass: change.mayPass)
        for (address, refusal) in change.refused {
            answer.refused["\(address)"] =
                switch refusal {
                case .held(let host): "\(host) has it"
                case .notAllowed: "the topology does not let this host claim it"
                }
        }
        return answer
    }

    private static func summary(_ change: ClaimChange) -> String {
        var parts: [String] = []
        if !change.made.isEmpty { parts.append("has \(list(change.made))") }
        if !change.ended.isEmpty { parts.append("gave up \(list(change.ended))") }
        return parts.joined(separator: " and ")
    }

    private static func list(_ addresses: [IPAddress]) -> String {
        let some = addresses.prefix(8).map(\.description).joined(separator: ", ")
        return addresses.count > 8 ? "\(some) and \(addresses.count - 8) more" : some
    }
}
