public import PolicyModel

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
    /// and 32 bytes of its own), and less what it may put behind one.
    public var mtu: Int { Self.padded(underlay.mtu - (isOverIPv6 ? 40 : 20) - 8 - 32) }

    /// The size that wireguard-go believes a device to have until it learns better, and always where the device was moved to
    /// another namespace before it came to that.
    private static let believed = 1420

    /// The largest packet that is no larger than that with WireGuard's padding to 16 bytes (“The WireGuard protocol”, section
    /// 5.4.6): it ends at the size of the device, and wireguard-go counts anew from the one that it believes in.
    private static func padded(_ size: Int) -> Int { size / believed * believed + size % believed / 16 * 16 }

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
        let named = nodesByName
        // Each is found at both ends, and taken at its first.
        return nodes.sorted { $0.number < $1.number }.flatMap { node in
            tunnels(of: node, named).filter { $0.first.number == node.number }
        }
    }

    /// The tunnels of a node.
    public func tunnels(of node: Node) -> [Tunnel] { tunnels(of: node, nodesByName) }

    /// Nodes by their names.
    var nodesByName: [String: Node] {
        Dictionary(nodes.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The tunnels of a node, by the numbers of the other ends.
    func tunnels(of node: Node, _ named: [String: Node]) -> [Tunnel] {
        let peers: [(kind: Tunnel.Kind, peer: Node)] =
            switch node.role {
            case .manager:
                managers.filter { $0.number != node.number }.map { (.mesh, $0) }
                    + hosts.filter { $0.managers.contains(node.name) }.map { (.spoke, $0) }
            case .host:
                node.managers.compactMap { named[$0] }.map { (.spoke, $0) }
                    + node.direct.compactMap { named[$0] }.map { (.direct, $0) }
            }
        return peers.sorted { $0.peer.number < $1.peer.number }.flatMap { kind, peer -> [Tunnel] in
            // Of a spoke the manager comes first, whatever the numbers are.
            let isFirst = kind == .spoke ? node.role == .manager : node.number < peer.number
            return underlays.enumerated().compactMap { index, underlay in
                guard node.reaches(peer, over: underlay.name) else { return nil }
                return Tunnel(
                    kind: kind, underlay: underlay, underlayIndex: index, first: isFirst ? node : peer,
                    second: isFirst ? peer : node)
            }
        }
    }

    /// The largest packet that every way through the network takes.
    public var mtu: Int? { tunnels.filter(\.carriesData).map(\.mtu).min() }

    /// The address of a node's end of its tunnels over an underlay.
    public func linkAddress(of node: Node, over underlayIndex: Int) -> IPAddress {
        let block = UInt128(underlayIndex) << UInt128(32 - nodeSubnet.length)
        return IPAddress(rawValue: linkSubnet.network.rawValue + block + UInt128(node.number))
    }

    /// The name of the device that a tunnel has at a node: `hosts-0` for a manager's tunnels to hosts over the first
    /// underlay, which share one, and `node3-0` for the tunnel to the node with number 3. At most 15 bytes.
    public func device(of tunnel: Tunnel, at node: Node) -> String {
        let isHub = tunnel.kind == .spoke && node.role == .manager
        return isHub ? "hosts-\(tunnel.underlayIndex)" : "node\(tunnel.peer(of: node).number)-\(tunnel.underlayIndex)"
    }

    /// The name of the protocol that BIRD has for a tunnel at a node: the device's and the other end's number.
    public func neighbour(over tunnel: Tunnel, at node: Node) -> String {
        "\(device(of: tunnel, at: node).replacing("-", with: "_"))_\(tunnel.peer(of: node).number)"
    }

    /// The node that has an address as its end of a tunnel, over whichever underlay.
    public func node(atLinkAddress address: IPAddress) -> Node? {
        guard linkSubnet.contains(address) else { return nil }
        let number = (address.rawValue - linkSubnet.network.rawValue) & ((1 << UInt128(32 - nodeSubnet.length)) - 1)
        return nodes.first { $0.number == UInt32(truncatingIfNeeded: number) }
    }

    /// The UDP port at which a node hears a tunnel.
    public func port(of tunnel: Tunnel, at node: Node) -> UInt16 {
        let isHub = tunnel.kind == .spoke && node.role == .manager
        let offset = isHub ? 0 : tunnel.peer(of: node).number
        return tunnel.underlay.port + UInt16(truncatingIfNeeded: offset)
    }
}
