import PolicyModel

/// The store that managers keep claims in: etcd, at their addresses in the network. Its packets are inside of tunnels
/// between managers, and the filter takes none of anybody else.
extension NodeCompiler {
    private static let storePeerPort = 2380

    /// What etcd is told, a setting a line, as env(1) takes them; only at a manager that keeps the store.
    var storeFile: NodeConfiguration.File? {
        guard topology.store.contains(node.name) else { return nil }
        let peer = Topology.storeURL(of: node, Self.storePeerPort)
        let client = Topology.storeURL(of: node, Topology.storePort)
        let keepers = topology.storeKeepers.map { "\($0.name)=\(Topology.storeURL(of: $0, Self.storePeerPort))" }
        let settings = [
            "NAME=\(node.name)", "LISTEN_PEER_URLS=\(peer)", "INITIAL_ADVERTISE_PEER_URLS=\(peer)",
            "LISTEN_CLIENT_URLS=\(client)", "ADVERTISE_CLIENT_URLS=\(client)",
            "INITIAL_CLUSTER=\(keepers.joined(separator: ","))",
            "INITIAL_CLUSTER_TOKEN=\(topology.network)", "INITIAL_CLUSTER_STATE=new",
            // A leader that is gone is noticed before a person would.
            "HEARTBEAT_INTERVAL=100", "ELECTION_TIMEOUT=1000",
            // A request is one commit, with a condition for each address that its host has.
            "MAX_TXN_OPS=16384", "AUTO_COMPACTION_MODE=periodic", "AUTO_COMPACTION_RETENTION=5m",
            // What is older than a snapshot is no more on the disk, and is not read at a start: by default etcd makes one after
            // 100,000 requests, and a request of a busy host is a megabyte.
            "SNAPSHOT_COUNT=100", "MAX_WALS=2",
            "STRICT_RECONFIG_CHECK=true", "LOGGER=zap", "LOG_LEVEL=error", "LOG_OUTPUTS=stderr",
        ]
        return NodeConfiguration.File(
            path: "etcd.env", text: settings.map { "ETCD_\($0)" }.joined(separator: "\n") + "\n")
    }

    /// What a node hears of the store, as rules of nftables: managers each other's etcd, and managers what hosts claim.
    var storeRules: [String] {
        guard !topology.store.isEmpty else { return [] }
        guard node.role == .manager else { return ["\(asked) sport \(ClaimRequest.port) \(answers) accept"] }
        let managers = "{ \(topology.managers.map { "\($0.address)" }.joined(separator: ", ")) }"
        let ports = "{ \(Topology.storePort), \(Self.storePeerPort) }"
        let mesh = "iifname \"node*\" ip saddr \(managers) ip daddr \(node.address) tcp"
        return [
            "\(asked) dport \(ClaimRequest.port) accept", "\(mesh) dport \(ports) accept",
            "\(mesh) sport \(ports) \(answers) accept",
        ]
    }
}

extension Topology {
    /// Where etcd hears its clients: a TCP port.
    fileprivate static let storePort = 2379

    /// Who keeps the store, in the order of the file.
    fileprivate var storeKeepers: [Node] { store.compactMap { node(named: $0) } }

    /// Where a manager finds the store: URLs of etcd, its own first.
    public func storeEndpoints(for manager: Node) -> [String] {
        let (own, others) = (
            storeKeepers.filter { $0.name == manager.name }, storeKeepers.filter { $0.name != manager.name }
        )
        return (own + others).map { Self.storeURL(of: $0, Self.storePort) }
    }

    fileprivate static func storeURL(of node: Node, _ port: Int) -> String { "http://\(node.address):\(port)" }
}
