import OverlayModel
import PolicyModel

/// Bytes as a topology file. What is accepted is compiled for every node.
struct TopologyInput {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    func check() throws {
        let topology: Topology
        do {
            topology = try TopologyFile.parse(bytes: bytes, source: "fuzz.yaml")
        } catch {
            try require(!error.errors.isEmpty, "a file was refused without an error")
            for error in error.errors {
                try require(!error.description.contains { $0.isNewline }, "an error of more than one line: \(error)")
            }
            return
        }
        try require(!topology.managers.isEmpty, "a network without a manager")
        try require(Set(topology.nodes.map(\.number)).count == topology.nodes.count, "two nodes of one number")
        var keys: [String: WireGuardKey] = [:]
        for node in topology.nodes { keys[node.name] = key(of: node) }
        for node in topology.nodes.prefix(8) {
            try check(NodeConfiguration(of: node, in: topology, keys: keys), in: topology)
        }
    }

    private func check(_ configuration: NodeConfiguration, in topology: Topology) throws {
        let tunnels = topology.tunnels(of: configuration.node)
        var ports: Set<String> = []
        var peers = 0
        for file in configuration.files where file.path.hasPrefix("wireguard/") {
            let lines = file.text.split(separator: "\n")
            for line in lines where line.hasPrefix("ListenPort") {
                try require(
                    ports.insert(String(line)).inserted, "two devices at \(line)")
            }
            peers += lines.count { $0 == "[Peer]" }
            // Each line is a comment, a section, or a key of one: nothing that a name in the topology could begin.
            for line in lines {
                let isKnown = [
                    "# ", "[Interface]", "[Peer]", "ListenPort = ", "PublicKey = ", "AllowedIPs = ", "Endpoint = ",
                    "PersistentKeepalive = ",
                ].contains { line.hasPrefix($0) }
                try require(isKnown, "\(file.path) says \(line)")
            }
        }
        try require(peers, equals: tunnels.count, "tunnels of \(configuration.node.name)")
        guard !topology.environments.isEmpty,
            let policy = configuration.files.first(where: { $0.path == "policy.yaml" })
        else { return }
        do {
            _ = try PolicyFile.parse(policy.text, source: "policy.yaml")
        } catch {
            throw FuzzFailure(description: "the isolator refuses its policy: \(error)")
        }
    }

    /// A key of its own for each node.
    private func key(of node: Node) -> WireGuardKey? {
        let digits = String(node.number)
        return WireGuardKey(String(repeating: "A", count: 42 - digits.count) + digits + "A=")
    }
}
