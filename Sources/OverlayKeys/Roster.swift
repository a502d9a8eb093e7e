public import OverlayModel
import PolicyModel

/// Who is in a network, and what it is: its topology and the WireGuard key of each node that takes part, signed by the
/// network's authority.
///
/// Every node keeps the newest one that it heard of, and takes none from anybody that the authority did not sign. It holds no
/// secret. A value of it has a signature that is right; whose authority that is, the reader asks.
public struct Roster: Sendable {
    /// A node that takes part.
    public struct Member: Hashable, Sendable {
        /// The node's name.
        public var node: String
        /// Its WireGuard key.
        public var key: WireGuardKey
        /// The first second after its credential's validity.
        public var expires: Timestamp
        /// Whether the key is the one of an invitation: who has that may ask for the node's own key to be taken, and nothing else.
        public var isInvited: Bool
    }

    /// The network's name.
    public let network: String
    /// Who signed.
    public let authority: AuthorityKey
    /// Which of two counts.
    public let version: RosterVersion
    /// The manager that issues rosters.
    public let issuer: String
    /// By their names.
    public let members: [Member]
    /// The text of the topology file.
    public let topology: [UInt8]
    /// As a file has it.
    public let text: String

    init(
        network: String, version: RosterVersion, issuer: String, members: [Member], topology: [UInt8],
        by authority: Authority
    ) throws(KeysError) {
        var armour = Armour(
            kind: .roster,
            fields: [
                ("Network", network), ("Authority", authority.publicKey.description), ("Version", "\(version)"),
                ("Issuer", issuer),
            ]
                + members.sorted { $0.node < $1.node }.map {
                    ($0.isInvited ? "Invited" : "Node", "\($0.node) \($0.key) \($0.expires)")
                }, body: topology)
        armour.body += try authority.signature(of: Array(armour.header.utf8) + topology)
        guard armour.text.utf8.count <= Armour.maximumBytes else { throw .tooLong(limit: Armour.maximumBytes) }
        try self.init(armour)
    }

    /// Reads a roster and checks its signature.
    public init(parsing bytes: [UInt8]) throws(KeysError) {
        try self.init(ArmourReader.only(.roster, in: bytes))
    }

    init(_ armour: Armour) throws(KeysError) {
        var values = Armour.Values(armour)
        network = try values.name("Network")
        authority = try values.authority()
        version = try values.take("Version", "a term and a revision, as 1.7") { RosterVersion($0) }
        issuer = try values.name("Issuer")
        var members: [Member] = []
        while let name = values.next, name == "Node" || name == "Invited" {
            let isInvited = name == "Invited"
            let last = members.last?.node
            members.append(
                try values.take(name, "a node, its key and a time, in the order of the names") { text in
                    Self.member(text, isInvited: isInvited, behind: last)
                })
        }
        try values.finish()
        self.members = members
        topology = Array(armour.body.dropLast(Authority.signatureBytes))
        text = armour.text
        guard armour.body.count >= Authority.signatureBytes,
            authority.isSignature(
                Array(armour.body.suffix(Authority.signatureBytes)), of: Array(armour.header.utf8) + topology)
        else { throw .changed }
    }

    private static func member(_ text: String, isInvited: Bool, behind last: String?) -> Member? {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, parts[0].isName, last.map({ $0 < parts[0] }) ?? true, let key = WireGuardKey(parts[1]),
            let expires = Timestamp(parts[2])
        else { return nil }
        return Member(node: parts[0], key: key, expires: expires, isInvited: isInvited)
    }

    /// The node of a name, if it takes part at a time.
    public func member(_ node: String, at now: Timestamp) -> Member? {
        members.first { $0.node == node && now < $0.expires }
    }

    /// Refuses one for another network.
    public func require(network: String) throws(KeysError) {
        guard self.network == network else { throw .otherNetwork(found: self.network, expected: network) }
    }
}
