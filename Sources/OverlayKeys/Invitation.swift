import Crypto
public import OverlayModel
import PolicyModel

/// What a machine needs to become a node of a network: how managers are reached, and the private half of a key that proves
/// to them, once, that it was invited. Whoever has it becomes that node: it is a secret.
///
/// A value of it has a signature that is right.
public struct Invitation: Sendable {
    /// A manager that is reached with it.
    public struct Gateway: Hashable, Sendable {
        /// The manager's name.
        public var node: String
        /// Its WireGuard key.
        public var key: WireGuardKey

        /// A manager.
        public init(node: String, key: WireGuardKey) {
            self.node = node
            self.key = key
        }
    }

    /// The network's name.
    public let network: String
    /// Whose rosters the node is to believe.
    public let authority: AuthorityKey
    /// Who is invited.
    public let node: String
    /// The private half of the invitation's key: 32 bytes in base64, as `wg genkey` prints them.
    public let secret: String
    /// The first second after its validity.
    public let expires: Timestamp
    /// In the order of their names.
    public let gateways: [Gateway]
    /// The text of a topology file, with the node, those managers, and nobody else.
    public let topology: [UInt8]
    /// As a file has it.
    public let text: String
    /// Its signature, in base64: no two invitations have the same.
    public let signature: String

    init(
        network: String, node: String, secret: String, expires: Timestamp, gateways: [Gateway], topology: [UInt8],
        by authority: Authority
    ) throws(KeysError) {
        var armour = Armour(
            kind: .invitation,
            fields: [
                ("Network", network), ("Authority", authority.publicKey.description), ("Node", node),
                ("Secret", secret),
                ("Expires", "\(expires)"),
            ] + gateways.sorted { $0.node < $1.node }.map { ("Gateway", "\($0.node) \($0.key)") }, body: topology)
        armour.body += try authority.signature(of: Array(armour.header.utf8) + topology)
        try self.init(armour)
    }

    /// Reads an invitation and checks its signature.
    public init(parsing bytes: [UInt8]) throws(KeysError) {
        try self.init(ArmourReader.only(.invitation, in: bytes))
    }

    init(_ armour: Armour) throws(KeysError) {
        var values = Armour.Values(armour)
        network = try values.name("Network")
        authority = try values.authority()
        node = try values.name("Node")
        secret = try values.take("Secret", "a private key of WireGuard") { WireGuardKey($0) == nil ? nil : $0 }
        expires = try values.time("Expires")
        var gateways: [Gateway] = []
        while values.next == "Gateway" {
            gateways.append(
                try values.take("Gateway", "a manager and its key") { text in
                    let parts = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
                    guard parts.count == 2, parts[0].isName, let key = WireGuardKey(parts[1]) else { return nil }
                    return Gateway(node: parts[0], key: key)
                })
        }
        try values.finish()
        self.gateways = gateways
        topology = Array(armour.body.dropLast(Authority.signatureBytes))
        text = armour.text
        signature = Base64.text(Array(armour.body.suffix(Authority.signatureBytes)))
        guard armour.body.count >= Authority.signatureBytes,
            authority.isSignature(
                Array(armour.body.suffix(Authority.signatureBytes)), of: Array(armour.header.utf8) + topology)
        else { throw .changed }
    }
}

/// A key pair of WireGuard: X25519 (RFC 7748).
struct WireGuardPair: Sendable {
    /// The private half: 32 bytes in base64.
    let secret: String
    let publicKey: WireGuardKey

    init(using generator: inout some RandomNumberGenerator) throws(KeysError) {
        guard
            let key = try? Curve25519.KeyAgreement.PrivateKey(
                rawRepresentation: [UInt8](random: 32, using: &generator)),
            let publicKey = WireGuardKey(Base64.text(Array(key.publicKey.rawRepresentation)))
        else { throw .refused("cannot make a key") }
        secret = Base64.text(Array(key.rawRepresentation))
        self.publicKey = publicKey
    }
}
