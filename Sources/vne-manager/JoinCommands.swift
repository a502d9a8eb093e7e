import ArgumentParser
import FoundationEssentials
import OverlayKeys
import OverlayModel
import VNEManager

struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Begin a network: make its authority, and this machine its first manager.",
        discussion: """
            The authority says who is in the network. Its keyset is sealed under a passphrase, which this manager keeps \
            encrypted to this machine (systemd-creds), so that nodes that are invited can come; every other manager gets a sealed \
            copy. Prints the authority's fingerprint. Example:
              vne-manager init network.yaml --node london
              vne-manager invite --all --output invitations
            """)

    @OptionGroup var topology: TopologyArgument

    @Option(help: "Which manager this machine is.")
    var node: String

    @OptionGroup var passphrase: PassphraseArgument

    @OptionGroup var instance: NodeInstance

    func run() async throws {
        try NetworkOptions.needRoot()
        let network = try topology.topology().network
        let text = try topology.text()
        let place = NetworkPlace(network: network, instance: instance.instance)
        let chosen = try passphrase.source(of: "the keyset of \(network)").chosen()
        let roster = try await Issuer(place).found(text, source: topology.file, as: node, sealing: chosen)
        try await place.bringUp()
        print("\(node) is up in \(network): authority \(roster.authority.fingerprint)")
        print("See vne-manager invite --help for how the other nodes come.")
    }
}

struct InviteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "invite", abstract: "Invite nodes of the topology to the network.",
        discussion: """
            At the manager that issues rosters. An invitation is a file: whoever has it becomes that node, once, until it ends. \
            Bring it to the machine over a way that you trust. Examples:
              vne-manager invite web > web.invitation
              vne-manager invite --all --output invitations
            """)

    @Argument(help: "The nodes.")
    var nodes: [String] = []

    @Flag(help: "Every node that does not take part yet.")
    var all = false

    @Option(help: "For how many hours.")
    var hours = 24

    @Flag(help: "Also nodes that take part: they are out until they come anew, with another key.")
    var replace = false

    @Option(
        name: .shortAndLong,
        help: "Write NODE.invitation to this directory, which is made if there is none. One invitation may be printed.",
        completion: .directory)
    var output: String?

    @OptionGroup var network: NetworkOptions

    func validate() throws {
        guard nodes.isEmpty == all else { throw ValidationError("Name nodes to invite, or --all of them.") }
        guard output != nil || nodes.count == 1 else {
            throw ValidationError("Name a directory for the invitations (--output).")
        }
        guard Set(nodes).count == nodes.count else { throw ValidationError("A node is named twice.") }
    }

    func run() async throws {
        let place = try network.place
        if let output {
            do {
                try FileManager.default.createDirectory(
                    atPath: output, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            } catch {
                throw Failure.failed("cannot make \(output): \(error)")
            }
        }
        let invited = try await Issuer(place).invite(nodes, hours: hours, replacing: replace)
        try await place.bringUp()
        for invitation in invited.invitations {
            guard let output else { return print(invitation.text, terminator: "") }
            let file = WholeFile(path: "\(output)/\(invitation.node).invitation", readers: .owner)
            // One that is there is worth nothing any more.
            try file.write(Array(invitation.text.utf8), replacing: true)
            print("\(file.path): until \(invitation.expires)")
        }
        for node in invited.unreached {
            Console.error(
                "vne-manager: \(node) is reached by managers that did not come yet: invite it once one of them has")
        }
    }
}

/// Where a host's applications of a network are.
enum ApplicationPlace: String, EnumerableFlag {
    /// In the host's own namespace: one network of a machine.
    case joined
    /// In the network's.
    case apart
}

struct JoinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "join",
        abstract: "Make this machine a node of a network, and bring it up.",
        discussion: """
            With an invitation the node gets the topology and the keys of all nodes from the network's managers, now and later. \
            It makes its own key, which never leaves it. Example:
              vne-manager join --invitation web.invitation

            Without one they are given by hand, to each node, also when they change: run it again then. Example:
              vne-manager join network.yaml --keys keys.yaml --node london

            “vne-manager run” brings the network up after a reboot. What stays the same is not touched.
            """)

    @Option(
        help: "What “vne-manager invite” wrote for this node; “-” is the standard input.",
        completion: .file(extensions: ["invitation"]))
    var invitation: String?

    @Option(help: "With an invitation, how many seconds managers may take to answer.")
    var patience = 120

    @Argument(help: "The topology file: YAML, as OVERLAY.md describes it.", completion: .file(extensions: ["yaml"]))
    var file: String?

    @Option(
        help: "The nodes' public keys: YAML, such as “london: …”, as “vne-manager key” prints them.",
        completion: .file(extensions: ["yaml"]))
    var keys: String?

    @Option(help: "Which node this machine is.")
    var node: String?

    @Flag(
        help: """
            Whether applications run in the network's own namespace (vne-manager exec), beside another network's with the \
            same addresses. Default: as it was, else joined.
            """)
    var place: ApplicationPlace?

    @OptionGroup var instance: NodeInstance

    func validate() throws {
        let byHand = [file, keys, node].filter { $0 != nil }.count
        guard (1...86_400).contains(patience) else { throw ValidationError("Managers may take 1 to 86400 seconds.") }
        guard invitation == nil ? byHand == 3 : byHand == 0 else {
            throw ValidationError("Give an invitation (--invitation), or a topology file, --keys and --node.")
        }
    }

    func run() async throws {
        try NetworkOptions.needRoot()
        let kept: KeptNode
        if let invitation {
            kept = try await join(by: invitation)
        } else if let file, let keys, let node {
            kept = try await join(file, keys, as: node)
        } else {
            return
        }
        print("\(kept.node.name) is up in \(kept.topology.network): see vne-manager status")
    }

    private func join(by path: String) async throws -> KeptNode {
        let file = path == "-" ? OpenFile(path: "the standard input", descriptor: 0) : try OpenFile(path: path)
        let bytes = try file.read(atMost: SealedFile.maximumBytes + 1)
        let invitation = try Failure.explaining(file.path) { () throws(KeysError) in try Invitation(parsing: bytes) }
        return try await Joining(invitation, instance: instance.instance, patience: .seconds(patience)).join(
            isApart: place.map { $0 == .apart })
    }

    private func join(_ file: String, _ keys: String, as node: String) async throws -> KeptNode {
        let (topology, keyTexts) = (try TopologyArgument.text(of: file), try TopologyArgument.text(of: keys))
        let network = try TopologyArgument.topology(of: file).network
        return try await NetworkPlace(network: network, instance: instance.instance).changing {
            () throws(ManagerError) in
            let kept = try await KeptNode.keep(
                topology: topology, keys: keyTexts, as: node, isApart: place.map { $0 == .apart },
                instance: instance.instance, sources: (file, keys))
            try await NetworkNode(kept).up()
            return kept
        }
    }
}
