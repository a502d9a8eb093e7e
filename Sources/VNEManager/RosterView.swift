internal import OverlayKeys
internal import OverlayModel

/// A roster as it is shown.
public struct RosterView: Codable, Hashable, Sendable {
    /// A node of the topology.
    public struct Member: Codable, Hashable, Sendable {
        /// What a node is to the network.
        public enum State: String, Codable, Hashable, Sendable {
            /// It takes part.
            case member
            /// It has an invitation, and did not come yet.
            case invited
            /// Its credential ended, and nobody renewed it.
            case expired
            /// It was not invited, or was revoked.
            case absent
        }

        /// The node's name.
        public var node: String
        /// `manager` or `host`.
        public var role: String
        /// The node's address in the network.
        public var address: String
        /// What it is to the network.
        public var state: State
        /// Its WireGuard key; nil where it is absent.
        public var publicKey: String?
        /// The first second after its credential's validity, as ISO 8601; nil where it is absent.
        public var expires: String?
    }

    /// The network's name.
    public var network: String
    /// The fingerprint of the network's authority.
    public var authority: String
    /// As `2.17`: a term and a revision.
    public var version: String
    /// The manager that issues rosters.
    public var issuer: String
    /// In the order of the topology.
    public var nodes: [Member]
}

extension KeptNode {
    /// The roster that this node keeps; nil where the network has none.
    public var rosterView: RosterView? {
        guard let roster else { return nil }
        let now = Timestamp.now
        let nodes = topology.nodes.map { node in
            let member = roster.members.first { $0.node == node.name }
            let state: RosterView.Member.State =
                switch member {
                case nil: .absent
                case let member? where member.expires <= now: .expired
                case let member?: member.isInvited ? .invited : .member
                }
            return RosterView.Member(
                node: node.name, role: node.role.rawValue, address: "\(node.address)", state: state,
                publicKey: member.map { "\($0.key)" }, expires: member.map { "\($0.expires)" })
        }
        return RosterView(
            network: roster.network, authority: roster.authority.fingerprint, version: "\(roster.version)",
            issuer: roster.issuer, nodes: nodes)
    }
}
