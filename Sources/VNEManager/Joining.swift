internal import FoundationEssentials
public import OverlayKeys
internal import OverlayModel
internal import PolicyModel

/// Makes this machine a node of a network that it was invited to.
///
/// By the invitation's key it has tunnels to some managers, and nothing else of the network. Through them it says which key it
/// made for itself, and is told the network's roster, which says so: from then on the invitation is worth nothing. Begun again
/// wherever it ended.
public struct Joining: Sendable {
    private let place: NetworkPlace
    private let invitation: Invitation
    /// How long managers may take to answer.
    private let patience: Duration

    /// How long it is tried with one of the two keys.
    private static let turn = Duration.seconds(8)
    private static let answering = Duration.seconds(30)

    /// A machine and its invitation.
    /// - Parameter patience: how long managers may take to answer.
    public init(_ invitation: Invitation, instance: String, patience: Duration) {
        self.invitation = invitation
        self.patience = patience
        place = NetworkPlace(network: invitation.network, instance: instance)
    }

    /// Joins.
    /// - Parameter isApart: whether the node's applications are in the network's own namespace; nil for as they were.
    /// - Returns: the node, which is up.
    public func join(isApart: Bool?) async throws(ManagerError) -> KeptNode {
        if let roster = try KeptNode.roster(place) {
            guard roster.authority == invitation.authority else {
                throw ManagerError(
                    .failed, "this machine is in a network \(place.network) of another authority: leave that one first")
            }
            // What was cut off after its last question.
            if try isBegun, let node = try? KeptNode(place), (try? await node.settleKey()) != nil {
                return try await bringUp()
            }
        }
        try refuseOthers()
        guard Timestamp.now < invitation.expires else {
            throw ManagerError(.failed, "the invitation ended at \(invitation.expires): ask for another one")
        }
        try await begin(isApart)
        let roster = try await ask()
        let (place, name) = (place, invitation.node)
        try await place.changing { () throws(ManagerError) in
            _ = try KeptNode.keep(roster, at: place, as: name)
        }
        return try await bringUp()
    }

    /// Whether what is kept comes from this invitation, and no earlier one.
    private var isBegun: Bool {
        get throws(ManagerError) {
            try NodeFiles.text("\(place.kept)/\(KeptNode.invitationFile)") == invitation.signature + "\n"
        }
    }

    /// What another node, or one of a network without rosters, has here is not given up for an invitation.
    private func refuseOthers() throws(ManagerError) {
        let names = NodeFiles.names(in: place.kept)
        guard names.contains(KeptNode.topologyFile) else { return }
        let name = try NodeFiles.text("\(place.kept)/\(KeptNode.nameFile)")?.split(separator: "\n").first.map(
            String.init)
        guard name == invitation.node, names.contains(KeptNode.rosterFile) || names.contains(KeptNode.invitationFile)
        else {
            throw ManagerError(
                .failed,
                "this machine is the node “\(name ?? "")” of \(place.network) already: vne-manager leave --network \(place.network) "
                    + "first, if it is to be “\(invitation.node)”")
        }
    }

    private func bringUp() async throws(ManagerError) -> KeptNode {
        let place = place
        return try await place.changing { () throws(ManagerError) in
            let kept = try KeptNode(place)
            try await NetworkNode(kept).bringUp()
            return kept
        }
    }

    /// Has the invitation's tunnels be there.
    private func begin(_ isApart: Bool?) async throws(ManagerError) {
        let place = place
        try await place.changing { () throws(ManagerError) in
            // What is kept is of a time before this invitation; a key that was made then may have been revoked.
            for file in [KeptNode.rosterFile, KeptNode.authorityFile] { try NodeFiles.remove("\(place.kept)/\(file)") }
            if try !isBegun { try NodeFiles.remove("\(place.kept)/\(KeptNode.nextKeyFile)") }
            try await NodeKey(place, file: KeptNode.nextKeyFile).make()
            // What says where this comes from is there before the rest.
            let texts = [
                (KeptNode.invitationFile, invitation.signature + "\n"), (KeptNode.nameFile, invitation.node + "\n"),
                (KeptNode.keysFile, invitation.gateways.map { "\($0.node): \($0.key)\n" }.joined()),
                (KeptNode.privateKeyFile, invitation.secret + "\n"),
                (KeptNode.topologyFile, String(decoding: invitation.topology, as: UTF8.self)),
            ]
            for (file, text) in texts { try NodeFiles.write(text, to: "\(place.kept)/\(file)", isDurable: true) }
            let kept = try KeptNode(place)
            if let isApart { try kept.mark(KeptNode.apartFile, isApart) }
            if kept.node.role == .host, !(isApart ?? kept.isApart) { try await Carrier.refuseSecond(place) }
            try await NetworkNode(kept).reach(try kept.configuration())
        }
    }

    /// Asks managers by turns until one answers: by the invitation's key for the own one to be taken, and by the own one, as
    /// the answer may have been lost.
    private func ask() async throws(ManagerError) -> Roster {
        let next = try await NodeKey(place, file: KeptNode.nextKeyFile).publicKey()
        let secrets = [
            invitation.secret + "\n", try NodeKey(place, file: KeptNode.nextKeyFile).privateKey(),
        ]
        var failure =
            "no manager answers; if somebody used the invitation before you, ask for another one, and have it replace "
            + "that node (vne-manager invite --replace)"
        let end = ContinuousClock.now + patience
        var attempt = 0
        while ContinuousClock.now < end {
            let isOwn = attempt % 2 == 1
            if attempt > 0 { try await speak(by: secrets[attempt % 2]) }
            let turn = ContinuousClock.now + Self.turn
            while ContinuousClock.now < min(turn, end) {
                for manager in try KeptNode(place).ends() {
                    let request = RosterRequest(held: RosterVersion(), key: isOwn ? nil : next.description)
                    // As long as there is no tunnel, there is no answer either.
                    guard
                        let answer = try? await RosterExchange.exchange(request, with: manager, place, Self.answering)
                    else { continue }
                    if let refused = answer.failure { failure = refused }
                    guard let text = answer.roster else { continue }
                    let roster = try KeptNode.roster(
                        text, of: place, by: invitation.authority.fingerprint, source: "the manager’s roster")
                    if roster.member(invitation.node, at: .now)?.key == next { return roster }
                }
                do { try await Task.sleep(for: .milliseconds(50)) } catch { throw ManagerError(.failed, "\(error)") }
            }
            attempt += 1
        }
        throw ManagerError(.failed, failure)
    }

    /// Has the tunnels be of a key.
    private func speak(by secret: String) async throws(ManagerError) {
        let place = place
        try await place.changing { () throws(ManagerError) in
            try NodeFiles.write(secret, to: "\(place.kept)/\(KeptNode.privateKeyFile)")
            let kept = try KeptNode(place)
            try await NetworkNode(kept).reach(try kept.configuration())
        }
    }
}
