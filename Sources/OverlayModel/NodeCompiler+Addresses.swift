import PolicyModel

/// The addresses and routes that are there before any other node is heard: what `ip -batch` takes, in the network's
/// namespace.
extension NodeCompiler {
    var addressFile: NodeConfiguration.File {
        var lines = closed
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

    /// There before anything else, in each namespace.
    var closed: [String] {
        ["# Whatever no tunnel leads to goes nowhere, and never by a default route."]
            + topology.addressSpace.map { "route replace unreachable \(text($0)) metric 4294967295" }
    }

    func text(_ prefix: IPPrefix) -> String { "\(prefix.network)/\(prefix.length)" }
}
