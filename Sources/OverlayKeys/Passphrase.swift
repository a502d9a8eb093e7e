import Crypto
import CryptoExtras

/// What opens a sealed file: the bytes that somebody wrote, without a look at their meaning.
public struct Passphrase: Hashable, Sendable, CustomStringConvertible {
    /// In bytes.
    public static let maximumBytes = 1024
    /// NIST SP 800-63B-4, section 3.1.1.2, for a secret that is alone.
    static let leastCharacters = 15
    /// Fewer different characters are a pattern.
    static let leastDifferent = 6

    private let bytes: [UInt8]

    /// A passphrase from its bytes, which are not empty and have no line feed.
    public init(_ bytes: [UInt8]) throws(KeysError) {
        guard !bytes.isEmpty else { throw .refused("the passphrase is empty") }
        guard bytes.count <= Self.maximumBytes, !bytes.contains(UInt8(ascii: "\n")), !bytes.contains(0) else {
            throw .refused("a passphrase is one line of at most \(Self.maximumBytes) bytes")
        }
        self.bytes = bytes
    }

    /// Refuses one that is too easily guessed for sealing.
    public func requireQuality() throws(KeysError) {
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.count >= Self.leastCharacters else {
            throw .weakPassphrase(
                "it has fewer than \(Self.leastCharacters) characters; five words at random are enough")
        }
        guard Set(text).count >= Self.leastDifferent else {
            throw .weakPassphrase("it has fewer than \(Self.leastDifferent) different characters")
        }
    }

    /// The secret itself in base64, for what keeps it encrypted.
    public var exposed: String { Base64.text(bytes) }

    /// A passphrase from ``exposed``.
    public init(exposed text: String) throws(KeysError) {
        guard let bytes = Base64.bytes(text) else { throw .refused("this is no passphrase that was kept") }
        try self.init(bytes)
    }

    /// Not the secret.
    public var description: String { "a passphrase" }

    /// The key that encrypts: 32 bytes by scrypt (RFC 7914).
    func key(salt: [UInt8], cost: DerivationCost) throws(KeysError) -> SymmetricKey {
        do {
            return try KDF.Scrypt.deriveKey(
                from: bytes, salt: salt, outputByteCount: 32, rounds: cost.rounds,
                blockSize: DerivationCost.blockSize, parallelism: DerivationCost.parallelism)
        } catch {
            throw .refused("cannot derive a key, which takes \(cost.memory >> 20) MiB of memory")
        }
    }
}

/// What deriving a key costs: N of scrypt (RFC 7914, section 2), with r = 8 and p = 1.
public struct DerivationCost: Hashable, Sendable {
    static let blockSize = 8
    static let parallelism = 1

    /// N.
    let rounds: Int

    /// 2 to the power of `exponent`, which is from 10 to 18; nil for others.
    public init?(exponent: Int) {
        guard (10...18).contains(exponent) else { return nil }
        self.init(rounds: 1 << exponent)
    }

    private init(rounds: Int) {
        self.rounds = rounds
    }

    /// 1 MiB: what is taken when reading at least.
    static let least = DerivationCost(rounds: 1 << 10)
    /// 128 MiB and less than a second: what files are sealed with.
    public static let standard = DerivationCost(rounds: 1 << 17)
    /// 256 MiB: what is taken when reading at most.
    static let most = DerivationCost(rounds: 1 << 18)

    /// In bytes: 128 N r.
    var memory: Int { 128 * rounds * Self.blockSize }

    /// As a header has it; refused if it is out of bounds.
    init(_ text: String) throws(KeysError) {
        for exponent in 10...18 where text == DerivationCost(rounds: 1 << exponent).text {
            self.init(rounds: 1 << exponent)
            return
        }
        throw .cost(String(text.prefix(60)))
    }

    /// As a header has it.
    var text: String { "scrypt \(rounds) \(Self.blockSize) \(Self.parallelism)" }
}
