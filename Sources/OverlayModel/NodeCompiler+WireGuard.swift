import PolicyModel

/// WireGuard, as `wg setconf` reads it: wg(8). The private key is no part of it: it never leaves its own file.
extension NodeCompiler {
    /// A file a device.
    var tunnelFiles: [NodeConfiguration.File] {
        devices.map { NodeConfiguration.File(path: "wireguard/\($0.name).conf", text: text(of: $0)) }
    }

    /// What a device is told.
    func text(of device: Device) -> String {
        var lines = ["[Interface]", "ListenPort = \(device.port)"]
        for tunnel in device.tunnels {
            let peer = tunnel.peer(of: node)
            guard let key = keys[peer.name] else { continue }
            lines += ["", "# \(peer.name), over \(tunnel.underlay.name)", "[Peer]", "PublicKey = \(key)"]
            lines.append("AllowedIPs = \(allowed(tunnel).map(text).joined(separator: ", "))")
            if case .address(let address) = peer.endpoints[tunnel.underlay.name] {
                let port = topology.port(of: tunnel, at: peer)
                lines.append("Endpoint = \(address.family == .ipv6 ? "[\(address)]" : "\(address)"):\(port)")
            }
            // Whoever cannot be sent to has to keep the way open.
            if node.endpoints[tunnel.underlay.name] == .dynamic { lines.append("PersistentKeepalive = 25") }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The sources that are believed of the other end, which are also where packets to them go.
    ///
    /// A manager believes of a host what is the host's, and of another manager whatever that one believed; a host
    /// believes its managers, as the hosts behind them come and go.
    private func allowed(_ tunnel: Tunnel) -> [IPPrefix] {
        let peer = tunnel.peer(of: node)
        let link = IPPrefix(topology.linkAddress(of: peer, over: tunnel.underlayIndex))
        // Applications' packets have no business where only nodes speak.
        guard carriesData(tunnel) else { return [link] }
        switch tunnel.kind {
        case .mesh: return [link] + topology.addressSpace
        case .spoke:
            guard node.role == .manager else { return [link] + topology.addressSpace }
            return [link] + own(peer) + claims.addresses(of: peer).map { IPPrefix($0) }
        case .direct: return [link] + own(peer)
        }
    }
}
