/// Where a network is on this node: its namespace, what it keeps, and what runs.
///
/// Several networks are on a node under their names; several nodes are on one kernel under those of their instances.
public struct NetworkPlace: Hashable, Sendable {
    /// The instance and the network: `vne-acme`. Also the name of the network's namespace, for `ip netns`.
    public let label: String
    /// The node's instance.
    let instance: String

    /// The place of a network.
    public init(network: String, instance: String) {
        self.instance = instance
        label = "\(instance)-\(network)"
    }

    /// Where ip-netns(8) has the names of namespaces.
    static let namespaces = "/run/netns"

    /// The file that names the network's namespace.
    public var namespace: String { "\(Self.namespaces)/\(label)" }

    /// What the node keeps: the topology, the nodes' public keys, its own name and private key.
    public var kept: String { "/var/lib/vne-manager/\(label)" }
    /// What ends with the machine: process numbers, sockets, and what the engines were told last.
    var running: String { "/run/vne-manager/\(label)" }
    /// Sockets of userspace tunnels, where the tunnels' programs find `/run/wireguard`.
    var tunnelSockets: String { "\(running)/wireguard" }
    /// On a host, what `vne-agent` has to know of the network: `vne-agent apply` takes it.
    public var policy: String { "\(kept)/policy.yaml" }
    /// Texts as the engines have them.
    var applied: String { "\(running)/applied" }

    /// The networks that an instance has on this node, by their names.
    public static func networks(of instance: String) -> [String] {
        let prefix = "\(instance)-"
        return NodeFiles.names(in: "/var/lib/vne-manager").filter { $0.hasPrefix(prefix) }.map {
            String($0.dropFirst(prefix.count))
        }.sorted()
    }
}
