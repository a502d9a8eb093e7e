internal import VNEHost

/// Where a network is on this node: its namespace, what it keeps, and what runs.
///
/// Several networks are on a node under their names; several nodes are on one kernel under those of their instances.
public struct NetworkPlace: Hashable, Sendable {
    /// The instance and the network: `vne@acme`. Also the name of the network's namespace, for `ip netns`. Neither of the
    /// two names has the sign between them.
    public let label: String
    /// The node's instance.
    let instance: String
    /// The network's name.
    let network: String

    /// The place of a network.
    public init(network: String, instance: String) {
        (self.instance, self.network) = (instance, network)
        label = "\(instance)@\(network)"
    }

    /// Does something while no other process changes a network of this node. For a moment, devices of all its networks are in
    /// one namespace.
    public nonisolated(nonsending) func changing<Result: Sendable>(
        _ body: nonisolated(nonsending) () async throws(ManagerError) -> Result
    ) async throws(ManagerError) -> Result {
        let directory = "/run/vne-manager"
        try NodeFiles.make(directory)
        let path = "\(directory)/\(instance).lock"
        let lock = try await waiting { () throws(HostError) in try WaitingLock(path) }
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }

    /// Brings the node up as it is kept, unless it was taken down.
    public nonisolated(nonsending) func bringUp() async throws(ManagerError) {
        try await changing { () throws(ManagerError) in
            let node = NetworkNode(try KeptNode(self))
            if !node.kept.isDown { try await node.up() }
        }
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
    /// On a host, the routes that keep its own namespace closed, for `ip -batch`: they are there before anything else, also
    /// after a reboot.
    var closed: String { "\(kept)/closed.batch" }
    /// What was done to the host's own namespace, which outlives what runs.
    var toldHost: String { "\(kept)/host.batch" }
    /// The data of etcd, at a manager that keeps the network's store.
    var store: String { "\(kept)/etcd" }
    /// On a host, what it claimed and has; see ``NetworkNode/claimed``.
    var claimed: String { "\(running)/claimed" }
    /// On a host, what it does not get, and why.
    var refused: String { "\(running)/refused" }
    /// On a host, what it lets nothing through to or from, as it is handed over; see ``NetworkNode/passing``.
    var passing: String { "\(running)/\(passingFile)" }
    var passingFile: String { "passing" }
    /// On a host, what it handed over, to whom, until it knows what became of that; see ``NetworkNode/handing``.
    var handing: String { "\(kept)/handing" }
    /// On a host, the turn of its last request; see ``ClaimTurn``.
    var turn: String { "\(running)/turn" }
    /// Texts as the engines have them.
    var applied: String { "\(running)/applied" }

    /// The networks that an instance has on this node, by their names.
    public static func networks(of instance: String) -> [String] {
        let prefix = "\(instance)@"
        let root = "/var/lib/vne-manager"
        return NodeFiles.names(in: root).filter {
            // A node that has a key only did not join yet.
            $0.hasPrefix(prefix) && NodeFiles.names(in: "\(root)/\($0)").contains(KeptNode.topologyFile)
        }.map { String($0.dropFirst(prefix.count)) }.sorted()
    }
}
