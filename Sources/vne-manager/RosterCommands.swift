import ArgumentParser
import FoundationEssentials
import OverlayKeys
import OverlayModel
import VNEManager

struct RosterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roster", abstract: "Show who is in the network, as its authority said last and this node knows.",
        discussion: "Example: vne-manager roster --json")

    @Flag(help: "Print JSON: docs/schemas/roster.json.")
    var json = false

    @OptionGroup var network: NetworkOptions

    func run() async throws {
        let kept = try network.node.kept
        guard let view = kept.rosterView else {
            throw Failure.failed(
                "the network \(kept.topology.network) has no rosters: its topology and keys were given to each node by hand"
            )
        }
        guard json else { return print(view.text) }
        try Console.show(view)
    }
}

extension RosterView {
    /// For a person.
    var text: String {
        var lines = ["\(network): roster \(version), issued by \(issuer)", "authority \(authority)"]
        for node in nodes {
            let until = node.expires.map { " until \($0)" } ?? ""
            lines.append("\(node.role) \(node.node), \(node.address): \(node.state.rawValue)\(until)")
        }
        return lines.joined(separator: "\n")
    }
}

struct RevokeNodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Put a node out of the network, at once.",
        discussion: """
            At the manager that issues rosters. Its key never comes back: “vne-manager invite” lets the node come anew, with \
            another one. Example: vne-manager revoke web
            """)

    @Argument(help: "The node.")
    var node: String

    @OptionGroup var network: NetworkOptions

    func run() async throws {
        let place = try network.place
        let (roster, credentials) = try await Issuer(place).revoke(node)
        try await place.bringUp()
        for credential in credentials { print("credential \(credential.serial) of \(credential.node) is revoked") }
        print("roster \(roster.version)")
    }
}

struct TakeOverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "take-over", abstract: "Have this manager issue rosters, in place of one that is gone for good.",
        discussion: """
            It opens its copy of the keyset with the keyset's passphrase. What the other one issues from now on counts no more. \
            Example: vne-manager take-over
            """)

    @OptionGroup var passphrase: PassphraseArgument

    @OptionGroup var network: NetworkOptions

    func run() async throws {
        let place = try network.place
        let known = try passphrase.source(of: "the network’s keyset").known()
        let roster = try await Issuer(place).takeOver(known)
        try await place.bringUp()
        print("\(roster.issuer) issues rosters: \(roster.version)")
    }
}

struct PublishTopologyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "Give the network a newer topology.",
        discussion: """
            At the manager that issues rosters; every node goes over to it within seconds. What stays the same is not touched. \
            Example: vne-manager topology publish network.yaml
            """)

    @OptionGroup var topology: TopologyArgument

    @OptionGroup var instance: NodeInstance

    func run() async throws {
        try NetworkOptions.needRoot()
        let network = try topology.topology().network
        let text = try topology.text()
        let place = NetworkPlace(network: network, instance: instance.instance)
        let roster = try await Issuer(place).publish(text, source: topology.file)
        try await place.bringUp()
        print("\(topology.file) is the topology of \(network): roster \(roster.version)")
    }
}
