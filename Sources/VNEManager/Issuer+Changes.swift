public import OverlayKeys
internal import OverlayModel
internal import PolicyModel

/// What is done to a network whose rosters this node issues. Each is a roster of its own, which this node goes over to.
extension Issuer {
    /// Invitations, and who got none.
    public struct Invited: Sendable {
        /// In the order of the topology, or as they were named.
        public var invitations: [Invitation]
        /// Of all that do not take part, those that no manager which does has a tunnel to.
        public var unreached: [String]
    }

    /// Invites nodes.
    /// - Parameters:
    ///   - names: which; all that do not take part, if there are none.
    ///   - isReplacing: whether nodes that take part are to come anew.
    public func invite(
        _ names: [String], hours: Int, replacing isReplacing: Bool
    ) async throws(ManagerError) -> Invited {
        let issued = try await change { change throws(KeysError) -> Invited? in
            let (topology, roster, now) = (change.topology, change.roster, change.now)
            let gateways = roster.members.filter { !$0.isInvited && now < $0.expires }.map {
                Invitation.Gateway(node: $0.node, key: $0.key)
            }
            guard !isReplacing || !names.contains(roster.issuer) else {
                throw .refused("\(roster.issuer.quoted) issues rosters: it cannot invite itself")
            }
            let absent = topology.nodes.filter { node in !gateways.contains { $0.node == node.name } }
            guard !names.isEmpty || !absent.isEmpty else {
                throw .refused("every node of \(topology.network.quoted) takes part already")
            }
            let near = absent.filter { !Keyset.near($0, gateways, in: topology).isEmpty }
            let wanted = names.isEmpty ? near.map(\.name) : names
            let invitations = try wanted.map { name throws(KeysError) in
                try change.keyset.invite(
                    name, in: topology, at: now, hours: hours, replacing: isReplacing, by: gateways,
                    using: &change.generator)
            }
            let unreached = names.isEmpty ? absent.map(\.name).filter { !wanted.contains($0) } : []
            return Invited(invitations: invitations, unreached: unreached)
        }
        guard let issued else { throw ManagerError(.failed, "nobody was invited") }
        return issued.result
    }

    /// Takes back every credential of a node: nobody of the network speaks to it any more.
    public func revoke(_ name: String) async throws(ManagerError) -> (roster: Roster, credentials: [Credential]) {
        let issued = try await change { change throws(KeysError) -> [Credential]? in
            guard name != change.roster.issuer else {
                throw .refused(
                    "\(name.quoted) issues rosters: have another manager do it from now on (vne-manager take-over), which can "
                        + "revoke it")
            }
            // Who was revoked already is told of again: the roster that said so may have been lost.
            guard let current = change.keyset.credential(of: name),
                change.keyset.revocations[current.serial] != nil
            else { return try change.keyset.revoke(node: name, at: change.now) }
            return [current]
        }
        guard let issued else { throw ManagerError(.failed, "nobody was revoked") }
        return (issued.roster, issued.result)
    }

    /// Gives the network a newer topology.
    public func publish(_ text: String, source: String) async throws(ManagerError) -> Roster {
        let topology = try KeptNode.parse(text, source: source)
        let issued = try await change { change throws(KeysError) -> Bool? in
            guard change.topology.store == topology.store else {
                throw .refused(
                    "\(source) has another “store” than the network: [\(change.topology.store.joined(separator: ", "))]; which "
                        + "managers keep the claims of a network cannot be changed in this version")
            }
            guard topology.node(named: change.roster.issuer)?.role == .manager else {
                throw .refused("\(change.roster.issuer.quoted), which issues rosters, is no manager in \(source)")
            }
            guard change.text != Array(text.utf8) else { throw .refused("\(source) is what the network has already") }
            _ = try change.keyset.renew(in: topology, at: change.now)
            (change.topology, change.text) = (topology, Array(text.utf8))
            return true
        }
        guard let issued else { throw ManagerError(.failed, "nothing was published") }
        return issued.roster
    }
}
