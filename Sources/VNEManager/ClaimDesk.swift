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
    /// What was heard, or committed here, while all of it is being read: it may not be in what is read.
    private var heardMeanwhile: [StoreClient.Change] = []
    /// How many read all of it at the moment.
    private var readers = 0
    /// What owners said that they handed over, and the store does not say yet.
    private var words = HandoverWords()
    /// What tunnels and routing were told last; nil if that is not known.
    private var believed: Claims?
    /// What is kept of the network, as long as nothing of that is another file.
    private var lastKept: (files: [FileIdentity?], node: KeptNode)?
    /// How often something has changed here since: claims, what is believed, or who asked last.
    private var changes = 0
    /// Who waits for that.
    private var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    private var lastWaiter = 0
    private var visitors = Visitors()
    /// When a host's next request is looked at.
    private var next: [String: Duration] = [:]
    /// A host's last turn that came here: what asked before it has nothing to wait for.
    private var latest: [String: Int] = [:]

    /// How long a request may take to arrive, and its answer to leave.
    private static let patience = Duration.seconds(2)
    /// How long a host may take to be ready for something.
    private static let preparing = Duration.seconds(5)
    /// How long an answer waits at most for what somebody else has.
    private static let longestWait = Duration.seconds(10)
    /// What a host's requests are apart: none fills the store.
    private static let pause = Duration.milliseconds(100)
    /// How often it is tried again if others change the same at the same time.
    private static let tries = 20
    /// How long an offer waits at most for the other host: longer than that one is silent while it waits for an answer.
    private static let longestOffer = Duration.seconds(15)
    /// What others are given to hear of the ways that the other host tells of once it is ready.
    private static let settling = Duration.milliseconds(200)
    /// How long the store is left alone once an owner said that he handed something over: packets are lost until tunnels and the new
    /// owner have taken it in, and by the store nobody is waited for.
    private static let switching = Duration.milliseconds(50)
    /// How long a host that is ready is kept waiting for what comes to it, whatever it asked for.
    private static let standing = Duration.seconds(2)

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
                let client = try Self.client(try KeptNode(place))
                let (read, endpoint) = try await readAnew(client)
                try await believe()
                if failure != nil { log("\(place.label): the store answers") }
                failure = nil
                // Now and then all of it is read, so that a member of the store that is cut off is found out.
                try await client.watch(after: read.revision, at: endpoint, patience: .seconds(10)) { changes in
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
        guard let state else { return }
        if words.applied(to: state) != believed { try await believe() }
    }

    private func take(_ told: [StoreClient.Change]) {
        if readers > 0 { heardMeanwhile += told }
        if state?.apply(told) == true { wake() }
        settle()
    }

    /// Forgets words that the store said since, or that came to nothing: then tunnels are told again what it says.
    private func settle() {
        guard let state, words.settle(by: state) else { return }
        believed = nil
    }

    /// Reads all of the store, and has it be what is known, with what was heard while it was read: who offers something is not told
    /// that it is not offered. Most of the store's managers agree to what is read, so that nothing that is known is newer.
    private func readAnew(_ client: StoreClient) async throws(ManagerError) -> (state: StoreState, endpoint: String) {
        readers += 1
        defer {
            readers -= 1
            if readers == 0 { heardMeanwhile = [] }
        }
        let (read, endpoint) = try await readAtOne(client)
        let whole = read.followed(by: heardMeanwhile)
        state = whole
        settle()
        wake()
        return (whole, endpoint)
    }

    /// Something has changed: whoever waits for it looks.
    private func wake() {
        changes += 1
        for waiter in waiters.values { waiter.resume() }
        waiters = [:]
    }

    private func giveUp(_ waiter: Int) { waiters.removeValue(forKey: waiter)?.resume() }

    /// Reads all of the store. One that is older than what this node knows of it has lost something: what it says is not
    /// believed, so that nobody gets what somebody else has.
    private func readAtOne(
        _ client: StoreClient
    ) async throws(ManagerError) -> (state: StoreState, endpoint: String) {
        let (read, endpoint) = try await client.readAtOne()
        let known = try KeptNode(place).claims.holders.values.map(\.epoch).max() ?? 0
        guard read.revision >= known else {
            throw ManagerError(
                .failed,
                "the store has lost data: it is at revision \(read.revision), and there was a claim at \(known) already; restore "
                    + "it, or remove \(place.kept)/\(KeptNode.claimsFile) at every manager to begin anew")
        }
        return (read, endpoint)
    }

    /// Has tunnels and routing believe what is known once nobody else changes the node.
    private func believe() async throws(ManagerError) {
        let claims = try await place.changing { () throws(ManagerError) -> Claims? in
            guard let claims = believable else { return nil }
            try await NetworkNode(try KeptNode(place)).believe(claims)
            return claims
        }
        guard let claims else { return }
        believed = claims
        wake()
    }

    /// Whose the addresses are as far as is known here.
    private var believable: Claims? { state.map(words.applied(to:)) }

    static func client(_ kept: KeptNode) throws(ManagerError) -> StoreClient {
        let endpoints = kept.topology.storeEndpoints(for: kept.node)
        guard !endpoints.isEmpty else {
            throw ManagerError(.missing, "\(kept.place.label) has no store here: see “store” in its topology")
        }
        return StoreClient(place: kept.place, endpoints: endpoints)
    }

    // MARK: Requests

    /// Answers who connected.
    func receive(_ socket: LineSocket, from peer: IPAddress) async {
        guard visitors.enter(peer) else { return }
        defer { visitors.leave(peer) }
        do throws(ManagerError) {
            guard let request = try await Self.request(from: socket) else { return }
            let answer = await self.answer(request, from: peer, over: socket)
            try await Self.say(answer, socket)
            guard request.offers?.isEmpty == false, answer.failure == nil, answer.later == nil else { return }
            // What was offered is handed over by the next line. If it does not come here, it may have come to another manager:
            // only a later request of the owner takes an offer back.
            guard let next = try await Self.request(from: socket, patience: Self.preparing),
                next.handovers?.isEmpty == false
            else { return }
            try await Self.say(await self.answer(next, from: peer, over: socket, isExpected: true), socket)
        } catch {
            log("\(place.label): \(error)")
        }
    }

    private nonisolated static func say(_ answer: ClaimAnswer, _ socket: LineSocket) async throws(ManagerError) {
        guard let data = try? JSONEncoder().encode(answer) else { return }
        try await waiting { () throws(HostError) in
            try socket.write(String(decoding: data, as: UTF8.self), patience: patience)
        }
    }

    /// Has nobody wait for what was offered in a turn, and was not handed over: its owner was not told that he may.
    private func withdraw(_ addresses: Set<IPAddress>, of host: String, turn: Int) async throws(ManagerError) {
        guard let state, state.turns[host]?.turn == turn else { return }
        let offered = addresses.filter { state.moves[$0].map { $0.stage != .left } ?? false }
        let client = try Self.client(try current())
        if let committed = try await state.withdraw(offered.sorted(), of: host, by: client) { take(committed) }
    }

    /// What is kept of the network.
    private func current() throws(ManagerError) -> KeptNode {
        let files = KeptNode.identities(place)
        if let lastKept, lastKept.files == files { return lastKept.node }
        let kept = try KeptNode(place)
        lastKept = (files, kept)
        return kept
    }

    /// A whole request; nil if it is none.
    private nonisolated static func request(
        from socket: LineSocket, patience: Duration = patience
    ) async throws(ManagerError) -> ClaimRequest? {
        let line = try await waiting { () throws(HostError) in
            try socket.readLine(limit: ClaimRequest.limit, patience: patience)
        }
        guard let line, let request = try? JSONDecoder().decode(ClaimRequest.self, from: Data(line.utf8)),
            request.addresses.count <= ClaimRequest.addressLimit
        else { return nil }
        return request
    }

    private func answer(
        _ request: ClaimRequest, from peer: IPAddress, over socket: LineSocket, isExpected: Bool = false
    ) async -> ClaimAnswer {
        do throws(ManagerError) {
            return try await grant(request, from: peer, over: socket, isExpected: isExpected)
        } catch {
            return ClaimAnswer(failure: error.description)
        }
    }

    private func grant(
        _ request: ClaimRequest, from peer: IPAddress, over socket: LineSocket, isExpected: Bool
    ) async throws(ManagerError) -> ClaimAnswer {
        let kept = try current()
        let topology = kept.topology
        guard let host = topology.node(atLinkAddress: peer), host.role == .host, !kept.invited.contains(host.name)
        else {
            throw ManagerError(.invalid, "\(peer) is no host's end of a tunnel")
        }
        guard request.turn > 0, request.turn < Int(Date().timeIntervalSince1970 * 1000) + ClaimRequest.lead else {
            throw ManagerError(.invalid, "the clock of \(host.name) is more than a day ahead of this manager's")
        }
        latest[host.name] = max(request.turn, latest[host.name] ?? 0)
        wake()
        let wanted = Set(request.addresses.compactMap { IPAddress($0) })
        let offers = try Self.targets(request.offers, of: host, in: topology)
        let handovers = Self.handovers(request.handovers)
        let end = EngineEvents.now + min(.milliseconds(max(request.patience, 0)), Self.longestWait)
        if !handovers.isEmpty { try await hear(handovers, of: host, turn: request.turn, kept) }
        // The manager that something was offered by has the store agree to its handover; the others do where that one does not.
        let pause = isExpected ? .zero : pause(of: host.name)
        let delay: Duration = handovers.isEmpty ? .zero : isExpected ? Self.switching : Self.settling
        try? await Task.sleep(for: pause + delay)
        let client = try Self.client(kept)
        var known = state
        var failures = 0
        /// What the host had when the store agreed last.
        var agreed: Set<IPAddress> = []
        /// What the host had at first, and what it was told to be ready for.
        var had: Set<IPAddress>?
        var told: Set<Int> = []
        /// Until when it is kept waiting for what is about to come, whatever it asked for.
        var standingEnd: Duration?
        while true {
            let seen = changes
            let state: StoreState
            if let known { state = known } else { state = try await readAnew(client).state }
            let last = state.turns[host.name]?.turn ?? 0
            guard request.turn >= last else { return ClaimAnswer(later: last) }
            var change = state.claims.change(
                of: host, wanting: wanted.union(state.staying(handovers, of: host.name)), in: topology)
            try Self.check(offers, handovers, of: host, in: topology, &change, state)
            state.keepForOthers(&change, of: host, in: topology)
            // What is known may be behind. Whatever it comes to, the store has to agree, so that nobody is told that he has
            // what he has no more; and it knows of this turn from here on, so that no older one changes anything.
            let isAgreed = change.held.allSatisfy { agreed.contains($0) || state.isCertain($0, of: host.name) }
            if !change.isEmpty || request.turn > last || !isAgreed {
                let committed = try await state.commit(
                    change, of: host.name, turn: request.turn, offers: offers, by: client)
                guard let committed else {
                    failures += 1
                    guard failures < Self.tries else {
                        throw ManagerError(.failed, "claims change too fast: ask again")
                    }
                    known = nil
                    continue
                }
                take(committed)
                agreed = Set(change.held + change.made)
                if !change.isEmpty { log("\(place.label): \(host.name) \(Self.summary(change))") }
            }
            if !offers.isEmpty {
                var answer = Self.answer(change)
                for (address, reason) in try await waitUntilReady(offers, of: host.name, turn: request.turn) {
                    answer.refused["\(address)"] = reason
                }
                // The host itself has asked for something else meanwhile.
                let turn = self.state?.turns[host.name]?.turn ?? 0
                return turn > request.turn ? ClaimAnswer(later: turn) : answer
            }
            if request.standsBy == true, let state = self.state {
                let coming = state.moves.filter { address, move in
                    move.host == host.name && move.stage == .offered && change.refused[address] != nil
                        && !told.contains(move.revision)
                }
                if !coming.isEmpty {
                    told.formUnion(coming.values.map(\.revision))
                    let ready = try await Self.standBy(coming.keys.sorted(), socket)
                    if !ready.isEmpty, state.turns[host.name]?.turn == request.turn,
                        let committed = try await state.ready(ready, of: host.name, by: client)
                    {
                        take(committed)
                    }
                    known = self.state
                    continue
                }
            }
            if let current = self.state, request.standsBy == true {
                let handed = words.handed(to: host.name, by: current).filter { change.refused[$0] != nil }
                if !handed.isEmpty { return Self.answer(change, handed: handed) }
            }
            let gained = Set(change.held).subtracting(had ?? Set(change.held))
            had = had ?? Set(change.held)
            // Who is about to get something is kept waiting for it.
            let isStanding = self.state?.moves.values.contains { $0.host == host.name && $0.stage == .ready } ?? false
            if isStanding, request.standsBy == true, standingEnd == nil {
                standingEnd = EngineEvents.now + Self.standing
            }
            let until = max(end, standingEnd ?? end)
            // Who got something is told at once, and so is who asks what became of something.
            guard change.mayPass, change.made.isEmpty, gained.isEmpty, handovers.isEmpty,
                await hasChanged(since: seen, until: until, for: request, of: host)
            else {
                return Self.answer(change)
            }
            known = self.state
        }
    }

    // MARK: Handing over

    /// Who is to get what, where the topology lets him.
    private static func targets(
        _ words: [String: String]?, of host: Node, in topology: Topology
    ) throws(ManagerError) -> [IPAddress: String] {
        var targets: [IPAddress: String] = [:]
        for (word, name) in words ?? [:] {
            guard let address = IPAddress(word) else { throw ManagerError(.invalid, "\(word.quoted) is no address") }
            guard let node = topology.node(named: name), node.role == .host, name != host.name else {
                throw ManagerError(.missing, "\(name.quoted) is no other host of \(topology.network)")
            }
            guard node.mayClaim(address) else {
                throw ManagerError(.invalid, "the topology does not let \(name) claim \(address)")
            }
            targets[address] = name
        }
        return targets
    }

    /// What an owner says that he handed over. He has stopped, whatever became of the other host since.
    private static func handovers(_ words: [String: String]?) -> [IPAddress: String] {
        Dictionary((words ?? [:]).compactMap { word, name in IPAddress(word).map { ($0, name) } }) { first, _ in first }
    }

    /// Has what is handed over be the other host's with the same commit that takes it from this one. Only its owner offers and
    /// hands over an address, to a host that waits for it.
    private static func check(
        _ offers: [IPAddress: String], _ handovers: [IPAddress: String], of host: Node, in topology: Topology,
        _ change: inout ClaimChange, _ state: StoreState
    ) throws(ManagerError) {
        for address in offers.keys where !change.held.contains(address) {
            throw ManagerError(.failed, "\(host.name) does not have \(address), and cannot hand it over")
        }
        for (address, name) in handovers {
            if change.ended.contains(address) {
                // Who must not have it any more does not get it; then it is nobody's.
                guard topology.node(named: name)?.mayClaim(address) == true else { continue }
                change.passed[address] = name
                change.refused[address] = .held(name)
            } else if !change.held.contains(address), let claim = state.claims.holders[address] {
                // It was handed over before, and nobody knows of the answer.
                change.refused[address] = .held(claim.host)
            }
        }
    }

    /// Believes an owner who says that he handed something over, before the store says so, too: who waits for it is told at once,
    /// and tunnels lead to him.
    ///
    /// The owner has stopped, and takes nothing back but by the store, which gives it to nobody else: ``StoreState/staying(_:of:)``.
    private func hear(
        _ handovers: [IPAddress: String], of host: Node, turn: Int, _ kept: KeptNode
    ) async throws(ManagerError) {
        guard latest[host.name] == turn, let state else { return }
        let heard = words.hear(handovers, of: host.name, turn: turn, by: state)
        guard !heard.isEmpty else { return }
        wake()
        try await place.changing { () throws(ManagerError) in
            let node = NetworkNode(kept)
            for address in heard {
                // It may be another one's by now.
                guard let name = handovers[address], let key = kept.keys[name],
                    isHanded(address, to: name), node.isUp
                else { continue }
                try await node.tunnels.give(address, to: key)
            }
        }
    }

    /// Waits until other hosts are ready for what is offered to them, and this manager is, too. Returns why what is not to be
    /// handed over is not.
    private func waitUntilReady(
        _ offers: [IPAddress: String], of host: String, turn: Int
    ) async throws(ManagerError) -> [IPAddress: String] {
        let end = EngineEvents.now + Self.longestOffer
        var isSettled = false
        while true {
            let seen = changes
            let pending = offers.filter { address, name in
                state?.moves[address]?.stage != .ready || believed?.holders[address]?.alternate != name
            }
            if pending.isEmpty {
                guard !isSettled else { return [:] }
                try? await Task.sleep(for: Self.settling)
                isSettled = true
                continue
            }
            isSettled = false
            // A host that does not want it says so with whatever it asks for.
            let isOff = offers.contains { address, name in state.map { $0.moves[address]?.host != name } ?? false }
            guard !isOff, await hasChanged(since: seen, until: end) else {
                try await withdraw(Set(offers.keys), of: host, turn: turn)
                return pending.reduce(into: [:]) { reasons, offer in
                    reasons[offer.key] =
                        "\(offer.value) does not wait for \(offer.key): attach the application there first, and look whether "
                        + "its “vne-manager run” runs"
                }
            }
        }
    }

    /// Has a host be ready for what is coming to it; returns what it is ready for.
    private nonisolated static func standBy(
        _ addresses: [IPAddress], _ socket: LineSocket
    ) async throws(ManagerError) -> [IPAddress] {
        try await say(ClaimAnswer(mayPass: true, coming: addresses.map(\.description)), socket)
        let line = try await waiting { () throws(HostError) in
            try socket.readLine(limit: ClaimRequest.limit, patience: preparing)
        }
        guard let line, let told = try? JSONDecoder().decode(ClaimRequest.Readiness.self, from: Data(line.utf8)) else {
            throw ManagerError(.failed, "a host that something comes to ended the connection")
        }
        let ready = Set(told.ready.compactMap { IPAddress($0) })
        return addresses.filter(ready.contains)
    }

    private func isHanded(_ address: IPAddress, to host: String) -> Bool {
        state.map { words.handed(to: host, by: $0).contains(address) } ?? false
    }

    // MARK: Waiting and answering

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
        guard latest[host.name] == request.turn, await hasChanged(since: seen, until: end) else { return false }
        return latest[host.name] == request.turn
    }

    /// Waits until something has changed, no longer than until then; says whether it has.
    private func hasChanged(since seen: Int, until end: Duration) async -> Bool {
        let left = end - EngineEvents.now
        guard changes == seen, left > .zero, !Task.isCancelled else { return changes != seen }
        lastWaiter += 1
        let own = lastWaiter
        let timer = Task {
            try? await Task.sleep(for: left)
            self.giveUp(own)
        }
        await withCheckedContinuation { waiters[own] = $0 }
        timer.cancel()
        return changes != seen
    }

    private static func answer(_ change: ClaimChange, handed: Set<IPAddress> = []) -> ClaimAnswer {
        var answer = ClaimAnswer(
            held: (change.held + change.made + handed).sorted().map(\.description), mayPass: change.mayPass)
        for (address, refusal) in change.refused where !handed.contains(address) {
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
        let given = change.ended.filter { change.passed[$0] == nil }
        if !given.isEmpty { parts.append("gave up \(list(given))") }
        parts += change.passed.sorted { $0.key < $1.key }.map { "handed over \($0) to \($1)" }
        return parts.joined(separator: " and ")
    }

    private static func list(_ addresses: [IPAddress]) -> String {
        let some = addresses.prefix(8).map(\.description).joined(separator: ", ")
        return addresses.count > 8 ? "\(some) and \(addresses.count - 8) more" : some
    }
}
