/// Why a file or an order is refused: each its own sentence, without a full stop and without the file's name.
public enum KeysError: Error, Hashable, Sendable {
    /// Whom it concerns, and so what a command ends with.
    public enum Cause: Hashable, Sendable {
        /// The bytes of a file are not what somebody wrote.
        case file
        /// All is whole, and is not taken for a reason.
        case refusal
        /// There is none of that name.
        case unknown
    }

    /// There is nothing in it.
    case empty
    /// Something else, or another kind of armour.
    case foreign(expected: ArmourKind, found: ArmourKind?)
    /// It has no end.
    case truncated(ArmourKind)
    /// A line is not as it was written.
    case damaged(line: Int, expected: String)
    /// Of a format that this version does not read.
    case format(String)
    /// More than is read, in bytes.
    case tooLong(limit: Int)
    /// The signature is not one of these bytes by this authority.
    case changed
    /// Derivation asks for too much, for too little, or for parameters of no known use.
    case cost(String)
    /// The bytes are the authority's, and the passphrase does not open them.
    case wrongPassphrase
    /// A passphrase that is too easily guessed.
    case weakPassphrase(String)
    /// Signed by somebody else.
    case otherAuthority(found: String, expected: String)
    /// Of another network.
    case otherNetwork(found: String, expected: String)
    /// Of a revision that is held already, or older.
    case old(revision: UInt64, held: UInt64)
    /// What a keyset does not do.
    case refused(String)
    /// What a keyset or a topology does not have.
    case unknown(String)

    /// Whom it concerns.
    public var cause: Cause {
        switch self {
        case .empty, .foreign, .truncated, .damaged, .format, .tooLong, .changed, .cost: .file
        case .wrongPassphrase, .weakPassphrase, .otherAuthority, .otherNetwork, .old, .refused: .refusal
        case .unknown: .unknown
        }
    }
}

extension KeysError: CustomStringConvertible {
    /// The sentence.
    public var description: String {
        switch self {
        case .empty: "the file is empty"
        case .foreign(let expected, let found?): "expected \(expected); found \(found)"
        case .foreign(let expected, nil): "expected \(expected), which begins with “\(expected.beginning)”"
        case .truncated(let kind): "the file is not whole: its last line, “\(kind.end)”, is missing"
        case .damaged(let line, let expected): "damaged at line \(line): expected \(expected)"
        case .format(let found):
            "format \(found) is \((Int(found) ?? .max) < Armour.format ? "older" : "newer") than format \(Armour.format), "
                + "the one that this version of vne-manager reads"
        case .tooLong(let limit): "longer than \(limit >> 20) MiB"
        case .changed: "changed since it was signed: the signature is not of these bytes by the authority that it names"
        case .cost(let found):
            "the derivation “\(found)” is not taken: it has to be “scrypt N 8 1”, where N is a power of two from "
                + "\(DerivationCost.least.rounds) to \(DerivationCost.most.rounds)"
        case .wrongPassphrase: "the passphrase is wrong; the file is as it was signed"
        case .weakPassphrase(let why): "the passphrase is too easily guessed: \(why)"
        case .otherAuthority(let found, let expected): "signed by the authority \(found), expected \(expected)"
        case .otherNetwork(let found, let expected): "of the network “\(found)”, expected “\(expected)”"
        case .old(let revision, let held): "revision \(revision) is not newer than \(held)"
        case .refused(let why), .unknown(let why): why
        }
    }
}
