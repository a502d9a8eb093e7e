import ArgumentParser
import Glibc
import PolicyModel
import VNEManager

/// Which node of the machine is meant.
struct NodeInstance: ParsableArguments {
    @Option(help: "The instance: several nodes of a network on one kernel have one each.")
    var instance = "vne"

    func validate() throws {
        let isName = instance.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 45
                || byte == 95
        }
        guard isName, !instance.isEmpty, !instance.hasPrefix("-") else {
            throw ValidationError("“\(instance)” is no name for an instance: letters, digits, “-” and “_”.")
        }
    }
}

/// Which network of the node is meant.
struct NetworkOptions: ParsableArguments {
    @OptionGroup var instance: NodeInstance

    @Option(help: "The network; may be left out where the node is in one only.")
    var network: String?

    /// Where it is on this node.
    var place: NetworkPlace {
        get throws {
            try Self.needRoot()
            if let network { return NetworkPlace(network: network, instance: instance.instance) }
            let networks = NetworkPlace.networks(of: instance.instance)
            guard let only = networks.first else {
                throw Failure.notFound("this node is in no network: see vne-manager join --help")
            }
            guard networks.count == 1 else {
                throw Failure.notFound(
                    "this node is in several networks; say which: --network \(networks.joined(separator: " or "))")
            }
            return NetworkPlace(network: only, instance: instance.instance)
        }
    }

    func validate() throws {
        if let network { try Self.check(network) }
    }

    static func check(_ network: String) throws {
        guard network.isName else { throw ValidationError("“\(network)” is no name of a network: \(String.nameRule).") }
    }

    /// What nodes keep is root's, and so are namespaces: to others it would look as if there were nothing.
    static func needRoot() throws {
        guard geteuid() == 0 else { throw Failure.failed("a node of a network is root's: run this with sudo") }
    }

    /// Changes the node, as it is kept once nobody else changes it.
    func change(_ body: (NetworkNode) async throws(ManagerError) -> Void) async throws {
        let place = try place
        try await place.changing { () throws(ManagerError) in try await body(NetworkNode(try KeptNode(place))) }
    }

    /// Ends what runs, once nobody else changes it.
    func end(_ body: (RunningNode) async throws(ManagerError) -> Void) async throws {
        let place = try place
        try await place.changing { () throws(ManagerError) in try await body(RunningNode(place)) }
    }

    /// The node, from what is kept of it.
    var node: NetworkNode { get throws { NetworkNode(try KeptNode(try place)) } }
}
