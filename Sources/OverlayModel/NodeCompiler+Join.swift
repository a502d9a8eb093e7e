public import PolicyModel

/// The join of a host with its network, and what the isolator is told.
///
/// A machine's one network that serves its own namespace has a veth pair between that and the network's. Both ends are `vne-network`. The host's namespace sends the whole address space there; the network's sends the address
/// of each application that is ready back, and a filter believes no other source of it. Of a network that is kept apart, the
/// applications run in its namespace, and there is nothing to join.
extension NodeCompiler {
    /// Of a host; a manager has no applications.
    var joinFiles: [NodeConfiguration.File] {
        guard node.role == .host else { return [] }
        return (isApart ? [] : [hostFile, networkFile]) + [isolatorFile]
    }

    /// The interface that joins a host's namespace to the network's: the only one on which sources of the address space
    /// are believed.
    static let carrier = NodeConfiguration.carrier

    /// The first address of the node subnet is no node's, and neither is the last: so are those of the links.
    private var hostEnd: IPAddress { topology.linkSubnet.network }
    private var networkEnd: IPAddress {
        IPAddress(rawValue: topology.linkSubnet.network.rawValue + (1 << UInt128(32 - topology.nodeSubnet.length)) - 1)
    }

    /// What `ip -batch` takes in the host's namespace.
    private var hostFile: NodeConfiguration.File {
        var lines = closed + ends(local: hostEnd, remote: networkEnd)
        lines += topology.addressSpace.map { "route replace \(text($0)) via \(networkEnd) dev \(Self.carrier)" }
        return NodeConfiguration.File(path: "join/host.batch", text: lines.joined(separator: "\n") + "\n")
    }

    /// What `ip -batch` takes in the network's namespace.
    private var networkFile: NodeConfiguration.File {
        let lines = ends(local: networkEnd, remote: hostEnd)
        return NodeConfiguration.File(path: "join/network.batch", text: lines.joined(separator: "\n") + "\n")
    }

    /// No packet is ever too large for a way on which it is sent again.
    private func ends(local: IPAddress, remote: IPAddress) -> [String] {
        let mtu = topology.mtu.map { ["link set \(Self.carrier) mtu \($0)"] } ?? []
        return mtu + [
            "link set \(Self.carrier) up", "address replace \(local) peer \(remote)/32 dev \(Self.carrier)",
        ]
    }

    /// What the isolator of this host has to know of the network, as a policy.
    private var isolatorFile: NodeConfiguration.File {
        let carriers =
            isApart ? devices.filter { $0.tunnels.contains(where: \.carriesData) }.map(\.name) : [Self.carrier]
        let policy = topology.policy(of: node, interfaces: carriers, isApart: isApart)
        return NodeConfiguration.File(path: "policy.yaml", text: policy.yaml)
    }
}

extension NodeConfiguration {
    /// The interface between a host's namespace and its network's, by the same name in both.
    public static let carrier = "vne-network"

    /// The protocol number of routes to applications that are ready, as `ip route … proto` takes it: rtnetlink(7) leaves
    /// those from 5 on to whoever needs one, and iproute2 names none of this number.
    public static let applicationRoutes = 188

    /// The route by which the network's namespace reaches an application of its host, as `ip route replace` takes it.
    /// - Parameter isApart: the application is in that namespace; the route only says that it is ready.
    public static func applicationRoute(to address: IPAddress, in topology: Topology, isApart: Bool) -> String {
        let way = isApart ? "dev lo" : "via \(topology.linkSubnet.network) dev \(carrier)"
        return "\(address)/32 \(way) proto \(applicationRoutes)"
    }
}
