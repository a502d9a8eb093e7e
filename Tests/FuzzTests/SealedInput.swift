@testable import OverlayKeys

/// Bytes as a sealed file, an open keyset, a credential, a roster or an invitation. What a signature would refuse at once is signed anew, so that
/// what is behind the signature is read, too.
struct SealedInput {
    /// Of the authority that signed the corpus; base64.
    private static let seed = "wWdeC7mApXWolmH+wIqoO2Px7ghGnM2sn/c1qyeKhLo="

    let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    func check() throws {
        guard let seed = Base64.bytes(Self.seed), let authority = Authority(seed: seed) else {
            throw FuzzFailure(description: "the authority has no key")
        }
        let passphrase = try Passphrase(Array("correct horse battery staple".utf8))
        try read { () throws(KeysError) in try SealedFile(parsing: bytes, as: .topology).text }
        try read { () throws(KeysError) in try SealedFile(parsing: bytes, as: .keyset).text }
        try read { () throws(KeysError) in try Credential(parsing: bytes).text }
        try read { () throws(KeysError) in try Roster(parsing: bytes).text }
        try read { () throws(KeysError) in try Invitation(parsing: bytes).text }
        for kind in ArmourKind.allCases {
            guard let armour = try? ArmourReader.only(kind, in: bytes) else { continue }
            try require(Array(armour.text.utf8), equals: unmailed, "an armour, written again")
            switch kind {
            case .sealedTopology, .sealedKeyset: try check(signed(armour, by: authority), with: passphrase)
            case .credential: try checkCredential(signed(armour, by: authority))
            case .roster: try checkRoster(signed(armour, by: authority))
            case .invitation: try checkInvitation(signed(armour, by: authority))
            case .keyset: break
            }
        }
        try checkKeyset(of: authority, with: passphrase)
    }

    /// What is signed by the right authority: opened, unless that would take long.
    private func check(_ armour: Armour, with passphrase: Passphrase) throws {
        let content = armour.kind == .sealedKeyset ? SealedFile.Content.keyset : .topology
        let text = Array(armour.text.utf8)
        guard let sealed = try? SealedFile(parsing: text, as: content) else { return }
        try require(Array(sealed.text.utf8), equals: text, "a sealed file, written again")
        guard armour.fields.contains(where: { $0.value == DerivationCost.least.text }) else { return }
        do throws(KeysError) {
            _ = try sealed.open(passphrase)
        } catch {
            try require(error, equals: .wrongPassphrase, "why a signed file does not open")
        }
    }

    private func checkCredential(_ armour: Armour) throws {
        guard let credential = try? Credential(armour) else { return }
        try require(credential.text, equals: armour.text, "a credential, written again")
        try require(Timestamp("\(credential.issued)"), equals: credential.issued, "a time, read again")
    }

    private func checkRoster(_ armour: Armour) throws {
        guard let roster = try? Roster(armour) else { return }
        try require(roster.text, equals: armour.text, "a roster, written again")
        try require(
            Set(roster.members.map(\.node)).count, equals: roster.members.count,
            "how many nodes a roster has, each once")
    }

    private func checkInvitation(_ armour: Armour) throws {
        guard let invitation = try? Invitation(armour) else { return }
        try require(invitation.text, equals: armour.text, "an invitation, written again")
    }

    /// The text of a keyset, under a seal: an open keyset, and credentials behind it.
    private func checkKeyset(of authority: Authority, with passphrase: Passphrase) throws {
        guard bytes.starts(with: Array(ArmourKind.keyset.beginning.utf8)), bytes.count < 1 << 16 else { return }
        var generator = SystemRandomNumberGenerator()
        let sealed = try SealedFile.seal(
            bytes, .keyset, of: "acme", revision: 1, by: authority, passphrase, .least, using: &generator)
        try read { () throws(KeysError) in
            var keyset = try Keyset(sealed, passphrase)
            let again = try keyset.sealed(passphrase, .least, using: &generator)
            return String(decoding: try again.open(passphrase), as: UTF8.self)
        }
    }

    /// The armour with the right authority and its signature.
    private func signed(_ armour: Armour, by authority: Authority) throws -> Armour {
        var armour = armour
        for index in armour.fields.indices where armour.fields[index].name == "Authority" {
            armour.fields[index].value = "\(authority.publicKey)"
        }
        armour.body = armour.kind == .credential ? [] : armour.body.dropLast(Authority.signatureBytes)
        armour.body += try authority.signature(of: Array(armour.header.utf8) + armour.body)
        return armour
    }

    /// What is taken is what is there; what is not is refused in one line.
    private func read(_ work: () throws(KeysError) -> String) throws {
        let text: String
        do throws(KeysError) {
            text = try work()
        } catch {
            let isPlain = error.description.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f }
            try require(isPlain, "a refusal with control characters: \(error)")
            return
        }
        try require(Array(text.utf8), equals: unmailed, "what was taken, written again")
    }

    /// Without the carriage returns that mail may put before line feeds.
    private var unmailed: [UInt8] {
        bytes.enumerated().filter { index, byte in
            byte != 0x0d || index + 1 == bytes.count || bytes[index + 1] != 0x0a
        }
        .map(\.element)
    }
}
