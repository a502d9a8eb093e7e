import PolicyModel

/// What a node forwards, in the network's namespace: the kernel's settings, as `sysctl -p` takes them, and a filter, as
/// `nft -f` does.
extension NodeCompiler {
    /// Packets of one connection keep to one of several ways, and may come back by another one than they left by.
    var settingsFile: NodeConfiguration.File {
        let settings = [
            "net.ipv4.ip_forward = 1", "net.ipv4.fib_multipath_hash_policy = 1", "net.ipv4.conf.all.rp_filter = 0",
            "net.ipv4.conf.default.rp_filter = 0",
        ]
        return NodeConfiguration.File(path: "sysctl.conf", text: settings.joined(separator: "\n") + "\n")
    }

    /// Sources of the address space come through a tunnel, from this host's applications, or from the node itself; whoever
    /// is beside it on an underlay is nobody. And the node is no way out of the network, or into an underlay.
    var filterFile: NodeConfiguration.File {
        let space = topology.addressSpace.map(text).joined(separator: ", ")
        let links = text(topology.linkSubnet)
        let own = "{ \"lo\", \"\(Self.carrier)\", \"node*\", \"hosts-*\" }"
        let filter = """
            table inet vne_network
            delete table inet vne_network
            table inet vne_network {
                set space {
                    type ipv4_addr
                    flags interval
                    elements = { \(space), \(links) }
                }

                chain prerouting {
                    type filter hook prerouting priority raw
                    iifname \(own) accept
                    ip saddr @space drop
                    ip daddr @space drop
                }

                chain forward {
                    type filter hook forward priority filter
                    ip saddr != @space drop
                    ip daddr != @space drop
                }
            }

            """
        return NodeConfiguration.File(path: "filter.nft", text: filter)
    }
}
