import OverlayModel
import PolicyModel

/// A topology as it is shown.
struct TopologyView: Encodable {
    struct NodeView: Encodable {
        var name: String
        var role: String
        var address: String
        var number: UInt32
        /// By the underlay: an address, or `dynamic`.
        var endpoints: [String: String]
    }

    struct TunnelView: Encodable {
        var nodes: [String]
        var kind: String
        var underlay: String
        var use: String
        var mtu: Int
    }

    var network: String
    var addressSpace: [String]
    /// The largest packet that every way takes, in bytes; nil where there is none.
    var mtu: Int?
    var nodes: [NodeView]
    var tunnels: [TunnelView]

    init(_ topology: Topology) {
        network = topology.network
        addressSpace = topology.addressSpace.map(\.description)
        mtu = topology.mtu
        nodes = topology.nodes.map { node in
            NodeView(
                name: node.name, role: node.role.rawValue, address: "\(node.address)", number: node.number,
                endpoints: node.endpoints.mapValues { endpoint in
                    switch endpoint {
                    case .address(let address): "\(address)"
                    case .dynamic: "dynamic"
                    }
                })
        }
        tunnels = topology.tunnels.map {
            TunnelView(
                nodes: [$0.first.name, $0.second.name], kind: $0.kind.rawValue, underlay: $0.underlay.name,
                use: $0.underlay.use.rawValue, mtu: $0.mtu)
        }
    }

    /// For a person.
    var text: String {
        var lines = ["network \(network): \(addressSpace.joined(separator: ", "))"]
        if let mtu { lines[0] += ", packets of at most \(mtu) bytes" }
        for node in nodes {
            let places = node.endpoints.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
            lines.append("\(node.role) \(node.name) \(node.address): \(places.joined(separator: ", "))")
        }
        for tunnel in tunnels {
            lines.append(
                "tunnel \(tunnel.nodes.joined(separator: " - ")) over \(tunnel.underlay): \(tunnel.use), "
                    + "\(tunnel.mtu) bytes")
        }
        return lines.joined(separator: "\n")
    }
}
