import Foundation
import OverlayModel
import Testing

@testable import OverlayKeys

@Suite struct SealedFileTests {
    @Test func `what was sealed opens again, and says of which network, revision and authority it is`() throws {
        let authority = try Sample.authority()
        let sealed = try Sample.sealed()
        let read = try SealedFile(parsing: Array(sealed.text.utf8), as: .topology)
        #expect(read.network == "acme" && read.revision == 7 && read.authority == authority.publicKey)
        #expect(try read.open(Sample.passphrase()) == Array(Sample.topologyText.utf8))
        for count in [0, 1, 47, 48, 49, 100_000] {
            let bytes = [UInt8](repeating: 0x2d, count: count)
            let sealed = try Sample.sealed(bytes)
            let read = try SealedFile(parsing: Array(sealed.text.utf8), as: .topology)
            #expect(try read.open(Sample.passphrase()) == bytes)
        }
    }

    @Test func `a sealed file of format 1 opens, and the same randomness seals the same bytes`() throws {
        try Sample.expect(Sample.sealed().text, at: "topology.sealed")
        let sealed = try SealedFile(parsing: Sample.bytes("topology.sealed"), as: .topology)
        #expect(sealed.authority.fingerprint == "SHA256:nzszSfuYahX+8ZeArFF7nUmI7bfQhACiaUG095GVUec")
        #expect(try sealed.open(Sample.passphrase()) == Array(Sample.topologyText.utf8))
    }

    @Test func `every byte that is changed, left out or put in is noticed before a passphrase is asked for`() throws {
        let text = Array(try Sample.sealed(Array("network: acme\n".utf8)).text.utf8)
        for index in text.indices {
            var altered = [0x01, 0x02, 0x20, 0x80].map { (flip: UInt8) in
                var copy = text
                copy[index] ^= flip
                return copy
            }
            altered.append(Array(text[..<index] + text[(index + 1)...]))
            altered.append(Array(text[...index] + text[index...]))
            altered.append(Array(text[..<index] + [0x0d] + text[(index + 1)...]))
            for bytes in altered where bytes != text {
                let error = #expect(throws: KeysError.self, "at \(index)") {
                    try SealedFile(parsing: bytes, as: .topology)
                }
                #expect(error?.cause == .file, "at \(index)")
            }
        }
    }

    @Test func `a file that ends early is not whole, wherever it ends`() throws {
        let text = Array(try Sample.sealed().text.utf8)
        #expect(throws: KeysError.empty) { try SealedFile(parsing: [], as: .topology) }
        for count in 1..<text.count {
            #expect(throws: KeysError.truncated(.sealedTopology), "\(count) bytes") {
                try SealedFile(parsing: Array(text.prefix(count)), as: .topology)
            }
        }
    }

    @Test func `mail may end lines with CR LF`() throws {
        let text = try Sample.sealed().text
        let mailed = text.utf8.flatMap { $0 == 0x0a ? [0x0d, 0x0a] : [$0] }
        #expect(try SealedFile(parsing: mailed, as: .topology).text == text)
    }

    @Test func `what is no sealed topology is named`() throws {
        for text in ["network: acme\n", "-----BEGIN PGP MESSAGE-----\n\nabc\n", " \n", "\u{fffd}\n"] {
            #expect(throws: KeysError.foreign(expected: .sealedTopology, found: nil)) {
                try SealedFile(parsing: Array(text.utf8), as: .topology)
            }
        }
        #expect(throws: KeysError.foreign(expected: .sealedKeyset, found: .sealedTopology)) {
            try SealedFile(parsing: Array(Sample.sealed().text.utf8), as: .keyset)
        }
        #expect(throws: KeysError.tooLong(limit: 16 << 20)) {
            try SealedFile(parsing: [UInt8](repeating: 0x2d, count: 16 << 20 + 1), as: .topology)
        }
        // Another kind by its first and last line only.
        let renamed = try Sample.sealed().text.replacing("TOPOLOGY", with: "KEYSET")
        #expect(throws: KeysError.changed) { try SealedFile(parsing: Array(renamed.utf8), as: .keyset) }
    }

    @Test(arguments: [("0", "older"), ("2", "newer"), ("10", "newer"), ("99999999999999999999", "newer")])
    func `a format that is not known is named, whatever else is in the file`(format: String, age: String) throws {
        let other = "-----BEGIN VNE SEALED TOPOLOGY-----\nFormat: \(format)\nUnheard of\n"
        let error = #expect(throws: KeysError.self) { try SealedFile(parsing: Array(other.utf8), as: .topology) }
        #expect(error?.cause == .file)
        #expect(
            error?.description
                == "format \(format) is \(age) than format 1, the one that this version of vne-manager reads")
    }

    @Test(arguments: [
        "scrypt 524288 8 1", "scrypt 1073741824 8 1", "scrypt 9223372036854775808 8 1", "scrypt 512 8 1",
        "scrypt 0 8 1",
        "scrypt 131073 8 1", "scrypt 131072 4096 1", "scrypt 131072 8 65536", "scrypt -1 8 1", "scrypt  131072 8 1",
        "scrypt 0131072 8 1", "scrypt 131072 8", "pbkdf2 1",
    ])
    func `derivation that takes too much, too little or something else is refused, whoever signed it`(
        derivation: String
    ) throws {
        let bytes = try Sample.signed([
            ("Network", "acme"), ("Revision", "7"), ("Authority", "\(Sample.authority().publicKey)"),
            ("Derivation", derivation), ("Salt", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ])
        #expect(throws: KeysError.cost(derivation)) { try SealedFile(parsing: bytes, as: .topology) }
    }

    @Test(arguments: [
        ("Network", "a\u{1b}[2J"), ("Network", "../acme"), ("Network", ""), ("Revision", "-1"), ("Revision", "07"),
        ("Revision", "9007199254740992"), ("Revision", "18446744073709551616"), ("Authority", "AAAA"),
        ("Salt", ""), ("Salt", "AAAA"), ("Salt", "AAAAAAAAAAAAAAAAAAAAAB=="), ("Extra", "1"),
    ])
    func `a field that nobody writes so is named by its line, whoever signed it`(name: String, value: String) throws {
        var fields = [
            ("Network", "acme"), ("Revision", "7"), ("Authority", "\(try Sample.authority().publicKey)"),
            ("Derivation", "scrypt 1024 8 1"), ("Salt", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ]
        let index = fields.firstIndex { $0.0 == name } ?? fields.count
        fields.replaceSubrange(index..<min(index + 1, fields.count), with: [(name, value)])
        let bytes = try Sample.signed(fields)
        let error = #expect(throws: KeysError.self) { try SealedFile(parsing: bytes, as: .topology) }
        #expect(error?.description.hasPrefix("damaged at line \(index + 3): expected ") == true)
        #expect(error?.description.contains("\u{1b}") == false)
    }

    @Test func `too few bytes for anything to be in them are refused, whoever signed them`() throws {
        let fields = [
            ("Network", "acme"), ("Revision", "7"), ("Authority", "\(try Sample.authority().publicKey)"),
            ("Derivation", "scrypt 1024 8 1"), ("Salt", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ]
        for count in 0..<28 {
            let bytes = try Sample.signed(fields, [UInt8](repeating: 7, count: count))
            #expect(throws: KeysError.changed) { try SealedFile(parsing: bytes, as: .topology) }
        }
        let bytes = try Sample.signed(fields, [UInt8](repeating: 7, count: 28))
        let sealed = try SealedFile(parsing: bytes, as: .topology)
        #expect(throws: KeysError.wrongPassphrase) { try sealed.open(Sample.passphrase()) }
    }

    @Test func `a wrong passphrase is no changed file`() throws {
        let sealed = try SealedFile(parsing: Array(Sample.sealed().text.utf8), as: .topology)
        for wrong in ["Correct horse battery staple", "correct horse battery staple ", "x"] {
            #expect(throws: KeysError.wrongPassphrase) { try sealed.open(Passphrase(Array(wrong.utf8))) }
        }
        #expect(KeysError.wrongPassphrase.cause == .refusal)
    }

    @Test func `another authority's file is refused by the pinned fingerprint, and its name alone helps nobody`() throws
    {
        let own = try Sample.authority()
        let other = try Sample.authority(2)
        let forged = try Sample.sealed(by: other)
        let read = try SealedFile(parsing: Array(forged.text.utf8), as: .topology)
        #expect(
            throws: KeysError.otherAuthority(
                found: other.publicKey.fingerprint, expected: own.publicKey.fingerprint)
        ) { try read.authority.require(own.publicKey.fingerprint) }
        let renamed = forged.text.replacing("\(other.publicKey)", with: "\(own.publicKey)")
        #expect(throws: KeysError.changed) { try SealedFile(parsing: Array(renamed.utf8), as: .topology) }
    }

    @Test func `a revision that is held already, or an older one, is refused`() throws {
        let sealed = try Sample.sealed()
        #expect(throws: Never.self) { try sealed.require(newerThan: 6) }
        #expect(throws: KeysError.old(revision: 7, held: 7)) { try sealed.require(newerThan: 7) }
        #expect(throws: KeysError.old(revision: 7, held: .max)) { try sealed.require(newerThan: .max) }
    }

    @Test func `a file that was sealed for one network under another's name is refused`() throws {
        #expect(throws: KeysError.otherNetwork(found: "beta", expected: "acme")) {
            try Sample.sealed().require(network: "beta")
        }
    }

    @Test(arguments: ["", "short", "fourteen chars", "aaaaaaaaaaaaaaaaaaaa", "ababababcdcdcdcdcdcd", "äöüäöüäöüäöüäö"])
    func `a passphrase that is easily guessed seals nothing`(text: String) {
        #expect(throws: KeysError.self) { try Passphrase(Array(text.utf8)).requireQuality() }
    }

    @Test func `a passphrase is one line, of which each byte counts, and is not printed`() throws {
        #expect(throws: Never.self) { try Passphrase(Array("fifteen letters".utf8)).requireQuality() }
        #expect(throws: KeysError.self) { try Passphrase(Array("two\nlines of some length".utf8)) }
        #expect(throws: KeysError.self) { try Passphrase([UInt8](repeating: 0x61, count: 1025)) }
        #expect("\(try Sample.passphrase())" == "a passphrase")
    }

    @Test func `times are written in one way and read in no other`() {
        for (seconds, text): (Int64, String) in [
            (0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (1_769_860_800, "2026-01-31T12:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            #expect(Timestamp(seconds: seconds).description == text)
            #expect(Timestamp(text) == Timestamp(seconds: seconds))
        }
        for text in [
            "", "2026-01-31", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "2026-01-31T12:00:00+00:00",
            "2026-01-31T12:00:60Z", " 2026-01-31T12:00:00Z", "2026-1-31T12:00:00Z", "2026-01-31T12:00:00ZZ",
        ] {
            #expect(Timestamp(text) == nil, "\(text)")
        }
    }
}
