import ArgumentParser
import FoundationEssentials
import OverlayKeys
import OverlayModel
import VNEManager

/// A network's authority and the credentials of its nodes.
struct KeysetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keyset", abstract: "Make and keep a network's authority and the credentials of its nodes.",
        subcommands: [
            InitKeysetCommand.self, CertifyCommand.self, RevokeCommand.self, ShowKeysetCommand.self,
            ExportCommand.self, PrintCredentialCommand.self,
        ])
}

/// The keyset that most of them open.
struct KeysetArgument: ParsableArguments {
    @Argument(help: "The keyset.", completion: .file())
    var keyset: String

    @OptionGroup var passphrase: PassphraseArgument

    func open(changing: Bool = false) throws -> KeysetFile {
        try KeysetFile(keyset, passphrase.source(of: keyset), changing: changing)
    }
}

struct InitKeysetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make the authority of a new network.",
        discussion: """
            Prints the authority's fingerprint, which everybody needs who is to check what it signs. Keep a copy of the
            file: nobody can make this authority again. Example:
              vne-manager keyset init --network acme --output keyset.sealed
            """)

    @Option(help: "The network's name, as its topology has it.")
    var network: String

    @OptionGroup var passphrase: PassphraseArgument

    @OptionGroup var output: OutputArgument

    func run() throws {
        let place = try output.free(for: .owner)
        var generator = SystemRandomNumberGenerator()
        var keyset = try Failure.explaining(place.path) { () throws(KeysError) in
            try Keyset(network: network, using: &generator)
        }
        let chosen = try passphrase.source(of: place.path).chosen()
        let sealed = try Failure.explaining(place.path) { () throws(KeysError) in
            try keyset.sealed(chosen, using: &generator)
        }
        try output.write(sealed.text, to: place)
        print("\(place.path): “\(network)”, authority \(keyset.authority.fingerprint)")
    }
}

struct CertifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certify", abstract: "Certify the public key of a node, or renew its credential.",
        discussion: """
            The private key stays where it was made. A new credential of a node supersedes the one before. Example:
              vne-manager key acme     (on the node)
              vne-manager keyset certify keyset.sealed network.yaml --node web \\
                --public-key …
            """)

    @OptionGroup var keyset: KeysetArgument

    @OptionGroup var topology: TopologyArgument

    @Option(help: "The node, as the topology has it.")
    var node: String

    @Option(help: "Its public key, as “wg pubkey” prints it.")
    var publicKey: String

    @Option(help: "For how many days.")
    var days = 30

    func validate() throws {
        guard WireGuardKey(publicKey) != nil else {
            throw ValidationError(
                "--public-key takes a public key of WireGuard: 44 characters, as “wg pubkey” prints them.")
        }
        guard (1...Keyset.maximumDays).contains(days) else {
            throw ValidationError("--days takes a number from 1 to \(Keyset.maximumDays).")
        }
    }

    func run() throws {
        let topology = try topology.topology()
        var file = try keyset.open(changing: true)
        guard let key = WireGuardKey(publicKey) else { return }
        let before = file.keyset.credential(of: node)
        let credential = try Failure.explaining(file.path) { () throws(KeysError) in
            try file.keyset.certify(node, key, in: topology, at: .now, days: days)
        }
        try file.save()
        print("\(node) \(credential.address): serial \(credential.serial), valid until \(credential.expires)")
        if let before { print("it supersedes serial \(before.serial)") }
    }
}

struct RevokeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Take back one credential, or all of a node.",
        discussion: """
            Its key is not certified again. Nobody is told: export the keys and compile the topology again. Examples:
              vne-manager keyset revoke keyset.sealed --node web
              vne-manager keyset revoke keyset.sealed --serial 12
            """)

    @OptionGroup var keyset: KeysetArgument

    @Option(help: "The credential of this serial.")
    var serial: UInt64?

    @Option(help: "Every credential of this node.")
    var node: String?

    func validate() throws {
        guard (serial == nil) != (node == nil) else {
            throw ValidationError("Name a credential (--serial) or a node (--node).")
        }
    }

    func run() throws {
        var file = try keyset.open(changing: true)
        let revoked = try Failure.explaining(file.path) { () throws(KeysError) in
            if let node { return try file.keyset.revoke(node: node, at: .now) }
            return [try file.keyset.revoke(serial: serial ?? 0, at: .now)]
        }
        try file.save()
        for credential in revoked {
            print("\(credential.node) \(credential.address): serial \(credential.serial) is revoked")
        }
    }
}

struct ShowKeysetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show the authority and the credentials, and no secret.",
        discussion: "Example: vne-manager keyset show keyset.sealed --json")

    @OptionGroup var keyset: KeysetArgument

    @Flag(help: "Print JSON: docs/schemas/keyset.json.")
    var json = false

    func run() throws {
        let view = KeysetView(try keyset.open().keyset, at: .now)
        guard json else { return print(view.text) }
        try Console.show(view)
    }
}

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write the public keys of a topology's nodes, for “topology compile --keys”.",
        discussion: """
            Only of valid credentials; why a node has none is said, on the standard error. Example:
              vne-manager keyset export keyset.sealed network.yaml --output keys.yaml
            """)

    @OptionGroup var keyset: KeysetArgument

    @OptionGroup var topology: TopologyArgument

    @OptionGroup var output: OutputArgument

    func run() throws {
        let topology = try topology.topology()
        let place = try output.free(for: .everybody)
        let file = try keyset.open()
        let export = try Failure.explaining(file.path) { () throws(KeysError) in
            try file.keyset.export(for: topology, at: .now)
        }
        try output.write(export.text, to: place)
        for sentence in export.missing { Console.error("\(file.path): \(sentence)") }
        print("\(place.path): keys of \(topology.nodes.count - export.missing.count) of \(topology.nodes.count) nodes")
    }
}

struct PrintCredentialCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "credential", abstract: "Print the valid credential of a node.",
        discussion: """
            It holds no secret, and whoever knows the authority's fingerprint can check it. Example:
              vne-manager keyset credential keyset.sealed --node london > london.credential
            """)

    @OptionGroup var keyset: KeysetArgument

    @Option(help: "The node.")
    var node: String

    func run() throws {
        let file = try keyset.open()
        let credential = try Failure.explaining(file.path) { () throws(KeysError) in
            try file.keyset.validCredential(of: node, at: .now)
        }
        print(credential.text, terminator: "")
    }
}

/// What can be done with a credential alone.
struct CredentialCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "credential", abstract: "Check a credential.", subcommands: [VerifyCredentialCommand.self])
}

struct VerifyCredentialCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check whose signature a credential has, and whether it is valid now.",
        discussion: """
            Whether it was revoked or superseded only the keyset knows. Example:
              vne-manager credential verify london.credential --authority SHA256:…
            """)

    @Argument(help: "The credential.", completion: .file())
    var file: String

    @Option(help: "The fingerprint of the network's authority, as “keyset show” prints it.")
    var authority: String

    @Option(help: "Take it for this network only.")
    var network: String?

    func validate() throws { try AuthorityKey.requireFingerprint(authority) }

    func run() throws {
        let bytes = try OpenFile(path: file).read(atMost: SealedFile.maximumBytes + 1)
        let credential = try Failure.explaining(file) { () throws(KeysError) in
            let credential = try Credential(parsing: bytes)
            try credential.authority.require(authority)
            if let network { try credential.require(network: network) }
            try credential.require(validAt: .now)
            return credential
        }
        print(
            "\(file): “\(credential.node)” of “\(credential.network)” is \(credential.address) with the key "
                + "\(credential.key), until \(credential.expires)")
    }
}
