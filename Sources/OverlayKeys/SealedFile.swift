import Crypto

/// A topology or a keyset that only a passphrase opens, and that only the network's authority can have written.
///
/// A value of it has a signature that is right. The signature covers everything before the ciphertext and the ciphertext,
/// so that changed bytes are known before a passphrase is asked for, and a wrong passphrase is no changed file.
/// `docs/KEYSETS.md` has the format, byte by byte.
public struct SealedFile: Sendable {
    /// What is inside.
    public enum Content: Hashable, Sendable {
        case topology
        case keyset

        var kind: ArmourKind {
            switch self {
            case .topology: .sealedTopology
            case .keyset: .sealedKeyset
            }
        }
    }

    /// More is not read.
    public static let maximumBytes = Armour.maximumBytes
    private static let saltBytes = 16
    private static let nonceBytes = 12
    private static let tagBytes = 16

    /// What is inside.
    public let content: Content
    /// The network's name.
    public let network: String
    /// Grows with every file that the authority seals of this kind.
    public let revision: UInt64
    /// Who signed.
    public let authority: AuthorityKey
    private let cost: DerivationCost
    private let salt: [UInt8]
    private let armour: Armour

    /// The whole file.
    public var text: String { armour.text }

    /// Seals bytes.
    static func seal(
        _ plain: [UInt8], _ content: Content, of network: String, revision: UInt64, by authority: Authority,
        _ passphrase: Passphrase, _ cost: DerivationCost, using generator: inout some RandomNumberGenerator
    ) throws(KeysError) -> SealedFile {
        let salt = [UInt8](random: saltBytes, using: &generator)
        let nonce = [UInt8](random: nonceBytes, using: &generator)
        var armour = Armour(
            kind: content.kind,
            fields: [
                ("Network", network), ("Revision", "\(revision)"), ("Authority", authority.publicKey.description),
                ("Derivation", cost.text), ("Salt", Base64.text(salt)),
            ], body: [])
        let header = Array(armour.header.utf8)
        let key = try passphrase.key(salt: salt, cost: cost)
        do {
            armour.body = try Array(
                ChaChaPoly.seal(plain, using: key, nonce: ChaChaPoly.Nonce(data: nonce), authenticating: header)
                    .combined)
        } catch {
            throw .refused("cannot encrypt: \(error)")
        }
        armour.body += try authority.signature(of: header + armour.body)
        guard armour.text.utf8.count <= Armour.maximumBytes else { throw .tooLong(limit: Armour.maximumBytes) }
        return SealedFile(
            content: content, network: network, revision: revision, authority: authority.publicKey, cost: cost,
            salt: salt, armour: armour)
    }

    private init(
        content: Content, network: String, revision: UInt64, authority: AuthorityKey, cost: DerivationCost,
        salt: [UInt8], armour: Armour
    ) {
        self.content = content
        self.network = network
        self.revision = revision
        self.authority = authority
        self.cost = cost
        self.salt = salt
        self.armour = armour
    }

    /// Reads a file and checks its signature.
    public init(parsing bytes: [UInt8], as content: Content) throws(KeysError) {
        let armour = try ArmourReader.only(content.kind, in: bytes)
        var values = Armour.Values(armour)
        network = try values.name("Network")
        revision = try values.number("Revision")
        authority = try values.authority()
        let derivation = try values.take("Derivation", "what “scrypt” takes") { $0 }
        salt = try values.take("Salt", "\(Self.saltBytes) bytes in base64") { text in
            Base64.bytes(text).flatMap { $0.count == Self.saltBytes ? $0 : nil }
        }
        try values.finish()
        self.content = content
        self.armour = armour
        let box = armour.body.dropLast(Authority.signatureBytes)
        let signature = Array(armour.body.suffix(Authority.signatureBytes))
        guard box.count >= Self.nonceBytes + Self.tagBytes,
            authority.isSignature(signature, of: Array(armour.header.utf8) + box)
        else { throw .changed }
        // A signature may be anybody's, so that what is signed is bounded all the same.
        cost = try DerivationCost(derivation)
    }

    /// Refuses a file that is not newer than what is held.
    public func require(newerThan held: UInt64) throws(KeysError) {
        guard revision > held else { throw .old(revision: revision, held: held) }
    }

    /// Refuses one whose header names another network than what was in it.
    public func require(network: String) throws(KeysError) {
        guard self.network == network else { throw .otherNetwork(found: network, expected: self.network) }
    }

    /// What was sealed.
    public func open(_ passphrase: Passphrase) throws(KeysError) -> [UInt8] {
        let key = try passphrase.key(salt: salt, cost: cost)
        do {
            let box = try ChaChaPoly.SealedBox(combined: armour.body.dropLast(Authority.signatureBytes))
            return try Array(ChaChaPoly.open(box, using: key, authenticating: Array(armour.header.utf8)))
        } catch {
            throw .wrongPassphrase
        }
    }
}

extension [UInt8] {
    /// As many bytes as the generator has.
    init(random count: Int, using generator: inout some RandomNumberGenerator) {
        self = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
