import PolicyModel

extension Topology {
    /// The part of the topology by which one node reaches some managers and nobody else, as the text of a topology file: with
    /// the numbers, ports and devices of the whole one.
    ///
    /// - Parameter managers: names of managers that the node has tunnels to.
    public func excerpt(for node: Node, reaching managers: [String]) -> String {
        let managers = self.managers.filter { managers.contains($0.name) && $0.name != node.name }
        let hubs = managers + (node.role == .manager ? [node] : [])
        var lines = [
            "network: \(network.quotedForYAML)",
            "addressSpace: [\(addressSpace.map(text).joined(separator: ", "))]",
            "subnets: {nodes: \(text(nodeSubnet)), links: \(text(linkSubnet))}", "underlays:",
        ]
        lines += underlays.map {
            "  \($0.name.quotedForYAML): {use: \($0.use.rawValue), mtu: \($0.mtu), port: \($0.port)}"
        }
        lines.append("managers:")
        lines += hubs.sorted { $0.number < $1.number }.map(line)
        if node.role == .host { lines += ["hosts:", line(node)] }
        return lines.joined(separator: "\n") + "\n"
    }

    private func line(_ node: Node) -> String {
        let endpoints = underlays.compactMap { underlay in
            node.endpoints[underlay.name].map { endpoint in
                switch endpoint {
                case .address(let address): "\(underlay.name.quotedForYAML): \("\(address)".quotedForYAML)"
                case .dynamic: "\(underlay.name.quotedForYAML): dynamic"
                }
            }
        }
        return
            "  \(node.name.quotedForYAML): {address: \(node.address), endpoints: {\(endpoints.joined(separator: ", "))}}"
    }

    private func text(_ prefix: IPPrefix) -> String { "\(prefix.network)/\(prefix.length)" }
}
