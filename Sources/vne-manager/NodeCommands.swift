import ArgumentParser
import FoundationEssentials
import Glibc
import OverlayModel
import VNEManager

struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "Print this node's public key in a network; its private key is made if there is none.",
        discussion: """
            The private key stays on this node, readable by root alone. The public one goes into the file of public keys \
            that every node is given. Example:
              vne-manager key acme
            """)

    @Argument(help: "The network.")
    var network: String

    @OptionGroup var instance: NodeInstance

    func run() async throws {
        try NetworkOptions.needRoot()
        let key = NodeKey(NetworkPlace(network: network, instance: instance.instance))
        try await key.make()
        print(try await key.publicKey())
    }

    func validate() throws { try NetworkOptions.check(network) }
}

struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Bring this node up, or mend what is missing.",
        discussion: "What is right already is not touched. Example: vne-manager up")

    @OptionGroup var network: NetworkOptions

    func run() async throws {
        try await network.change { node throws(ManagerError) in try await node.bringUp() }
    }
}

struct DownCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down", abstract: "Take this node down: tunnels, routing and the network's namespace.",
        discussion: """
            What the node keeps stays for the next “up”; “run” leaves it down until then. Applications reach nothing else \
            of the address space meanwhile, and nothing of theirs leaves by another way. Example: vne-manager down
            """)

    @OptionGroup var network: NetworkOptions

    func run() async throws {
        try await network.end { node throws(ManagerError) in try await node.down() }
    }
}

struct LeaveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leave", abstract: "Take this node down and forget the network, the private key included.",
        discussion: """
            Refused while no manager has said what became of an address that this host handed over. Examples:
              vne-manager leave --network acme
              vne-manager leave --force
            """)

    @Flag(help: "Leave also in the middle of a handover.")
    var force = false

    @OptionGroup var network: NetworkOptions

    func run() async throws {
        try await network.end { [force] node throws(ManagerError) in try await node.leave(force: force) }
    }
}

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Keep this node up until SIGTERM: what systemd runs.",
        discussion: """
            Brings the node up, starts again what ends, and tells the network which applications are here. SIGHUP: look \
            at once. Tunnels and routing go on without it. Example: vne-manager run --network acme
            """)

    @OptionGroup var network: NetworkOptions

    func run() async throws {
        try await NodeKeeper(try network.place) { Console.error("vne-manager: \($0)") }.run()
    }
}

struct DrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Ask the other nodes to take ways that do not lead through this one.",
        discussion: """
            Before an upgrade or a reboot: connections go over to the other managers while this one still forwards. \
            Examples:
              vne-manager drain
              vne-manager drain --undo
            """)

    @Flag(help: "Be a way again.")
    var undo = false

    @OptionGroup var network: NetworkOptions

    func run() async throws {
        try await network.change { node throws(ManagerError) in
            try node.kept.drain(!undo)
            try await node.bringUp()
        }
    }
}

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show how this node runs: tunnels, neighbours, ways, applications.",
        discussion: "Example: vne-manager status --json")

    @Flag(help: "Print JSON: docs/schemas/node.json.")
    var json = false

    @Flag(help: "End with 1 unless every neighbour is heard.")
    var check = false

    @OptionGroup var network: NetworkOptions

    func run() async throws {
        let status = try await network.node.status()
        if json {
            try Console.show(status)
        } else {
            print(status.text)
        }
        if check, !status.isWhole { throw ExitCode(1) }
    }
}

struct ExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run a program in the network's namespace: ping, tcpdump, ip route, …",
        discussion: """
            Only the network is another one: files, mounts and cgroups are the machine's. Applications of a network that was \
            joined with --apart are run so. Examples:
              vne-manager exec -- ip route
              vne-manager exec --network beta -- vne-agent exec --instance beta --vne shop -- nginx
            """)

    @OptionGroup var network: NetworkOptions

    @Argument(parsing: .postTerminator, help: "The program and its arguments, after --.")
    var command: [String]

    func run() throws {
        let words = ["nsenter", "--net=\(try network.place.namespace)"] + command
        var arguments: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
        unsafe execvp("nsenter", &arguments)
        throw Failure.failed("cannot run nsenter: \(unsafe String(cString: strerror(errno)))")
    }
}
