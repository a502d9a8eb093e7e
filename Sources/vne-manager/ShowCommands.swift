import ArgumentParser
import OverlayModel
import PolicyModel
import VNEManager

struct NetworksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "networks", abstract: "List the networks that this machine is a node of.",
        discussion: "Example: vne-manager networks")

    @Flag(help: "Print JSON: docs/schemas/networks.json.")
    var json = false

    @OptionGroup var instance: NodeInstance

    func run() async throws {
        try NetworkOptions.needRoot()
        let found = NetworkPlace.networks(of: instance.instance).map {
            NetworkView(NetworkPlace(network: $0, instance: instance.instance), named: $0)
        }
        if json { return try Console.show(found) }
        let rows = found.map { network in
            [network.network, network.node ?? "-", network.role ?? "-", network.address ?? "-", network.state]
        }
        print(Table(["NETWORK", "NODE", "ROLE", "ADDRESS", "STATE"], rows: rows))
        for network in found { if let problem = network.problem { Console.error("vne-manager: \(problem)") } }
    }
}

/// A network that a machine is a node of.
private struct NetworkView: Encodable {
    var network: String
    var node: String?
    var role: String?
    var address: String?
    /// `up`, `down` (until somebody brings it up), `missing` (to be up, and is not), or `unknown`.
    var state: String
    /// Why there is no more to say.
    var problem: String?

    init(_ place: NetworkPlace, named name: String) {
        network = name
        do throws(ManagerError) {
            let node = NetworkNode(try KeptNode(place))
            self.node = node.kept.node.name
            role = node.kept.node.role.rawValue
            address = "\(node.kept.node.address)"
            state = node.kept.isDown ? "down" : node.isUp ? "up" : "missing"
        } catch {
            (state, problem) = ("unknown", error.description)
        }
    }
}

struct LinksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "links",
        abstract: "Show the links to other nodes: whether they forward, how fast, what they carried.",
        discussion: """
            A link is good, narrow (loses large packets), silent, or unknown (never heard). BGP is what BIRD says of the \
            neighbour. Example: vne-manager links
            """)

    @Flag(help: "Print JSON: docs/schemas/links.json.")
    var json = false

    @OptionGroup var network: NetworkOptions

    func run() async throws {
        let tunnels = try await network.node.status().tunnels
        if json { return try Console.show(tunnels) }
        let rows = tunnels.map { tunnel in
            [
                tunnel.node, tunnel.underlay, tunnel.endpoint ?? "never heard", tunnel.link ?? "-",
                tunnel.routing ?? "-", tunnel.roundTrip.map { "\(($0 * 10).rounded() / 10)" } ?? "-",
                "\(tunnel.received)", "\(tunnel.sent)",
            ]
        }
        print(
            Table(
                ["NODE", "UNDERLAY", "AT", "LINK", "BGP", "MS", "BYTES IN", "BYTES OUT"], rows: rows,
                rightAligned: [5, 6, 7]))
    }
}

struct RoutesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "routes", abstract: "Show what of the network there is a way to, and through which nodes.",
        discussion: """
            With an address: the way that its packets take. Ends with 1 if there is none. Examples:
              vne-manager routes
              vne-manager routes 10.10.2.200
            """)

    @Argument(help: "An address.")
    var address: String?

    @Flag(help: "Print JSON: docs/schemas/routes.json.")
    var json = false

    @OptionGroup var network: NetworkOptions

    func validate() throws {
        if let address { guard IPAddress(address) != nil else { throw ValidationError("“\(address)” is no address.") } }
    }

    func run() async throws {
        let status = try await network.node.status()
        var routes = status.routes
        if let address = address.flatMap({ IPAddress($0) }) {
            if status.address == "\(address)" || status.applications.contains("\(address)") {
                // What is here needs no way.
                routes = [.init(destination: "\(address)", through: [])]
            } else {
                let leading = routes.filter { IPPrefix($0.destination)?.contains(address) ?? false }
                routes =
                    leading.max { (IPPrefix($0.destination)?.length ?? 0) < (IPPrefix($1.destination)?.length ?? 0) }
                    .map { [$0] } ?? []
            }
        }
        if json {
            try Console.show(routes)
        } else if address == nil || !routes.isEmpty {
            let rows = routes.map {
                [$0.destination, $0.through.isEmpty ? "this node" : $0.through.joined(separator: ", ")]
            }
            print(Table(["TO", "THROUGH"], rows: rows))
        }
        guard let address, routes.isEmpty else { return }
        throw Failure.failed("\(status.node) has no way to \(address)")
    }
}
