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

    struct EnvironmentView: Encodable {
        struct PermitView: Encodable {
            /// `ENVIRONMENT` or `ENVIRONMENT/APPLICATION`.
            var to: String
            /// As a policy writes them; empty for everything.
            var ports: [String]
        }

        var name: String
        var addresses: [String]
        var permits: [PermitView]
    }

    struct ApplicationView: Encodable {
        var name: String
        var environment: String
        var addresses: [String]
        var hostname: String?
        /// The hosts that may have its addresses.
        var hosts: [String]
    }

    var network: String
    var addressSpace: [String]
    /// The largest packet that every way takes, in bytes; nil where there is none.
    var mtu: Int?
    var nodes: [NodeView]
    var tunnels: [TunnelView]
    var environments: [EnvironmentView]
    var applications: [ApplicationView]

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
        environments = topology.environments.map { environment in
            EnvironmentView(
                name: environment.name, addresses: environment.addresses.map(\.description),
                permits: environment.permits.map { permit in
                    let isWhole = permit.ports.contains { $0.transport == nil }
                    return EnvironmentView.PermitView(
                        to: permit.target, ports: isWhole ? [] : permit.ports.map(\.description))
                })
        }
        applications = topology.applications.map { application in
            let addresses = application.addresses?.all ?? []
            return ApplicationView(
                name: application.name, environment: application.environment, addresses: addresses.map(\.description),
                hostname: application.hostname,
                hosts: topology.hosts.filter { addresses.allSatisfy($0.mayHave) }.map(\.name))
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
        for environment in environments {
            lines.append("environment \(environment.name): \(environment.addresses.joined(separator: ", "))")
            for permit in environment.permits {
                let ports = permit.ports.isEmpty ? "everything" : permit.ports.joined(separator: ", ")
                lines.append("  may call \(permit.to): \(ports)")
            }
        }
        for application in applications {
            let name = application.hostname.map { ", \($0)" } ?? ""
            lines.append(
                "application \(application.name) of \(application.environment): "
                    + "\(application.addresses.joined(separator: ", "))\(name), on \(application.hosts.joined(separator: " or "))"
            )
        }
        return lines.joined(separator: "\n")
    }
}
