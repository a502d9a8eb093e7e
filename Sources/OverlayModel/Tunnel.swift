import PolicyModel

/// A tunnel between two nodes over one underlay. A pair may have several.
public struct Tunnel: Hashable, Sendable {
    /// Who has tunnels to whom.
    public enum Kind: String, Hashable, Sendable {
        /// Between two managers: every pair of them.
        case mesh
        /// Between a host and a manager that it joins through.
        case spoke
        /// Between two hosts.
        case direct
    }

    /// Which of the three.
    public var kind: Kind
    /// What it goes over.
    public var underlay: Underlay
    /// The place of the underlay in the topology, from 0.
    public var underlayIndex: Int
    /// The end with the lower number; of a spoke, the manager.
    public var first: Node
    /// The other end.
    public var second: Node

    /// The largest packet that it takes: the underlay's, less what WireGuard puts around one (a header of IP and of UDP,
    /// and 32 bytes of its own).
    public var mtu: Int { underlay.mtu - (isOverIPv6 ? 40 : 20) - 8 - 32 }

    /// Whether applications' packets go through it, and routing finds out that they can.
    public var carriesData: Bool { underlay.use != .management }

    /// Whether the address of either end is one of IPv6.
    private var isOverIPv6: Bool {
        [first, second].contains { node in
            if case .address(let address) = node.endpoints[underlay.name] { address.family == .ipv6 } else { false }
        }
    }

    /// The end that is not this node.
    public func peer(of node: Node) -> Node { node.name == first.name ? second : first }
}

extension Topology {
    /// Every tunnel, by the numbers of its ends and then by its underlay.
    public var tunnels: [Tunnel] {
        let byName = Dictionary(nodes.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var pairs: [(kind: Tunnel.Kind, first: Node, second: Node)] = []
        for (index, manager) in managers.enumerated() {
            pairs += managers.dropFirst(index + 1).map { (.mesh, manager, $0) }
        }
        for host in hosts {
            pairs += host.managers.compactMap { byName[$0] }.map { (.spoke, $0, host) }
            pairs += host.direct.compactMap { byName[$0] }.filter { $0.number > host.number }.map {
                (.direct, host, $0)
            }
        }
        return pairs.flatMap { kind, first, second in
            underlays.enumerated().compactMap { index, underlay in
                guard first.reaches(second, over: underlay.name) else { return nil }
                return Tunnel(kind: kind, underlay: underlay, underlayIndex: index, first: first, second: second)
            }
        }
    }

    /// The tunnels of a node.
    public func tunnels(of node: Node) -> [Tunnel] {
        tunnels.filter { $0.first.name == node.name || $0.second.name == node.name }
    }

    /// The largest packet that every way through the network takes.
    public var mtu: Int? { tunnels.filter(\.carriesData).map(\.mtu).min() }

    /// The address of a node's end of its tunnels over an underlay.
    func linkAddress(of node: Node, over underlayIndex: Int) -> IPAddress {
        let block = UInt128(underlayIndex) << UInt128(32 - nodeSubnet.length)
        return IPAddress(rawValue: linkSubnet.network.rawValue + block + UInt128(node.number))
    }

    /// The name of the device that a tunnel has at a node: `hosts-0` for a manager's tunnels to hosts over the first
    /// underlay, which share one, and `node3-0` for the tunnel to the node with number 3. At most 15 bytes.
    func device(of tunnel: Tunnel, at node: Node) -> String {
        let isHub = tunnel.kind == .spoke && node.role == .manager
        return isHub ? "hosts-\(tunnel.underlayIndex)" : "node\(tunnel.peer(of: node).number)-\(tunnel.underlayIndex)"
    }

    /// The UDP port at which a node hears a tunnel.
    func port(of tunnel: Tunnel, at node: Node) -> UInt16 {
        let isHub = tunnel.kind == .spoke && node.role == .manager
        let offset = isHub ? 0 : tunnel.peer(of: node).number
        return tunnel.underlay.port + UInt16(truncatingIfNeeded: offset)
    }
}
