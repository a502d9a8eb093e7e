public import OverlayModel
public import PolicyModel

/// What a network's authority says of a node: its name, its address and its WireGuard key, from one time to another.
///
/// A text that anybody can check with the authority's public key, and that holds no secret. A value of it has a signature
/// that is right; whether it is valid at some time, and whose authority that is, the reader asks.
public struct Credential: Sendable {
    /// The network's name.
    public let network: String
    /// Who signed.
    public let authority: AuthorityKey
    /// Counts credentials of an authority, from 1.
    public let serial: UInt64
    /// The node's name.
    public let node: String
    /// The node's address in the network.
    public let address: IPAddress
    /// The node's WireGuard key.
    public let key: WireGuardKey
    /// The first second of its validity.
    public let issued: Timestamp
    /// The first second after its validity.
    public let expires: Timestamp
    /// As a file has it.
    public let text: String

    init(
        network: String, serial: UInt64, node: String, address: IPAddress, key: WireGuardKey, issued: Timestamp,
        expires: Timestamp, by authority: Authority
    ) throws(KeysError) {
        var armour = Armour(
            kind: .credential,
            fields: [
                ("Network", network), ("Authority", authority.publicKey.description), ("Serial", "\(serial)"),
                ("Node", node), ("Address", "\(address)"), ("Key", "\(key)"), ("Issued", "\(issued)"),
                ("Expires", "\(expires)"),
            ], body: [])
        armour.body = try authority.signature(of: Array(armour.header.utf8))
        try self.init(armour)
    }

    /// Reads a credential and checks its signature.
    public init(parsing bytes: [UInt8]) throws(KeysError) {
        try self.init(ArmourReader.only(.credential, in: bytes))
    }

    init(_ armour: Armour) throws(KeysError) {
        var values = Armour.Values(armour)
        network = try values.name("Network")
        authority = try values.authority()
        serial = try values.number("Serial")
        node = try values.name("Node")
        address = try values.take("Address", "an address") { IPAddress($0) }
        key = try values.take("Key", "a public key of WireGuard") { WireGuardKey($0) }
        issued = try values.time("Issued")
        expires = try values.time("Expires")
        try values.finish()
        text = armour.text
        guard authority.isSignature(armour.body, of: Array(armour.header.utf8)) else { throw .changed }
    }

    /// Refuses it before and after its validity.
    public func require(validAt now: Timestamp) throws(KeysError) {
        guard now >= issued else { throw .refused("not valid before \(issued)") }
        guard now < expires else { throw .refused("expired at \(expires)") }
    }

    /// Refuses it for another network.
    public func require(network: String) throws(KeysError) {
        guard self.network == network else { throw .otherNetwork(found: self.network, expected: network) }
    }
}
