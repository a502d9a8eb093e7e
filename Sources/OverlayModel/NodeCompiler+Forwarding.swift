import PolicyModel

/// What a node forwards, in the network's namespace: the kernel's settings, as `sysctl -p` takes them, and a filter, as
/// `nft -f` does.
extension NodeCompiler {
    /// Packets of one connection keep to one of several ways, and may come back by another one than they left by.
    var settingsFile: NodeConfiguration.File {
        let settings = [
            "net.ipv4.ip_forward = 1", "net.ipv4.fib_multipath_hash_policy = 1", "net.ipv4.conf.all.rp_filter = 0",
            "net.ipv4.conf.default.rp_filter = 0", "net.ipv4.conf.all.send_redirects = 0",
            "net.ipv4.conf.default.send_redirects = 0", "net.ipv4.conf.all.accept_redirects = 0",
            "net.ipv4.conf.default.accept_redirects = 0",
        ]
        return NodeConfiguration.File(path: "sysctl.conf", text: settings.joined(separator: "\n") + "\n")
    }

    /// What one end of a tunnel says to the other by TCP, as the beginning of a rule of nftables.
    var asked: String {
        let links = text(topology.linkSubnet)
        return "ip saddr \(links) ip daddr \(links) tcp"
    }

    /// Answers, and never the first packet of a connection.
    var answers: String { "tcp flags & (syn | ack) != syn" }

    /// Sources of the address space come through a tunnel, from this host's applications, or from the node itself; whoever
    /// is beside it on an underlay is nobody. And the node is no way out of the network, or into an underlay.
    var filterFile: NodeConfiguration.File {
        let links = text(topology.linkSubnet)
        // A comparison takes a fraction of what a set does, and packets of applications meet it at every node.
        let spaces = topology.addressSpace.map(text)
        let space = spaces.count == 1 ? spaces[0] : "{ \(spaces.joined(separator: ", ")) }"
        let transit =
            node.role == .host
            ? "iifname != \"\(Self.carrier)\" oifname != \"\(Self.carrier)\" drop" : "iifname \"\(Self.carrier)\" drop"
        // Those of a network that is kept apart are here.
        let own = node.applications + node.claims
        let applications =
            isApart && !own.isEmpty
            ? "ip daddr { \(own.map(text).joined(separator: ", ")) } accept\n        " : ""
        let talk = (storeRules + rosterRules).map { "\($0)\n        " }.joined()
        let filter = """
            table inet vne_network
            delete table inet vne_network
            table inet vne_network {
                chain prerouting {
                    type filter hook prerouting priority raw
                    iifname "node*" accept
                    iifname "hosts-*" accept
                    iifname "lo" accept
                    # Of a host's applications, those that are ready, and nobody else.
                    iifname "\(Self.carrier)" ip saddr \(space) fib saddr . iif oif exists accept
                    iifname "\(Self.carrier)" drop
                    ip saddr \(space) drop
                    ip daddr \(space) drop
                    ip saddr \(links) drop
                    ip daddr \(links) drop
                }

                # Of what is for this node itself: the nodes' own talk, and word of packets that did not arrive.
                chain input {
                    type filter hook input priority filter
                    iifname "lo" accept
                    icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
                    iifname "\(Self.carrier)" drop
                    # Who answers for the end of a link is the other end.
                    ip daddr \(links) ip saddr != \(links) drop
                    icmp type { echo-request, echo-reply } accept
                    ip saddr \(links) ip daddr \(links) tcp dport 179 accept
                    ip saddr \(links) ip daddr \(links) tcp sport 179 accept
                    \(talk)\(applications)drop
                }

                # The end of a link says which node asks, and so may no other user of this one.
                chain output {
                    type filter hook output priority filter
                    ip daddr \(links) tcp dport { \(ClaimRequest.port), \(RosterRequest.port) } meta skuid != 0 drop
                }

                chain forward {
                    type filter hook forward priority filter
                    \(transit)
                    ip daddr != \(space) drop
                    ip saddr \(space) accept
                    # A node between two others says that a packet is too large, or that no way leads on.
                    ip saddr \(links) icmp type { destination-unreachable, time-exceeded } accept
                    drop
                }
            }

            """
        return NodeConfiguration.File(path: "filter.nft", text: filter)
    }
}
