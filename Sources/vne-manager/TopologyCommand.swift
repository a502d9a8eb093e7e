import ArgumentParser
import FoundationEssentials
import OverlayModel
import PolicyModel

/// What can be done with a topology file.
struct TopologyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topology", abstract: "Check, show, compile and publish a topology file.",
        subcommands: [
            CheckTopologyCommand.self, ShowTopologyCommand.self, CompileTopologyCommand.self,
            PublishTopologyCommand.self,
        ])
}

/// The file that all of them read.
struct TopologyArgument: ParsableArguments {
    @Argument(help: "The topology file: YAML, as OVERLAY.md describes it.", completion: .file(extensions: ["yaml"]))
    var file: String

    func topology() throws -> Topology { try Self.topology(of: file) }

    func text() throws -> String { try Self.text(of: file) }

    static func text(of file: String) throws -> String { String(decoding: try bytes(of: file), as: UTF8.self) }

    static func topology(of file: String) throws -> Topology {
        do {
            return try TopologyFile.parse(bytes: try bytes(of: file), source: file)
        } catch let errors as DocumentErrors {
            throw Failure.file(errors)
        }
    }

    static func bytes(of path: String) throws -> [UInt8] {
        guard FileManager.default.fileExists(atPath: path) else { throw Failure.notFound("there is no file \(path)") }
        do {
            return Array(try Data(contentsOf: URL(filePath: path)))
        } catch {
            throw Failure.failed("cannot read \(path): \(error)")
        }
    }
}

struct CheckTopologyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Say everything that is wrong with a topology file.",
        discussion: "Example: vne-manager topology check network.yaml")

    @OptionGroup var topology: TopologyArgument

    func run() throws {
        let topology = try topology.topology()
        print(
            "\(topology.source) is right: \(topology.managers.count) managers, \(topology.hosts.count) hosts, "
                + "\(topology.tunnels.count) tunnels")
    }
}

struct ShowTopologyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the nodes of a topology, the tunnels that follow from it, and who may talk to whom.",
        discussion: "Example: vne-manager topology show network.yaml --json")

    @OptionGroup var topology: TopologyArgument

    @Flag(help: "Print JSON: docs/schemas/topology.json.")
    var json = false

    func run() throws {
        let view = TopologyView(try topology.topology())
        guard json else { return print(view.text) }
        try Console.show(view)
    }
}

struct CompileTopologyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compile", abstract: "Make what the engines of each node read.",
        discussion: """
            Prints the files of one node, or writes those of every node, or of one, below a directory: the tunnels for
            “wg setconf”, routing for BIRD 2, addresses for “ip -batch” and the address space for vne-agent. Examples:
              vne-manager topology compile network.yaml --keys keys.yaml --node london
              vne-manager topology compile network.yaml --keys keys.yaml --output nodes
            """)

    @OptionGroup var topology: TopologyArgument

    @Option(
        help: "The nodes' public keys: YAML, such as “london: …”, as “wg pubkey” prints them.",
        completion: .file(extensions: ["yaml"]))
    var keys: String

    @Option(help: "This node only.")
    var node: String?

    @Option(help: "Write the files to this directory, one of each node below it.", completion: .directory)
    var output: String?

    func validate() throws {
        guard node != nil || output != nil else {
            throw ValidationError("Name a node to print (--node), or a directory for all of them (--output).")
        }
    }

    func run() throws {
        let topology = try topology.topology()
        var nodes = topology.nodes
        if let node {
            guard let found = topology.node(named: node) else {
                var nearest = NearestWord()
                let suggestion = nearest.find(node, in: nodes.map(\.name)).map { "; did you mean “\($0)”?" } ?? ""
                throw Failure.notFound("\(topology.source) has no node “\(node)”\(suggestion)")
            }
            nodes = [found]
        }
        let configurations = try configurations(of: nodes, in: topology)
        guard let output else {
            for file in configurations.flatMap(\.files) { print("# \(file.path)\n\(file.text)") }
            return
        }
        for configuration in configurations { try write(configuration, below: output) }
    }

    private func configurations(of nodes: [Node], in topology: Topology) throws -> [NodeConfiguration] {
        do {
            let keys = try PublicKeysFile.parse(
                bytes: try TopologyArgument.bytes(of: self.keys), source: self.keys, of: topology)
            return try nodes.map { try NodeConfiguration(of: $0, in: topology, keys: keys) }
        } catch let errors as DocumentErrors {
            throw Failure.file(errors)
        } catch let missing as NodeConfiguration.Missing {
            throw Failure(status: 3, description: "\(keys): \(missing)")
        }
    }

    private func write(_ configuration: NodeConfiguration, below output: String) throws {
        let directory = URL(filePath: output).appending(path: configuration.node.name)
        do {
            // A tunnel that is no more must not come up again from a file that stayed.
            let tunnels = directory.appending(path: "wireguard").path
            for name in (try? FileManager.default.contentsOfDirectory(atPath: tunnels)) ?? []
            where name.hasSuffix(".conf") && !configuration.files.contains(where: { $0.path == "wireguard/\(name)" }) {
                try FileManager.default.removeItem(atPath: "\(tunnels)/\(name)")
            }
            for file in configuration.files {
                let place = directory.appending(path: file.path)
                try FileManager.default.createDirectory(
                    at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(file.text.utf8).write(to: place, options: .atomic)
            }
        } catch {
            throw Failure.failed("cannot write below \(directory.path): \(error)")
        }
        print("\(directory.path): \(configuration.files.count) files")
    }
}
