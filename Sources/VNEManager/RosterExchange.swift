internal import FoundationEssentials
internal import OverlayKeys
internal import OverlayModel
internal import PolicyModel
internal import VNEHost

/// A node's part in spreading the network's rosters: asks managers for newer ones, and at a manager answers whoever asks.
///
/// A roster is the authority's, whoever tells of it, and the newest one counts: nodes that cannot reach each other for a while
/// agree as soon as they can. Nothing depends on a store.
actor RosterExchange {
    private let place: NetworkPlace
    private let log: @Sendable (String) -> Void
    /// Has the node go over to what it keeps.
    private let look: @Sendable () -> Void
    /// What is kept, as it was read, and the file that it was read from.
    private var read: (node: KeptNode, file: FileIdentity, time: Duration)?
    /// The file that the node went over to.
    private var applied: FileIdentity?
    /// Until then the answer to who was admitted may be on its way, by a key that this node forgets once it goes over to what is
    /// kept.
    private var parting = Duration.zero
    private var visitors = Visitors()
    /// When a node may say its key again.
    private var next: [String: Duration] = [:]
    private var failure: String?
    private var turn = 0

    /// How often managers ask all other managers, and hosts one of theirs: what was revoked is out everywhere after the sum.
    private static let pauses: [Node.Role: Duration] = [.manager: .milliseconds(500), .host: .seconds(1)]
    /// How often it is read again, as credentials end.
    private static let age = Duration.seconds(60)
    /// How often the issuer looks whose credential ends soon.
    private static let renewal = Duration.seconds(60)
    private static let connecting = Duration.milliseconds(500)
    private static let answering = Duration.seconds(5)
    /// How long it may take to issue a roster, also behind others that wait for the same.
    private static let issuing = Duration.seconds(30)
    /// How long who asked may take to say that he has the answer, before his old key is forgotten.
    private static let patience = Duration.seconds(2)
    /// What tries of a node to say its key are apart: each opens the keyset.
    private static let admission = Duration.seconds(2)

    init(_ place: NetworkPlace, log: @escaping @Sendable (String) -> Void, look: @escaping @Sendable () -> Void) {
        self.place = place
        self.log = log
        self.look = look
    }

    // MARK: Asking

    /// Goes on for as long as the task lives.
    func follow() async {
        var renewed = EngineEvents.now
        while !Task.isCancelled {
            var pause = Duration.seconds(1)
            do throws(ManagerError) {
                let node = try kept()
                pause = Self.pauses[node.node.role] ?? pause
                if node.roster != nil, !node.isDown {
                    try await ask(as: node)
                    if EngineEvents.now - renewed > Self.renewal {
                        renewed = EngineEvents.now
                        try await renew(node)
                    }
                }
                applyOther()
            } catch {
                say(error.description)
            }
            try? await Task.sleep(for: pause)
        }
    }

    /// What is kept, read again only if it is another file, or some time has passed.
    private func kept() throws(ManagerError) -> KeptNode {
        let now = EngineEvents.now
        guard let file = NodeFiles.identity("\(place.kept)/\(KeptNode.rosterFile)") else { return try KeptNode(place) }
        if let read, read.file == file, now - read.time < Self.age { return read.node }
        let node = try KeptNode(place)
        read = (node, file, now)
        if applied == nil { applied = file }
        return node
    }

    /// Has the node go over to a newer one, whoever kept it: a command, or what answers.
    private func applyOther() {
        guard let file = read?.file, applied != file, EngineEvents.now >= parting else { return }
        applied = file
        look()
    }

    private func ask(as node: KeptNode) async throws(ManagerError) {
        turn += 1
        guard node.node.role == .manager else {
            // One after the other, so that none is left out because another one answers.
            let ends = node.ends()
            if !ends.isEmpty { await ask(ends[turn % ends.count], as: node) }
            return
        }
        // All at once, so that one that is silent holds up no other one.
        let others = node.topology.managers.filter { $0.name != node.node.name }.compactMap { manager in
            let ends = node.ends { $0.name == manager.name }
            return ends.isEmpty ? nil : ends[turn % ends.count]
        }
        await withDiscardingTaskGroup { group in
            for end in others { group.addTask { await self.ask(end, as: node) } }
        }
    }

    private func ask(_ manager: IPAddress, as node: KeptNode) async {
        let isManager = node.node.role == .manager
        let issuer = Issuer(place)
        do throws(ManagerError) {
            let request = RosterRequest(
                held: node.roster?.version ?? RosterVersion(),
                keyset: isManager ? try issuer.sealedKeyset()?.revision ?? 0 : nil)
            // One that is not there is no reason to say something: its link says so.
            guard let answer = try? await Self.exchange(request, with: manager, place, Self.answering) else { return }
            if let roster = answer.roster { try await take(roster) }
            if isManager, let keyset = answer.keyset { try await issuer.keep(copy: keyset) }
        } catch {
            say("\(manager): \(error)")
        }
    }

    private func take(_ text: String) async throws(ManagerError) {
        guard let version = try await keep(text) else { return }
        failure = nil
        log("\(place.label): roster \(version)")
        let node = try kept()
        if node.roster?.issuer != node.node.name { try Issuer(place).forgetPassphrase() }
        applyOther()
    }

    /// Keeps a roster, and does not go over to it yet; returns its version if it is a newer one.
    private func keep(_ text: String) async throws(ManagerError) -> RosterVersion? {
        guard let authority = try KeptNode.authority(place) else { return nil }
        let roster = try KeptNode.roster(text, of: place, by: authority, source: "the roster of another node")
        let place = place
        let isNewer = try await place.changing { () throws(ManagerError) in try KeptNode.keep(roster, at: place) }
        return isNewer ? roster.version : nil
    }

    private func say(_ sentence: String) {
        if failure != sentence { log("\(place.label): \(sentence)") }
        failure = sentence
    }

    /// Asks a manager.
    static func exchange(
        _ request: RosterRequest, with manager: IPAddress, _ place: NetworkPlace, _ patience: Duration
    ) async throws(ManagerError) -> RosterAnswer {
        guard let data = try? JSONEncoder().encode(request) else { return RosterAnswer() }
        let namespace = place.namespace
        let line = try await waiting { () throws(HostError) in
            let socket = try LineSocket.connected(
                to: manager, RosterRequest.port, in: namespace, patience: connecting)
            try socket.write(String(decoding: data, as: UTF8.self), patience: connecting)
            return try socket.readLine(limit: RosterRequest.answerLimit, patience: patience)
        }
        guard let line, let answer = try? JSONDecoder().decode(RosterAnswer.self, from: Data(line.utf8)) else {
            throw ManagerError(.failed, "the manager at \(manager) ended the connection")
        }
        return answer
    }

    // MARK: Answering

    /// Answers who connected.
    func receive(_ socket: LineSocket, from peer: IPAddress) async {
        guard visitors.enter(peer) else { return }
        defer { visitors.leave(peer) }
        do throws(ManagerError) {
            let line = try await waiting { () throws(HostError) in
                try socket.readLine(limit: RosterRequest.limit, patience: Self.answering)
            }
            guard let line, let request = try? JSONDecoder().decode(RosterRequest.self, from: Data(line.utf8)) else {
                return
            }
            let answer: RosterAnswer
            do throws(ManagerError) {
                answer = try await self.answer(request, from: peer)
            } catch {
                answer = RosterAnswer(failure: error.description)
            }
            guard let data = try? JSONEncoder().encode(answer) else { return }
            try await waiting { () throws(HostError) in
                try socket.write(String(decoding: data, as: UTF8.self), patience: Self.answering)
                // Whose key is another one from now on has to have the answer by the old one.
                if answer.roster != nil, request.key != nil {
                    _ = try? socket.readLine(limit: 1, patience: Self.patience)
                }
            }
            if answer.roster != nil, request.key != nil {
                parting = .zero
                _ = try kept()
                applyOther()
            }
        } catch {
            say("\(peer): \(error)")
        }
    }

    private func answer(_ request: RosterRequest, from peer: IPAddress) async throws(ManagerError) -> RosterAnswer {
        let node = try kept()
        guard let roster = node.roster else {
            throw ManagerError(.failed, "the network \(place.network) has no rosters")
        }
        guard let asker = node.topology.node(atLinkAddress: peer) else {
            throw ManagerError(.invalid, "\(peer) is no node's end of a tunnel")
        }
        let isMember = roster.member(asker.name, at: .now).map { !$0.isInvited } ?? false
        var answer = RosterAnswer()
        if let key = request.key {
            answer.roster = try await admit(key, of: asker, behalf: request.behalf, at: node)
        } else if isMember, roster.version > request.held {
            answer.roster = roster.text
        }
        // A keyset is sealed, and managers are who may have to open it.
        if asker.role == .manager, isMember, let revision = request.keyset,
            let sealed = try Issuer(place).sealedKeyset(), sealed.revision > revision
        {
            answer.keyset = sealed.text
        }
        return answer
    }

    /// Has a node be known by another key.
    /// - Returns: the text of the roster that says so.
    private func admit(
        _ text: String, of asker: Node, behalf: String?, at node: KeptNode
    ) async throws(ManagerError) -> String {
        guard let key = WireGuardKey(text) else { throw ManagerError(.invalid, "this is no public key of WireGuard") }
        var name = asker.name
        if let behalf {
            // A manager speaks for hosts that join through it, and for nobody else.
            guard asker.role == .manager, let host = node.topology.node(named: behalf),
                host.managers.contains(asker.name)
            else { throw ManagerError(.failed, "\(asker.name) does not speak for \(behalf)") }
            name = behalf
        }
        // Whoever lost the answer asks again.
        if let roster = node.roster, let known = roster.member(name, at: .now), known.key == key, !known.isInvited {
            return roster.text
        }
        // What is refused anyway costs nothing.
        guard node.roster?.member(name, at: .now)?.isInvited == true else {
            throw ManagerError(.failed, "\(name) has no invitation that is valid")
        }
        guard EngineEvents.now >= next[name] ?? .zero else {
            throw ManagerError(.failed, "\(name) asked a moment ago: try again later")
        }
        next[name] = EngineEvents.now + Self.admission
        guard let issuer = node.roster?.issuer, issuer == node.node.name else {
            guard behalf == nil else { throw ManagerError(.failed, "another manager issues rosters") }
            return try await pass(key, of: asker, on: node)
        }
        let (own, admitted) = (Issuer(place), name)
        let issued = try await own.change { change throws(KeysError) -> Bool? in
            try change.keyset.admit(admitted, key, in: change.topology, at: change.now) ? true : nil
        }
        parting = EngineEvents.now + Self.patience
        guard let issued else { return node.roster?.text ?? "" }
        log("\(place.label): \(name) takes part: roster \(issued.roster.version)")
        return issued.roster.text
    }

    /// Asks the manager that issues rosters, for a host that does not reach it.
    private func pass(_ key: WireGuardKey, of host: Node, on node: KeptNode) async throws(ManagerError) -> String {
        let issuer = node.roster?.issuer ?? ""
        var failure = "there is no tunnel to \(issuer), which issues rosters"
        for end in node.ends(of: { $0.name == issuer }) {
            do throws(ManagerError) {
                let request = RosterRequest(held: RosterVersion(), key: key.description, behalf: host.name)
                let answer = try await Self.exchange(request, with: end, place, Self.issuing)
                if let refused = answer.failure { throw ManagerError(.failed, refused) }
                guard let roster = answer.roster else { continue }
                _ = try await keep(roster)
                parting = EngineEvents.now + Self.patience
                return roster
            } catch {
                failure = error.description
            }
        }
        throw ManagerError(.failed, failure)
    }

    // MARK: Renewing

    /// Renews credentials that end soon, and issues a roster without invitations that nobody took.
    private func renew(_ node: KeptNode) async throws(ManagerError) {
        guard let roster = node.roster, roster.issuer == node.node.name else { return }
        let now = Timestamp.now
        let isDue = roster.members.contains { member in
            member.isInvited ? member.expires <= now : member.expires.seconds - now.seconds <= Keyset.renewal
        }
        guard isDue else { return }
        let issued = try await Issuer(place).change { change throws(KeysError) -> Bool? in
            _ = try change.keyset.renew(in: change.topology, at: change.now)
            return true
        }
        if let issued { log("\(place.label): credentials renewed: roster \(issued.roster.version)") }
    }
}
