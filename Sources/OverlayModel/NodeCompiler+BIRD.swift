import PolicyModel

/// Routing by BIRD 2: BGP with each neighbour (RFC 4271), an autonomous system a node. Which links forward is not BIRD's to
/// find out: ``ProbePlan``. A BIRD that dies while its links forward is waited for (RFC 4724).
///
/// A node announces what it owns and nothing else, and whoever hears it takes only that. Managers pass on what they
/// took; hosts pass on nothing, so that no traffic of others goes through them.
///
/// What is a host's for good is announced as it is in the topology, whichever applications are there: there are as many routes
/// as hosts, however many applications. What hosts may claim is announced address by address.
///
/// What hosts may claim a manager takes from the host that has it, and no other one. Who may be the origin of a route is what
/// BIRD has tables of route origins for (RFC 6811), and a table that changes is looked at again without a new session.
extension NodeCompiler {
    /// The private autonomous systems of four bytes begin there (RFC 6996).
    private static let firstSystem: UInt32 = 4_200_000_000

    private func system(of node: Node) -> UInt32 { Self.firstSystem + node.number }

    var routingFile: NodeConfiguration.File {
        var lines = ["# The node \(node.name) of the network \(topology.network)."]
        lines += [
            "log syslog all;", "router id \(node.address);", "graceful restart wait \(Self.recoveryTime);", "",
            "protocol device {", "}", "",
        ]
        lines += [
            "# What is this node's own, whether anything is up or not. The kernel knows which applications are there."
        ]
        lines += block(
            "protocol static own",
            ["ipv4;", "route \(node.address)/32 via \"lo\";"]
                + node.applications.map { "route \(text($0)) unreachable;" })
        lines += claimed
        lines += block("filter announced", announced)
        lines += block("protocol kernel", kernel)
        for tunnel in tunnels where carriesData(tunnel) { lines += neighbour(tunnel) }
        return NodeConfiguration.File(path: "bird.conf", text: lines.joined(separator: "\n") + "\n")
    }

    /// What others hear of this node.
    private var announced: [String] {
        switch node.role {
        case .host: ["if source !~ [ RTS_STATIC, RTS_INHERIT ] then reject;"] + drained + ["accept;"]
        case .manager: ["if source !~ [ RTS_STATIC, RTS_BGP ] then reject;"] + drained + ["accept;"]
        }
    }

    /// What asks others to take another way where there is one: the community of RFC 8326.
    private static let shutdown = "(65535, 0)"

    private var drained: [String] { isDraining ? ["bgp_community.add(\(Self.shutdown));"] : [] }

    /// All ways that are equally good are used at once. What begins at this node comes from its address in the network,
    /// not from the end of a tunnel, which nobody else knows.
    private var kernel: [String] {
        let filter = ["if source != RTS_BGP then reject;", "krt_prefsrc = \(node.address);", "accept;"]
        let learnt =
            node.role == .host && !node.claims.isEmpty
            ? ["import filter {"]
                + indented([
                    "if krt_source != \(NodeConfiguration.applicationRoutes) then reject;",
                    "if net !~ [ \(single(node.claims)) ] then reject;",
                    // One that came from another host is this one's from now on.
                    "preference = 200;", "accept;",
                ]) + ["};"]
            : ["import none;"]
        return ["merge paths on;", "graceful restart on;", "netlink rx buffer \(Self.noticeBuffer);"]
            + (learnt.count > 1 ? ["learn;"] : []) + ["ipv4 {"]
            + indented(learnt + ["export filter {"] + indented(filter) + ["};"]) + ["};"]
    }

    /// Bytes. The kernel tells BIRD of each route that BIRD gives it, too: with the usual size notices of a host's own
    /// applications were lost among thousands of them, and heard of a minute later (`make bench-growth`).
    private static let noticeBuffer = 64 << 20

    /// Prefixes, and patterns of single addresses inside of others.
    private func patterns(_ exact: [IPPrefix], _ single: [IPPrefix] = []) -> String {
        (exact.map(text) + (single.isEmpty ? [] : [self.single(single)])).joined(separator: ", ")
    }

    /// Patterns of prefixes, and of all that is inside of them.
    private func within(_ prefixes: [IPPrefix]) -> String {
        prefixes.map { "\(text($0))+" }.joined(separator: ", ")
    }

    /// Patterns of single addresses inside of prefixes.
    private func single(_ prefixes: [IPPrefix]) -> String {
        prefixes.map { "\(text($0)){32,32}" }.joined(separator: ", ")
    }

    /// In seconds: how long a BIRD that died may take to come back before its routes are gone.
    private static let restartTime = 5
    /// In seconds: how long one that came back waits for neighbours that do not before it changes what is forwarded.
    private static let recoveryTime = 3

    /// In seconds: the second net below the probes, never finer than that.
    private var holdTime: Int {
        let detection = topology.failureDetection
        return max(3, 3 * ((detection.interval * detection.multiplier + 999) / 1000))
    }

    private func neighbour(_ tunnel: Tunnel) -> [String] {
        let peer = tunnel.peer(of: node)
        let device = topology.device(of: tunnel, at: node)
        let local = topology.linkAddress(of: node, over: tunnel.underlayIndex)
        let remote = topology.linkAddress(of: peer, over: tunnel.underlayIndex)
        // What was heard is kept, so that it is judged again once claims change; switching that on later ends the session.
        var channel = node.role == .manager ? ["import table on;", "import filter {"] : ["import filter {"]
        // A way that somebody tells of is through himself: else he could send others' packets in circles, or in clear.
        channel += indented(["if bgp_next_hop != \(remote) then reject;"] + accepted(from: peer, tunnel))
        // Hosts share a manager's device, and cannot reach each other over it without the manager.
        channel += ["};", "export filter announced;", "next hop self;"]
        let lines =
            [
                "# \(peer.name), over \(tunnel.underlay.name)", "local \(local) as \(system(of: node));",
                "neighbor \(remote) as \(system(of: peer));", "interface \"\(device)\";", "direct;", "strict bind on;",
                "hold time \(holdTime);", "graceful restart on;", "graceful restart time \(Self.restartTime);",
                // Without these a short outage costs a minute.
                "error wait time 1, 2;", "connect retry time 1;", "connect delay time 0;", "allow bgp_local_pref off;",
                "ipv4 {",
            ] + indented(channel) + ["};"]
        return block("protocol bgp \(topology.neighbour(over: tunnel, at: node))", lines)
    }

    /// What is believed of a neighbour.
    private func accepted(from peer: Node, _ tunnel: Tunnel) -> [String] {
        var lines: [String] = []
        switch (tunnel.kind, node.role) {
        case (.spoke, .manager):
            lines.append("if net !~ [ \(patterns(own(peer), peer.claims)) ] then reject;")
            lines += unclaimed(peer.claims, origin: "\(system(of: peer))")
        case (.direct, _):
            lines.append("if net !~ [ \(patterns(own(peer))) ] then reject;")
        default:
            // What is of the network, and never what is this node's, or a part of that.
            lines.append("if net ~ [ \(within(own(node))) ] then reject;")
            lines.append("if net !~ [ \(within(topology.addressSpace)) ] then reject;")
            if judgesClaims { lines += unclaimed(claimable, origin: "bgp_path.last") }
        }
        lines.append("if \(Self.shutdown) ~ bgp_community then bgp_local_pref = 0;")
        lines.append("accept;")
        return lines
    }

    // MARK: Claims

    /// Whether this node knows who has what of that which hosts may claim.
    private var judgesClaims: Bool { node.role == .manager && !topology.store.isEmpty }

    /// All that hosts may claim, each prefix once.
    private var claimable: [IPPrefix] { Set(topology.hosts.flatMap(\.claims)).sorted() }

    /// Who has what, as origins of routes.
    private var claimed: [String] {
        guard judgesClaims else { return [] }
        func origins(_ addresses: (Node) -> [IPAddress]) -> [String] {
            topology.hosts.flatMap { host in
                addresses(host).map { "route \($0)/32 max 32 as \(system(of: host));" }
            }
        }
        func table(_ name: String, by announcer: String, _ routes: [String]) -> [String] {
            block("roa4 table \(name)", ["min settle time 1 ms;", "max settle time 5 ms;"])
                + block("protocol static \(announcer)", ["roa4 {", "    table \(name);", "};"] + routes)
        }
        return table("claims", by: "claimed", origins(claims.addresses))
            + ["# Whom an address is about to be handed over to, or was from."]
            + table("alternates", by: "alternate", origins(claims.alternates))
    }

    /// Refuses what nobody claimed, or somebody else. What is handed over is kept at hand: no way leads there before the owner
    /// has none.
    private func unclaimed(_ prefixes: [IPPrefix], origin: String) -> [String] {
        guard !prefixes.isEmpty else { return [] }
        return ["if net ~ [ \(single(prefixes)) ] && roa_check(claims, net, \(origin)) != ROA_VALID then {"]
            + indented([
                "if roa_check(alternates, net, \(origin)) != ROA_VALID then reject;", "bgp_local_pref = 50;",
            ]) + ["}"]
    }

    private func block(_ head: String, _ lines: some Sequence<String>) -> [String] {
        ["\(head) {"] + indented(lines) + ["}", ""]
    }

    private func indented(_ lines: some Sequence<String>) -> [String] { lines.map { "    " + $0 } }
}
