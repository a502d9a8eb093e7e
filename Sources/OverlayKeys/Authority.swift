import Crypto

/// The public key of a network's authority: Ed25519 (RFC 8032), 32 bytes.
public struct AuthorityKey: Hashable, Sendable, CustomStringConvertible {
    let bytes: [UInt8]

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// A key from its base64; nil if it is none.
    public init?(_ text: String) {
        guard let bytes = Base64.bytes(text), bytes.count == 32 else { return nil }
        self.bytes = bytes
    }

    /// In base64.
    public var description: String { Base64.text(bytes) }

    /// What people compare: “SHA256:” and the hash of the key in base64 without padding, as OpenSSH writes them.
    public var fingerprint: String {
        "SHA256:" + Base64.text(Array(SHA256.hash(data: bytes))).prefix { $0 != "=" }
    }

    /// Whether a text has the form of ``fingerprint``.
    public static func isFingerprint(_ text: String) -> Bool {
        guard text.hasPrefix("SHA256:") else { return false }
        return Base64.bytes(text.dropFirst("SHA256:".count) + "=")?.count == SHA256.byteCount
    }

    /// Refuses every authority but one.
    public func require(_ fingerprint: String) throws(KeysError) {
        guard self.fingerprint == fingerprint else {
            throw .otherAuthority(found: self.fingerprint, expected: fingerprint)
        }
    }

    func isSignature(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes) else { return false }
        return key.isValidSignature(signature, for: message)
    }
}

/// The private half: who has it speaks for the network.
struct Authority: Sendable, CustomStringConvertible {
    static let seedBytes = 32
    static let signatureBytes = 64

    private let key: Curve25519.Signing.PrivateKey
    let publicKey: AuthorityKey

    /// The key of a seed (RFC 8032, section 5.1.5); nil unless it has 32 bytes.
    init?(seed: [UInt8]) {
        guard seed.count == Self.seedBytes, let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed) else {
            return nil
        }
        self.key = key
        publicKey = AuthorityKey(bytes: Array(key.publicKey.rawRepresentation))
    }

    var seed: [UInt8] { Array(key.rawRepresentation) }

    /// Not the secret.
    var description: String { publicKey.fingerprint }

    func signature(of message: [UInt8]) throws(KeysError) -> [UInt8] {
        do {
            return Array(try key.signature(for: message))
        } catch {
            throw .refused("cannot sign: \(error)")
        }
    }
}
