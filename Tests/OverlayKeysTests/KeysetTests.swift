import OverlayModel
import PolicyModel
import Testing

@testable import OverlayKeys

@Suite struct KeysetTests {
    private let start = Sample.start
    private let day = Sample.day
    private let topology: Topology
    private var keyset: Keyset

    init() throws {
        var generator = CountingGenerator(state: 1)
        topology = try Sample.topology()
        keyset = try Keyset(network: "acme", using: &generator)
    }

    private func after(_ days: Int64, _ seconds: Int64 = 0) -> Timestamp {
        Timestamp(seconds: start.seconds + days * day + seconds)
    }

    private mutating func certify(
        _ node: String, _ letter: Character, at now: Timestamp? = nil, days: Int = 30, in topology: Topology? = nil
    ) throws -> Credential {
        try keyset.certify(
            node, Sample.key(letter), in: topology ?? self.topology, at: now ?? start, days: days)
    }

    private func refusal(_ work: () throws -> Any) -> String? {
        #expect(throws: KeysError.self) { _ = try work() }?.description
    }

    // MARK: Credentials

    @Test
    mutating func
        `a credential says the node, its address and its key, and is valid from its first second to its last`()
        throws
    {
        let credential = try certify("web", "w")
        #expect(credential.node == "web" && credential.address == IPAddress("10.10.255.11"))
        #expect(credential.key == (try Sample.key("w")) && credential.serial == 1)
        for (time, state): (Timestamp, Keyset.State) in [
            (after(0, -1), .early), (start, .valid), (after(30, -1), .valid), (after(30), .expired),
        ] {
            #expect(keyset.state(of: credential, at: time) == state)
            if state == .valid {
                #expect(throws: Never.self) { try credential.require(validAt: time) }
            } else {
                #expect(throws: KeysError.self) { try credential.require(validAt: time) }
            }
        }
    }

    @Test mutating func `a credential of format 1 is read, and the same facts are the same bytes`() throws {
        try Sample.expect(certify("web", "w").text, at: "web.credential")
        let read = try Credential(parsing: Sample.bytes("web.credential"))
        #expect(read.authority == keyset.authority && read.network == "acme")
        #expect(throws: KeysError.otherNetwork(found: "acme", expected: "beta")) { try read.require(network: "beta") }
    }

    @Test mutating func `a credential that was changed or cut off anywhere is refused`() throws {
        let text = Array(try certify("web", "w").text.utf8)
        for index in text.indices {
            for flip: UInt8 in [0x01, 0x20, 0x80] {
                var copy = text
                copy[index] ^= flip
                #expect(throws: KeysError.self, "at \(index)") { try Credential(parsing: copy) }
            }
            #expect(throws: KeysError.self) { try Credential(parsing: Array(text.prefix(index))) }
        }
    }

    @Test mutating func `a new credential of a node supersedes the one before, with the same key or another`() throws {
        let first = try certify("web", "w")
        let second = try certify("web", "w", at: after(1))
        #expect(keyset.state(of: first, at: after(1)) == .superseded)
        let third = try certify("web", "x", at: after(2))
        #expect(keyset.state(of: second, at: after(2)) == .superseded)
        #expect(try keyset.validCredential(of: "web", at: after(2)).serial == third.serial)
        #expect(keyset.credentials.map(\.serial) == [1, 2, 3])
        // Superseded and expired: nobody takes the first any more.
        _ = try certify("web", "x", at: after(30))
        #expect(keyset.credentials.map(\.serial) == [2, 3, 4])
    }

    @Test mutating func `what cannot be certified is refused with its reason`() throws {
        _ = try certify("web", "w")
        _ = try certify("london", "l")
        #expect(
            refusal { try certify("paris", "w") }
                == "this key is the one of “web”, of serial 1: each node has a key of its own")
        #expect(refusal { try certify("pariss", "p") } == "network.yaml has no node “pariss”; did you mean “paris”?")
        #expect(refusal { try certify("paris", "p", days: 0) } == "a credential is valid for 1 to 3650 days")
        let other = try Sample.topology(Sample.topologyText.replacing("network: acme", with: "network: beta"))
        #expect(
            refusal { try certify("paris", "p", in: other) }
                == "network.yaml is of the network “beta”, the keyset of “acme”")
        _ = try keyset.revoke(node: "web", at: after(1))
        #expect(
            refusal { try certify("web", "w", at: after(2)) }
                == "this key was revoked at 2026-02-01T12:00:00Z, with the credential of “web” of serial 1: make another key"
        )
        // However long ago.
        #expect(refusal { try certify("web", "w", at: after(2000)) }?.hasPrefix("this key was revoked at") == true)
        #expect(try certify("web", "x", at: after(2)).serial == 3)
    }

    @Test mutating func `an address belongs to one node for as long as a credential says so`() throws {
        _ = try certify("web", "w")
        let renamed = try Sample.topology(Sample.topologyText.replacing("web:", with: "shop:"))
        #expect(
            refusal { try certify("shop", "s", at: after(1), in: renamed) }
                == "10.10.255.11 is the address of “web” until 2026-03-02T12:00:00Z, by the credential of serial 1: "
                + "revoke that first")
        var later = self
        #expect(try later.certify("shop", "s", at: after(30), in: renamed).serial == 2)
        _ = try keyset.revoke(serial: 1, at: after(1))
        #expect(try certify("shop", "s", at: after(1), in: renamed).serial == 2)
    }

    // MARK: Revocation

    @Test mutating func `one credential is revoked by its serial, all of a node by its name, each once`() throws {
        let first = try certify("web", "w")
        let second = try certify("web", "x", at: after(1))
        let third = try certify("web", "y", at: after(2))
        #expect(try keyset.revoke(serial: 2, at: after(3)).serial == 2)
        #expect(keyset.state(of: second, at: after(3)) == .revoked)
        #expect(keyset.state(of: third, at: after(3)) == .valid)
        #expect(try keyset.revoke(node: "web", at: after(4)).map(\.serial) == [1, 3])
        #expect(keyset.state(of: first, at: after(99)) == .revoked)
        #expect(refusal { try keyset.revoke(serial: 2, at: after(5)) }?.contains("was revoked at") == true)
        #expect(
            refusal { try keyset.revoke(node: "web", at: after(5)) } == "every credential of “web” was revoked already")
        #expect(throws: KeysError.unknown("there is no credential of serial 9")) {
            try keyset.revoke(serial: 9, at: after(5))
        }
        #expect(throws: KeysError.unknown("the keyset has no credential of “wbe”; did you mean “web”?")) {
            try keyset.revoke(node: "wbe", at: after(5))
        }
        // The one before it does not come back.
        #expect(
            refusal { try keyset.validCredential(of: "web", at: after(5)) }?.contains("revoked, of serial 3") == true)
    }

    // MARK: Export

    @Test mutating func `the keys of valid credentials are what the compiler reads, and it is said who has none`()
        throws
    {
        _ = try certify("london", "l")
        _ = try certify("web", "w", days: 1)
        let export = try keyset.export(for: topology, at: start)
        let keys = try PublicKeysFile.parse(bytes: Array(export.text.utf8), source: "keys.yaml", of: topology)
        #expect(keys == ["london": try Sample.key("l"), "web": try Sample.key("w")])
        #expect(export.missing == ["“paris” has no credential"])

        _ = try certify("paris", "p", at: after(1))
        _ = try keyset.revoke(node: "paris", at: after(1))
        let later = try keyset.export(for: topology, at: after(1))
        #expect(later.text == "london: \(try Sample.key("l"))\n")
        #expect(
            later.missing == [
                "“paris” has a credential that was revoked, of serial 3",
                "“web” has a credential that expired at 2026-02-01T12:00:00Z, of serial 2",
            ])
        #expect(
            refusal { try keyset.export(for: topology, at: after(-1)) }?
                .contains("“london” has a credential that is not valid before 2026-01-31T12:00:00Z") == true)
        #expect(refusal { try keyset.export(for: topology, at: after(99)) }?.hasPrefix("no node has a valid") == true)
    }

    @Test mutating func `a node whose address changed has no key until it is certified again`() throws {
        _ = try certify("london", "l")
        _ = try certify("web", "w")
        let moved = try Sample.topology(Sample.topologyText.replacing("10.10.255.11", with: "10.10.255.12"))
        #expect(
            try keyset.export(for: moved, at: start).missing == [
                "“paris” has no credential",
                "“web” has a credential for 10.10.255.11, of serial 2, and is at 10.10.255.12: certify it again",
            ])
        _ = try certify("web", "w", in: moved)
        #expect(try keyset.export(for: moved, at: start).missing.count == 1)
    }

    // MARK: At rest

    @Test mutating func `a keyset opens as it was sealed`() throws {
        for node in ["london", "paris", "web"] { _ = try certify(node, node.first ?? "x") }
        _ = try certify("web", "y", at: after(1))
        _ = try keyset.revoke(serial: 2, at: after(2))
        var generator = CountingGenerator(state: 5)
        _ = try keyset.seal(
            topology, text: Array(Sample.topologyText.utf8), Sample.passphrase("another passphrase"), Sample.cost(),
            using: &generator)
        let sealed = try keyset.sealed(Sample.passphrase(), Sample.cost(), using: &generator)
        let read = try SealedFile(parsing: Array(sealed.text.utf8), as: .keyset)
        var opened = try Keyset(read, Sample.passphrase())
        #expect(opened.network == "acme" && opened.authority == keyset.authority)
        #expect(opened.revision == 1 && opened.topologyRevision == 1)
        #expect(opened.credentials.map(\.text) == keyset.credentials.map(\.text))
        #expect(opened.revocations == [2: after(2)])
        #expect(try opened.certify("paris", Sample.key("q"), in: topology, at: start, days: 1).serial == 5)
        #expect(throws: KeysError.wrongPassphrase) { try Keyset(read, Sample.passphrase("another passphrase")) }
        // Sealed again, nothing of the ciphertext is the same.
        let again = try opened.sealed(Sample.passphrase(), Sample.cost(), using: &generator)
        #expect(again.revision == 2)
        #expect(
            again.text.split(separator: "\n").last { $0.count == 64 }
                != sealed.text.split(separator: "\n").last { $0.count == 64 })
    }

    @Test func `a sealed keyset of format 1 opens`() throws {
        var generator = CountingGenerator(state: 1)
        var made = try Keyset(network: "acme", using: &generator)
        _ = try made.certify("web", Sample.key("w"), in: topology, at: start, days: 30)
        _ = try made.revoke(serial: 1, at: start)
        try Sample.expect(made.sealed(Sample.passphrase(), Sample.cost(), using: &generator).text, at: "keyset.sealed")
        let sealed = try SealedFile(parsing: Sample.bytes("keyset.sealed"), as: .keyset)
        let opened = try Keyset(sealed, Sample.passphrase())
        #expect(opened.credentials.map(\.node) == ["web"] && opened.revocations == [1: start])
    }

    @Test func `each sealed topology has the next revision, and its text as it was`() throws {
        var keyset = keyset
        var generator = CountingGenerator(state: 5)
        for revision: UInt64 in 1...3 {
            let text = Array((Sample.topologyText + "# \(revision)\n").utf8)
            let sealed = try keyset.seal(topology, text: text, Sample.passphrase(), Sample.cost(), using: &generator)
            #expect(sealed.revision == revision)
            #expect(try sealed.open(Sample.passphrase()) == text)
        }
        let other = try Sample.topology(Sample.topologyText.replacing("network: acme", with: "network: beta"))
        #expect(throws: KeysError.self) {
            try keyset.seal(other, text: [], Sample.passphrase(), Sample.cost(), using: &generator)
        }
    }

    @Test func `a name that is none makes no keyset`() {
        var generator = CountingGenerator(state: 1)
        for name in ["", "-a", "a b", "a/b", "a\n", String(repeating: "a", count: 64)] {
            #expect(throws: KeysError.self) { try Keyset(network: name, using: &generator) }
        }
    }

    @Test mutating func `a keyset with a credential that is not its own is refused, whoever signed it`() throws {
        let credential = try certify("web", "w")
        let authority = try Sample.authority()
        let own = "\(keyset.authority)"
        let seed = try #require(try? Keyset.plain(keyset)).split(separator: "\n")[5]
        try #require(own == "\(authority.publicKey)")
        var beta = CountingGenerator(state: 2)
        var other = try Keyset(network: "acme", using: &beta)
        let foreign = try other.certify("web", Sample.key("f"), in: topology, at: start, days: 30)
        for (serial, texts) in [
            (0, [credential.text]), (1, [credential.text, credential.text]), (9, [foreign.text]),
            (1, [String(credential.text.dropLast(30))]), (1, ["x"]),
        ] {
            let head =
                "-----BEGIN VNE KEYSET-----\nFormat: 1\nNetwork: acme\nTopology: 0\nSerial: \(serial)\n\n\(seed)\n"
            var generator = CountingGenerator(state: 3)
            let sealed = try SealedFile.seal(
                Array((head + "-----END VNE KEYSET-----\n" + texts.joined()).utf8), .keyset, of: "acme", revision: 1,
                by: authority, Sample.passphrase(), Sample.cost(), using: &generator)
            #expect(throws: KeysError.self) { try Keyset(sealed, Sample.passphrase()) }
        }
    }

    @Test mutating func `no description of a keyset has its secret`() throws {
        _ = try certify("web", "w")
        let text = try Keyset.plain(keyset)
        let seed = String(text.split(separator: "\n")[5])
        #expect(seed.count == 44)
        var generator = CountingGenerator(state: 5)
        let sealed = try keyset.sealed(Sample.passphrase(), Sample.cost(), using: &generator).text
        #expect(!sealed.contains(seed) && !"\(keyset)".contains(seed))
    }
}

extension Keyset {
    /// What is sealed.
    fileprivate static func plain(_ keyset: Keyset) throws -> String {
        var keyset = keyset
        var generator = CountingGenerator(state: 5)
        let sealed = try keyset.sealed(Sample.passphrase(), Sample.cost(), using: &generator)
        return String(decoding: try sealed.open(Sample.passphrase()), as: UTF8.self)
    }
}
