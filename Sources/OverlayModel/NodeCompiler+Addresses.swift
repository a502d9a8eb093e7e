import PolicyModel

/// The addresses and routes that are there before any other node is heard: what `ip -batch` takes, in the network's
/// namespace.
extension NodeCompiler {
    var addressFile: NodeConfiguration.File {
        var lines = [
            "# Whatever no tunnel leads to goes nowhere, and never by a default route."
        ]
        lines += topology.addressSpace.map { "route replace unreachable \(text($0)) metric 4294967295" }
        lines += ["link set lo up", "address replace \(node.address)/32 dev lo"]
        for device in devices {
            let local = topology.linkAddress(of: node, over: device.underlayIndex)
            lines += ["link set \(device.name) mtu \(device.mtu)", "link set \(device.name) up"]
            for tunnel in device.tunnels {
                let remote = topology.linkAddress(of: tunnel.peer(of: node), over: device.underlayIndex)
                lines.append("address replace \(local) peer \(remote)/32 dev \(device.name)")
            }
        }
        return NodeConfiguration.File(path: "addresses.batch", text: lines.joined(separator: "\n") + "\n")
    }

    /// What the isolator of this node has to know of the network, as a policy: who may talk to whom is added to it.
    var isolatorFile: NodeConfiguration.File {
        var lines = ["addressSpace: [\(topology.addressSpace.map(text).joined(separator: ", "))]"]
        lines.append("addressSpaceInterfaces: [\(Self.carrier)]")
        lines.append(topology.environments.isEmpty ? "environments: {}" : "environments:")
        for environment in topology.environments {
            lines.append(
                "  \(environment.name): {addresses: [\(environment.addresses.map(text).joined(separator: ", "))]}")
        }
        return NodeConfiguration.File(path: "policy.yaml", text: lines.joined(separator: "\n") + "\n")
    }

    /// The interface that joins a host's namespace to the network's: the only one on which sources of the address space
    /// are believed.
    static let carrier = "vne-network"

    func text(_ prefix: IPPrefix) -> String { "\(prefix.network)/\(prefix.length)" }
}
