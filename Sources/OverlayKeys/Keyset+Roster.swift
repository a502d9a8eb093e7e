public import OverlayModel
import PolicyModel

/// Who takes part in a network: invited, admitted, renewed, and written into a ``Roster``.
extension Keyset {
    /// How long the credential of a node that was admitted is valid: thirty days, in seconds.
    public static let lifetime: Int64 = 30 * 86_400
    /// It is renewed once no more than that is left.
    public static let renewal: Int64 = 20 * 86_400
    /// The longest that an invitation is valid, in hours.
    public static let maximumInvitationHours = 7 * 24

    /// Invites a node of the topology: certifies a key whose private half is the invitation's.
    /// - Parameters:
    ///   - hours: how long it is valid.
    ///   - isReplacing: whether a node that takes part already is to come anew, with another key; it is out from then on.
    ///   - gateways: keys of managers that take part, which it may come by.
    public mutating func invite(
        _ name: String, in topology: Topology, at now: Timestamp, hours: Int, replacing isReplacing: Bool,
        by gateways: [Invitation.Gateway], using generator: inout some RandomNumberGenerator
    ) throws(KeysError) -> Invitation {
        guard (1...Self.maximumInvitationHours).contains(hours) else {
            throw .refused("an invitation is valid for 1 to \(Self.maximumInvitationHours) hours")
        }
        if let current = credential(of: name), state(of: current, at: now) == .valid, !invited.contains(current.serial),
            !isReplacing
        {
            throw .refused(
                "\(name.quoted) takes part already, by the credential of serial \(current.serial): revoke it, or replace it "
                    + "(--replace)")
        }
        let pair = try WireGuardPair(using: &generator)
        let expires = Timestamp(seconds: now.seconds + Int64(hours) * 3600)
        let credential = try certify(name, pair.publicKey, in: topology, at: now, until: expires)
        guard let node = topology.node(named: name) else { throw .unknown("there is no node \(name.quoted)") }
        let near = Self.near(node, gateways, in: topology)
        guard !near.isEmpty else {
            throw .refused("no manager that takes part has a tunnel to \(name.quoted): one of them has to come first")
        }
        invited.insert(credential.serial)
        return try Invitation(
            network: network, node: name, secret: pair.secret, expires: expires, gateways: near,
            topology: Array(topology.excerpt(for: node, reaching: near.map(\.node)).utf8), by: secret)
    }

    /// Those managers among gateways that a node has tunnels to.
    public static func near(
        _ node: Node, _ gateways: [Invitation.Gateway], in topology: Topology
    ) -> [Invitation.Gateway] {
        let managers = Set(
            topology.tunnels(of: node).map { $0.peer(of: node) }.filter { $0.role == .manager }.map(\.name))
        return gateways.filter { managers.contains($0.node) }
    }

    /// Certifies the first manager of a network, which issues rosters.
    public mutating func found(
        _ name: String, _ key: WireGuardKey, in topology: Topology, at now: Timestamp
    ) throws(KeysError) {
        _ = try certify(name, key, in: topology, at: now, until: Timestamp(seconds: now.seconds + Self.lifetime))
    }

    /// Takes a node's own key in place of its invitation's. Whoever takes part keeps the key that it has: it comes anew only by
    /// another invitation.
    /// - Returns: whether it was another key.
    public mutating func admit(
        _ name: String, _ key: WireGuardKey, in topology: Topology, at now: Timestamp
    ) throws(KeysError) -> Bool {
        guard let current = credential(of: name), counts(current, at: now) else {
            throw .refused("\(name.quoted) has no invitation that is valid")
        }
        let isInvited = invited.contains(current.serial)
        if current.key == key {
            guard !isInvited else {
                throw .refused("the key of an invitation is nobody's own: \(name.quoted) has to make one")
            }
            return false
        }
        guard isInvited else {
            throw .refused("\(name.quoted) takes part already, by another key: it has to be invited anew")
        }
        _ = try certify(name, key, in: topology, at: now, until: Timestamp(seconds: now.seconds + Self.lifetime))
        return true
    }

    /// Whether a node's newest credential is one of those that a roster has. A clock that was put back makes nobody wait.
    private func counts(_ credential: Credential, at now: Timestamp) -> Bool {
        [.valid, .early].contains(state(of: credential, at: now))
    }

    /// Not before anything that was issued already.
    public func time(noEarlierThanIssued now: Timestamp) -> Timestamp {
        max(now, credentials.map(\.issued).max() ?? now)
    }

    /// Certifies anew the nodes whose address is another one in a topology, and those whose credential ends soon. Who was revoked,
    /// invited, or is expired, stays so.
    /// - Returns: whether there was one.
    public mutating func renew(in topology: Topology, at now: Timestamp) throws(KeysError) -> Bool {
        var isChanged = false
        for node in topology.nodes {
            guard let current = credential(of: node.name), counts(current, at: now),
                !invited.contains(current.serial),
                current.address != node.address || current.expires.seconds - now.seconds <= Self.renewal
            else { continue }
            _ = try certify(
                node.name, current.key, in: topology, at: now, until: Timestamp(seconds: now.seconds + Self.lifetime))
            isChanged = true
        }
        return isChanged
    }

    /// The next roster: the nodes of the topology whose credentials are valid.
    /// - Parameters:
    ///   - text: what the topology was read from.
    ///   - issuer: the manager that issues rosters; a new term begins with another one.
    public mutating func issue(
        _ topology: Topology, text: [UInt8], by issuer: String, at now: Timestamp
    ) throws(KeysError) -> Roster {
        try requireNetwork(of: topology)
        let members = topology.nodes.compactMap { node -> Roster.Member? in
            guard let current = credential(of: node.name), counts(current, at: now),
                current.address == node.address
            else { return nil }
            return Roster.Member(
                node: node.name, key: current.key, expires: current.expires, isInvited: invited.contains(current.serial)
            )
        }
        // A clock that is wrong by weeks, say: nobody would hear of a better one after that.
        guard members.contains(where: { $0.node == issuer && !$0.isInvited }) else {
            throw .refused(
                "the credential of \(issuer.quoted), which issues rosters, is not valid at \(now): is the clock right? “vne-manager "
                    + "take-over” renews it")
        }
        let version = RosterVersion(term: max(roster.term, 1), revision: roster.revision + 1)
        let issued = try Roster(
            network: network, version: version, issuer: issuer, members: members, topology: text, by: secret)
        roster = version
        return issued
    }

    /// Begins a new term: a manager issues from now on, by the key that it has. Credentials that ended meanwhile are valid again,
    /// but for those of invitations; who was revoked stays so.
    public mutating func takeOver(
        _ manager: String, _ key: WireGuardKey, in topology: Topology, at now: Timestamp
    ) throws(KeysError) {
        let end = Timestamp(seconds: now.seconds + Self.lifetime)
        for node in topology.nodes where node.name != manager {
            guard let current = credential(of: node.name), state(of: current, at: now) == .expired,
                !invited.contains(current.serial)
            else { continue }
            _ = try certify(node.name, current.key, in: topology, at: now, until: end)
        }
        _ = try certify(manager, key, in: topology, at: now, until: end)
        roster.term += 1
        // What the one before may still have sealed is older than this.
        revision += Self.leap
    }

    /// More than anybody seals in a term.
    private static let leap: UInt64 = 1 << 32
}
