import ArgumentParser
import OverlayKeys
import OverlayModel
import PolicyModel

/// Makes the file that a new manager is given.
struct SealCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seal",
        abstract: "Seal a topology: encrypted under a passphrase, signed by the network's authority.",
        discussion: """
            The keyset counts what was sealed: each sealed topology has the next revision. The new passphrase opens this
            file only, and is not the keyset's. Passphrases are asked for on the terminal. Examples:
              vne-manager seal network.yaml --keyset keyset.sealed --output acme.sealed
              vne-manager seal network.yaml --keyset keyset.sealed \\
                --keyset-passphrase-file owner.pass \\
                --passphrase-file managers.pass --output acme.sealed
            """)

    @OptionGroup var topology: TopologyArgument

    @Option(help: "The keyset of the network's authority.", completion: .file())
    var keyset: String

    @Option(help: "Read the keyset's passphrase from this file; “-” is the standard input.", completion: .file())
    var keysetPassphraseFile: String?

    @OptionGroup var passphrase: PassphraseArgument

    @OptionGroup var output: OutputArgument

    func validate() throws {
        guard keysetPassphraseFile != "-" || passphrase.passphraseFile != "-" else {
            throw ValidationError("Only one passphrase can come from the standard input.")
        }
    }

    func run() throws {
        let bytes = try TopologyArgument.bytes(of: topology.file)
        let read = try Failure.reading { () throws(DocumentErrors) in
            try TopologyFile.parse(bytes: bytes, source: topology.file)
        }
        let place = try output.free(for: .owner)
        var file = try KeysetFile(
            keyset, PassphraseSource(file: keysetPassphraseFile, subject: keyset), changing: true)
        let chosen = try passphrase.source(of: place.path).chosen()
        guard chosen != file.passphrase else {
            throw Failure.failed(
                "this is the keyset's passphrase: who may open \(place.path) could speak for the network; choose another"
            )
        }
        var generator = SystemRandomNumberGenerator()
        let sealed = try Failure.explaining(keyset) { () throws(KeysError) in
            try file.keyset.seal(read, text: bytes, chosen, using: &generator)
        }
        // The keyset first: a revision may be left out, and is never given twice.
        try file.save()
        try output.write(sealed.text, to: place)
        print(
            "\(place.path): “\(sealed.network)”, revision \(sealed.revision), authority \(sealed.authority.fingerprint)"
        )
    }
}

/// Opens that file.
struct OpenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "open", abstract: "Check a sealed topology, and write the topology that is in it.",
        discussion: """
            Whose signature it has, and whether it is new enough, is known before the passphrase is asked for. Examples:
              vne-manager open acme.sealed
              vne-manager open acme.sealed --authority SHA256:… --newer-than 6 \\
                --output network.yaml
            """)

    @Argument(help: "The sealed topology.", completion: .file())
    var file: String

    @Option(help: "Take it from this authority only: the fingerprint, as “keyset show” prints it.")
    var authority: String?

    @Option(help: "Take only a revision that is higher than this one, which is held already.")
    var newerThan: UInt64?

    @OptionGroup var passphrase: PassphraseArgument

    @Option(
        name: .shortAndLong, help: "Write the topology to this file, which nobody else may read.", completion: .file())
    var output: String?

    @Flag(help: "Overwrite the file that is there.")
    var force = false

    func validate() throws {
        if let authority { try AuthorityKey.requireFingerprint(authority) }
    }

    func run() throws {
        let place = output.map { WholeFile(path: $0, readers: .owner) }
        try place?.requireFree(force: force)
        let bytes = try OpenFile(path: file).read(atMost: SealedFile.maximumBytes + 1)
        let sealed = try Failure.explaining(file) { () throws(KeysError) in
            let sealed = try SealedFile(parsing: bytes, as: .topology)
            if let authority { try sealed.authority.require(authority) }
            if let newerThan { try sealed.require(newerThan: newerThan) }
            return sealed
        }
        let known = try passphrase.source(of: file).known()
        let text = try Failure.explaining(file) { () throws(KeysError) in try sealed.open(known) }
        let topology = try Failure.reading { () throws(DocumentErrors) in
            try TopologyFile.parse(bytes: text, source: file)
        }
        try Failure.explaining(file) { () throws(KeysError) in try sealed.require(network: topology.network) }
        try place?.write(text, replacing: force)
        print(
            "\(file): “\(sealed.network)”, revision \(sealed.revision): \(topology.managers.count) managers, "
                + "\(topology.hosts.count) hosts, \(topology.tunnels.count) tunnels")
        print("authority \(sealed.authority.fingerprint)" + (authority == nil ? ", as the file itself says" : ""))
        if let place { print("\(place.path): the topology") }
    }
}

/// Where a passphrase comes from.
struct PassphraseArgument: ParsableArguments {
    @Option(help: "Read the passphrase from this file; “-” is the standard input.", completion: .file())
    var passphraseFile: String?

    func source(of subject: String) -> PassphraseSource { PassphraseSource(file: passphraseFile, subject: subject) }
}

/// Where a file goes.
struct OutputArgument: ParsableArguments {
    @Option(name: .shortAndLong, help: "The file to write.", completion: .file())
    var output: String

    @Flag(help: "Overwrite the file that is there, unless it is a keyset.")
    var force = false

    /// The file, where nothing is that has to stay.
    func free(for readers: WholeFile.Readers) throws -> WholeFile {
        let place = WholeFile(path: output, readers: readers)
        try place.requireFree(force: force)
        return place
    }

    func write(_ text: String, to place: WholeFile) throws { try place.write(Array(text.utf8), replacing: force) }
}

extension AuthorityKey {
    /// Refuses what is no fingerprint on the command line.
    static func requireFingerprint(_ text: String) throws {
        guard isFingerprint(text) else {
            throw ValidationError("\(text.debugDescription) is no fingerprint: “SHA256:” and 43 characters of base64.")
        }
    }
}

extension Failure {
    /// Reads a file whose errors have places.
    static func reading<Value>(_ work: () throws(DocumentErrors) -> Value) throws -> Value {
        do {
            return try work()
        } catch {
            throw file(error)
        }
    }
}
