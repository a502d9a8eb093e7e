import PolicyModel

/// What the engines of one node are told. Pure: the same topology and keys are the same bytes.
///
/// Everything is inside the network's own namespace, but for the tunnels' UDP sockets, which stay where the device was
/// made.
public struct NodeConfiguration: Hashable, Sendable {
    /// A file that an engine reads.
    public struct File: Hashable, Sendable {
        /// Below the node's directory, as `wireguard/node2-0.conf`.
        public var path: String
        /// Its text, which ends with a line feed.
        public var text: String
    }

    /// Why there is none.
    public struct Missing: Error, Hashable, Sendable, CustomStringConvertible {
        /// A sentence without a full stop.
        public var description: String
    }

    /// What becomes of tunnels to nodes that have no key.
    public enum Absence: Hashable, Sendable {
        /// There is no configuration without them.
        case refused
        /// There are no such tunnels.
        case leftOut
    }

    /// A tunnel device, as it has to be before it is told what ``File`` says of it.
    public struct Device: Hashable, Sendable {
        /// At most 15 bytes.
        public var name: String
        /// Its file's text: `wireguard/NAME.conf`.
        public var configuration: String
        /// Bytes.
        public var mtu: Int
    }

    /// The node.
    public var node: Node
    /// In the order of their paths.
    public var files: [File]
    /// In the order of their names.
    public var devices: [Device]

    /// The text of a file; empty if this node has none of that path.
    public func text(_ path: String) -> String { files.first { $0.path == path }?.text ?? "" }

    /// The configuration of a node.
    /// - Parameters:
    ///   - keys: the public key of each node that it has a tunnel to, by its name.
    ///   - isDraining: whether the others are asked to take other ways than those through this node.
    ///   - isApart: whether applications run in the network's namespace, beside those of another network with the same
    ///     addresses, and not in the host's own.
    ///   - claims: who has which of the addresses that hosts may claim; of a manager.
    ///   - absence: what becomes of tunnels to nodes without a key.
    ///   - invited: nodes that are to come, whose key travels in their invitation: they get the nodes' own talk, and nothing
    ///     else.
    public init(
        of node: Node, in topology: Topology, keys: [String: WireGuardKey], isDraining: Bool = false,
        isApart: Bool = false, claims: Claims = Claims(), absence: Absence = .refused, invited: Set<String> = []
    ) throws(Missing) {
        let wanted = topology.tunnels(of: node)
        let tunnels = wanted.filter { keys[$0.peer(of: node).name] != nil }
        let missing = Set(wanted.map { $0.peer(of: node).name }).filter { keys[$0] == nil }.sorted()
        guard missing.isEmpty || absence == .leftOut else {
            throw Missing(description: "there is no public key of \(missing.map(\.quoted).joined(separator: ", "))")
        }
        guard !isApart || node.role == .host else {
            throw Missing(description: "\(node.name.quoted) is a manager, and has no applications to keep apart")
        }
        self.node = node
        let compiler = NodeCompiler(
            topology: topology, node: node, tunnels: tunnels, keys: keys, isDraining: isDraining,
            isApart: isApart, claims: claims, invited: invited)
        devices = compiler.devices.map {
            Device(name: $0.name, configuration: compiler.text(of: $0), mtu: $0.mtu)
        }
        files =
            (compiler.tunnelFiles + compiler.joinFiles + [
                compiler.routingFile, compiler.addressFile, compiler.settingsFile, compiler.filterFile,
                compiler.probeFile,
            ] + [compiler.storeFile].compactMap { $0 }).sorted { $0.path < $1.path }
    }
}

/// What the files of a node are made of.
struct NodeCompiler {
    let topology: Topology
    let node: Node
    let tunnels: [Tunnel]
    let keys: [String: WireGuardKey]
    let isDraining: Bool
    let isApart: Bool
    let claims: Claims
    let invited: Set<String>

    /// Whether applications' packets go through a tunnel, and routing and probes with them.
    func carriesData(_ tunnel: Tunnel) -> Bool {
        tunnel.carriesData && !invited.contains(tunnel.peer(of: node).name)
    }

    /// A device and the tunnels that share it.
    struct Device {
        var name: String
        var port: UInt16
        var underlayIndex: Int
        var tunnels: [Tunnel]
        var mtu: Int
    }

    /// By their names.
    var devices: [Device] {
        Dictionary(grouping: tunnels) { topology.device(of: $0, at: node) }
            .compactMap { name, tunnels in
                guard let first = tunnels.first else { return nil }
                return Device(
                    name: name, port: topology.port(of: first, at: node), underlayIndex: first.underlayIndex,
                    tunnels: tunnels, mtu: tunnels.map(\.mtu).min() ?? first.mtu)
            }
            .sorted { $0.name < $1.name }
    }

    /// What a node may be the source of, and announce, whatever anybody claims: its own address, and those that only its
    /// applications may have.
    func own(_ node: Node) -> [IPPrefix] { [IPPrefix(node.address)] + node.applications }
}
