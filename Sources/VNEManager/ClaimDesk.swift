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
    /// What tunnels and routing were told last.
    private var believed: Claims?
    /// How often claims have changed since; whoever waits for a change looks at it.
    private var changes = 0
    /// How many requests are being answered, by who asks.
    private var visitors: [IPAddress: Int] = [:]
    /// When a host's next request is looked at.
    private var next: [String: Duration] = [:]
    /// A host's last turn that came here: what asked before it has nothing to wait for.
    private var latest: [String: Int] = [:]

    /// Requests of one host at a time: one that waits, and those that came since. No host takes another one's turn.
    private static let visitorLimit = 4
    /// How long a request may take to arrive, and its answer to leave.
    private static let patience = Duration.seconds(2)
    /// How long an answer waits at most for what somebody else has.
    private static let longestWait = Duration.seconds(10)
    /// What a host's requests are apart: none fills the store.
    private static let pause = Duration.milliseconds(100)
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
                let read = try await self.read(client)
                // What was committed here since is heard again.
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
                guard !Task.isCancelled else { return }
                if failure != error.description { log("\(place.label): \(error)") }
                failure = error.description
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    private func hear(_ told: [StoreClient.Change]) async throws(ManagerError) {
        take(told)
        guard let state, state.claims != believed else { return }
        try await believe(state.claims)
    }

    private func take(_ told: [StoreClient.Change]) {
        if state?.apply(told) == true { changes += 1 }
    }

    /// Reads all of the store. One that is older than what this node knows of it has lost something: what it says is not
    /// believed, so that nobody gets what somebody else has.
    private func read(_ client: StoreClient) async throws(ManagerError) -> StoreState {
        let read = try await client.read()
        let known = try KeptNode(place).claims.holders.values.map(\.epoch).max() ?? 0
        guard read.revision >= known else {
            throw ManagerError(
                .failed,
                "the store has lost data: it is at revision \(read.revision), and there was a claim at \(known) already; restore "
                    + "it, or remove \(place.kept)/\(KeptNode.claimsFile) at every manager to begin anew")
        }
        return read
    }

    private func believe(_ claims: Claims) async throws(ManagerError) {
        try await place.changing { () throws(ManagerError) in
            let node = NetworkNode(try KeptNode(place))
            try await node.believe(claims)
        }
        believed = claims
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
        guard visitors[peer, default: 0] < Self.visitorLimit else { return }
        visitors[peer, default: 0] += 1
        defer {
            let others = visitors[peer, default: 1] - 1
            visitors[peer] = others > 0 ? others : nil
        }
        do throws(ManagerError) {
            guard let request = try await Self.request(from: socket) else { return }
            let answer = await self.answer(request, from: peer)
            guard let data = try? JSONEncoder().encode(answer) else { return }
            try await waiting { () throws(HostError) in
                try socket.write(String(decoding: data, as: UTF8.self), patience: Self.patience)
            }
        } catch {
            log("\(place.label): \(error)")
        }
    }

    /// A whole request; nil if it is none.
    private nonisolated static func request(from socket: LineSocket) async throws(ManagerError) -> ClaimRequest? {
        let line = try await waiting { () throws(HostError) in
            try socket.readLine(limit: ClaimRequest.limit, patience: patience)
        }
        guard let line, let request = try? JSONDecoder().decode(ClaimRequest.self, from: Data(line.utf8)),
            request.addresses.count <= ClaimRequest.addressLimit
        else { return nil }
        return request
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
        guard request.turn > 0, request.turn < Int(Date().timeIntervalSince1970 * 1000) + ClaimRequest.lead else {
            throw ManagerError(.invalid, "the clock of \(host.name) is more than a day ahead of this manager's")
        }
        latest[host.name] = max(request.turn, latest[host.name] ?? 0)
        let wanted = Set(request.addresses.compactMap { IPAddress($0) })
        let end = EngineEvents.now + min(.milliseconds(max(request.patience, 0)), Self.longestWait)
        let client = try Self.client(place)
        try? await Task.sleep(for: pause(of: host.name))
        var known = state
        var failures = 0
        while true {
            let seen = changes
            let state: StoreState
            if let known { state = known } else { state = try await read(client) }
            let last = state.turns[host.name]?.turn ?? 0
            guard request.turn >= last else { return ClaimAnswer(later: last) }
            let change = state.claims.change(of: host, wanting: wanted, in: topology)
            // What is known may be behind. Whatever it comes to, the store has to agree, so that nobody is told that he has
            // what he has no more; and it knows of this turn from here on, so that no older one changes anything.
            if !change.isEmpty || request.turn > last {
                guard let committed = try await state.commit(change, of: host.name, turn: request.turn, by: client)
                else {
                    failures += 1
                    guard failures < Self.tries else {
                        throw ManagerError(.failed, "claims change too fast: ask again")
                    }
                    known = nil
                    continue
                }
                take(committed)
                if !change.isEmpty { log("\(place.label): \(host.name) \(Self.summary(change))") }
            }
            // Who got something is told at once.
            guard change.mayPass, change.made.isEmpty, await hasChanged(since: seen, until: end, for: request, of: host)
            else {
                return Self.answer(change)
            }
            known = self.state
        }
    }

    /// How long a host's next request has to wait.
    private func pause(of host: String) -> Duration {
        let now = EngineEvents.now
        let time = max(now, next[host] ?? now)
        next[host] = time + Self.pause
        return time - now
    }

    /// Waits until the store has changed, no longer than until then, or until the host asks again; says whether it has.
    private func hasChanged(
        since seen: Int, until end: Duration, for request: ClaimRequest, of host: Node
    ) async -> Bool {
        while changes == seen {
            guard EngineEvents.now < end, latest[host.name] == request.turn, !Task.isCancelled else { return false }
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
