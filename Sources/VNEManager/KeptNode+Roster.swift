internal import OverlayKeys
internal import OverlayModel
internal import PolicyModel

/// A node whose network has an authority: what it knows is a roster.
extension KeptNode {
    init(_ place: NetworkPlace, roster: Roster, name: String) throws(ManagerError) {
        let source = "\(place.kept)/\(Self.rosterFile)"
        let topology = try Self.parse(String(decoding: roster.topology, as: UTF8.self), source: source)
        guard let node = topology.node(named: name) else {
            throw ManagerError(
                .missing, "the network \(roster.network) has no node \(name.quoted) since its roster \(roster.version)")
        }
        let now = Timestamp.now
        // Managers may be asked for a newer roster for as long as somebody knows their keys, and for nothing else.
        let members = roster.members.filter {
            now < $0.expires || topology.node(named: $0.node)?.role == .manager
        }
        self.init(
            place: place, topology: topology, node: node,
            keys: Dictionary(members.map { ($0.node, $0.key) }, uniquingKeysWith: { first, _ in first }),
            roster: roster)
    }

    /// The roster that a node keeps, which its authority signed; nil if it has none.
    static func roster(_ place: NetworkPlace) throws(ManagerError) -> Roster? {
        let path = "\(place.kept)/\(rosterFile)"
        guard let text = try NodeFiles.text(path) else { return nil }
        guard let authority = try authority(place) else { throw missing(authorityFile, place) }
        return try roster(text, of: place, by: authority, source: path)
    }

    /// The fingerprint of the authority that this node believes; nil if it has none.
    static func authority(_ place: NetworkPlace) throws(ManagerError) -> String? {
        try NodeFiles.text("\(place.kept)/\(authorityFile)")?.split(separator: "\n").first.map(String.init)
    }

    /// A roster of a network by its authority.
    static func roster(
        _ text: String, of place: NetworkPlace, by authority: String, source: String
    ) throws(ManagerError) -> Roster {
        try explaining(source) { () throws(KeysError) in
            let roster = try Roster(parsing: Array(text.utf8))
            try roster.authority.require(authority)
            try roster.require(network: place.network)
            return roster
        }
    }

    /// Keeps a roster in place of an older one. Nobody else changes the node meanwhile (``NetworkPlace/changing(_:)``).
    /// - Parameter name: which node this is, where that is not kept yet.
    /// - Returns: whether it is newer than the one that was kept.
    @discardableResult static func keep(
        _ roster: Roster, at place: NetworkPlace, as name: String? = nil
    ) throws(ManagerError) -> Bool {
        if let held = try Self.roster(place) {
            guard roster.authority == held.authority else {
                throw ManagerError(
                    .failed,
                    "this node believes the authority \(held.authority.fingerprint), and not \(roster.authority.fingerprint)"
                )
            }
            guard roster.version > held.version else { return false }
        }
        let topology = String(decoding: roster.topology, as: UTF8.self)
        // One that this version cannot read is not taken, and the one before goes on.
        _ = try parse(topology, source: "the topology of the roster \(roster.version)")
        // The topology is for people, and for whoever asks which networks there are.
        var texts = [(authorityFile, roster.authority.fingerprint + "\n"), (topologyFile, topology)]
        if let name { texts.append((nameFile, name + "\n")) }
        for (file, text) in texts where try NodeFiles.text("\(place.kept)/\(file)") != text {
            try NodeFiles.write(text, to: "\(place.kept)/\(file)", isDurable: true)
        }
        try NodeFiles.write(roster.text, to: "\(place.kept)/\(rosterFile)", isDurable: true)
        return true
    }

    /// Nodes that get nothing but the nodes' own talk: those that were invited and did not come yet, and managers whose
    /// credential ended, as far as this node knows.
    var invited: Set<String> {
        let now = Timestamp.now
        return Set((roster?.members ?? []).filter { $0.isInvited || $0.expires <= now }.map(\.node))
    }

    /// The tunnels that this node has: those to nodes that take part.
    var tunnels: [Tunnel] { topology.tunnels(of: node).filter { keys[$0.peer(of: node).name] != nil } }

    /// Whether applications' packets go through a tunnel.
    func carriesData(_ tunnel: Tunnel) -> Bool {
        tunnel.carriesData && !invited.contains(tunnel.peer(of: node).name)
    }

    /// Where managers answer: their ends of this node's tunnels.
    func ends(of managers: (Node) -> Bool = { _ in true }) -> [IPAddress] {
        tunnels.filter { tunnel in
            let peer = tunnel.peer(of: node)
            return peer.role == .manager && managers(peer)
        }.map { topology.linkAddress(of: $0.peer(of: node), over: $0.underlayIndex) }
    }

    /// Takes the key that this node made for itself once the roster says that it has it; and refuses to go on with one that
    /// the roster does not say.
    func settleKey() async throws(ManagerError) {
        guard let roster else { return }
        let known = roster.members.first { $0.node == node.name }?.key
        let next = NodeKey(place, file: Self.nextKeyFile)
        if try next.isMade, try await next.publicKey() == known {
            try NodeFiles.move("\(place.kept)/\(Self.nextKeyFile)", to: "\(place.kept)/\(Self.privateKeyFile)")
        }
        guard try await NodeKey(place).publicKey() == known else {
            let why = known == nil ? "does not have this node, which was revoked" : "says another key than this node's"
            throw ManagerError(
                .failed,
                "the roster \(roster.version) of \(topology.network) \(why): invite \(node.name.quoted) anew (vne-manager invite)"
            )
        }
    }
}
