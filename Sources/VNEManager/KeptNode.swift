public import OverlayKeys
public import OverlayModel
internal import PolicyModel

/// What a node keeps of a network, so that it comes up by itself after a reboot: `roster`, what the network's authority said last
/// (``Roster``), and `authority`, its fingerprint; where the network has none, `topology.yaml` and `keys.yaml` (public keys
/// of the nodes). `node` (its own name), `private.key`, `apart` where its applications are in
/// the network's own namespace, `draining` while it is drained, `down` while it was taken down, and at a manager `claims`, what the
/// store said last, and `etcd`, the store's data.
public struct KeptNode: Sendable {
    /// Where it is kept.
    public let place: NetworkPlace
    /// The network.
    public let topology: Topology
    /// The node itself.
    public let node: Node
    /// The nodes' public keys, by their names. With a roster, of those that take part.
    public let keys: [String: WireGuardKey]
    /// What the authority said last; nil where topology and keys were given to this node by hand.
    public let roster: Roster?

    static let topologyFile = "topology.yaml"
    static let keysFile = "keys.yaml"
    static let nameFile = "node"
    private static let drainingFile = "draining"
    static let apartFile = "apart"
    static let downFile = "down"
    static let claimsFile = "claims"
    static let privateKeyFile = "private.key"
    /// The key that this node has from the roster on that says so.
    static let nextKeyFile = "next.key"
    static let rosterFile = "roster"
    /// Which invitation this node came by.
    static let invitationFile = "invitation"
    static let authorityFile = "authority"

    /// The files of which a node is made: as long as they are the same, so is it.
    static func identities(_ place: NetworkPlace) -> [FileIdentity?] {
        [topologyFile, keysFile, nameFile, rosterFile, authorityFile].map { NodeFiles.identity("\(place.kept)/\($0)") }
    }

    /// What was kept by ``keep(topology:keys:as:isApart:instance:sources:)``.
    public init(_ place: NetworkPlace) throws(ManagerError) {
        func text(_ name: String) throws(ManagerError) -> String {
            guard let text = try NodeFiles.text("\(place.kept)/\(name)") else {
                throw Self.missing(name, place)
            }
            return text
        }
        let name = try text(Self.nameFile).split(separator: "\n").first.map(String.init) ?? ""
        if let roster = try Self.roster(place) {
            try self.init(place, roster: roster, name: name)
            return
        }
        try self.init(
            place, topology: try text(Self.topologyFile), keys: try text(Self.keysFile), name: name,
            sources: ("\(place.kept)/\(Self.topologyFile)", "\(place.kept)/\(Self.keysFile)"))
    }

    /// Whether what is kept is an invitation's: the way to managers, and no word about environments and applications.
    var isInvited: Bool { roster == nil && NodeFiles.names(in: place.kept).contains(Self.invitationFile) }

    /// Checks what a node is given, and keeps it in place of what it had.
    /// - Parameters:
    ///   - topology: the text of a topology file.
    ///   - keys: the text of a file of public keys.
    ///   - name: which node this is.
    ///   - isApart: whether its applications are in the network's own namespace; nil for as they were.
    ///   - sources: the files' names, for messages.
    public static func keep(
        topology: String, keys: String, as name: String, isApart: Bool?, instance: String,
        sources: (topology: String, keys: String)
    ) async throws(ManagerError) -> KeptNode {
        let network = try parse(topology, source: sources.topology).network
        let place = NetworkPlace(network: network, instance: instance)
        guard try NodeFiles.text("\(place.kept)/\(rosterFile)") == nil else {
            throw ManagerError(
                .failed,
                "the network \(network) has an authority, and this node its roster: give a newer topology to the manager that "
                    + "issues rosters (vne-manager topology publish)")
        }
        let node = try KeptNode(place, topology: topology, keys: keys, name: name, sources: sources)
        if node.node.role == .host, !(isApart ?? node.isApart) { try await Carrier.refuseSecond(place) }
        if let before = try? KeptNode(place).topology.store, !before.isEmpty, before != node.topology.store {
            throw ManagerError(
                .invalid,
                "\(sources.topology) has another “store” than this node: [\(before.joined(separator: ", "))]; which managers "
                    + "keep the claims of a network cannot be changed in this version")
        }
        // Whoever misses a key finds out before anything is replaced.
        _ = try node.configuration(isApart: isApart ?? node.isApart)
        let key = NodeKey(place)
        try await key.make()
        let own = try await key.publicKey()
        guard node.keys[name] == own else {
            let listed = node.keys[name].map { "\($0)" } ?? "none"
            throw ManagerError(
                .invalid,
                "\(sources.keys) has \(listed) for \(name.quoted), and the key of this node is \(own): each is made where "
                    + "it is used (vne-manager key)")
        }
        try NodeFiles.remove("\(place.kept)/\(invitationFile)")
        for (file, text) in [(topologyFile, topology), (keysFile, keys), (nameFile, name + "\n")] {
            try NodeFiles.write(text, to: "\(place.kept)/\(file)")
        }
        if let isApart { try node.mark(apartFile, isApart) }
        try node.takeDown(false)
        return node
    }

    private init(
        _ place: NetworkPlace, topology: String, keys: String, name: String, sources: (topology: String, keys: String)
    ) throws(ManagerError) {
        self.place = place
        self.topology = try Self.parse(topology, source: sources.topology)
        guard let node = self.topology.node(named: name) else {
            var nearest = NearestWord()
            let suggestion =
                nearest.find(name, in: self.topology.nodes.map(\.name)).map { "; did you mean \($0.quoted)?" } ?? ""
            throw ManagerError(.missing, "\(sources.topology) has no node \(name.quoted)\(suggestion)")
        }
        self.node = node
        roster = nil
        do throws(DocumentErrors) {
            self.keys = try PublicKeysFile.parse(bytes: Array(keys.utf8), source: sources.keys, of: self.topology)
        } catch {
            throw ManagerError(.invalid, "\(error)")
        }
    }

    init(
        place: NetworkPlace, topology: Topology, node: Node, keys: [String: WireGuardKey], roster: Roster?
    ) {
        (self.place, self.topology, self.node, self.keys, self.roster) = (place, topology, node, keys, roster)
    }

    static func missing(_ file: String, _ place: NetworkPlace) -> ManagerError {
        ManagerError(
            .missing, "this node has no \(file) of \(place.label): join the network first (vne-manager join)")
    }

    static func parse(_ text: String, source: String) throws(ManagerError) -> Topology {
        do throws(DocumentErrors) {
            return try TopologyFile.parse(text, source: source)
        } catch {
            throw ManagerError(.invalid, "\(error)")
        }
    }

    /// What the engines of this node are told.
    /// - Parameter claims: who has what; nil for what is kept of that.
    func configuration(_ claims: Claims? = nil) throws(ManagerError) -> NodeConfiguration {
        try configuration(isApart: isApart, claims)
    }

    private func configuration(isApart: Bool, _ claims: Claims? = nil) throws(ManagerError) -> NodeConfiguration {
        let known = try self.claims
        do throws(NodeConfiguration.Missing) {
            return try NodeConfiguration(
                of: node, in: topology, keys: keys, isDraining: isDraining, isApart: isApart, claims: claims ?? known,
                absence: roster == nil ? .refused : .leftOut, invited: invited)
        } catch {
            throw ManagerError(.invalid, "\(error)")
        }
    }

    /// Whether others are asked to take other ways than those through this node.
    public var isDraining: Bool { NodeFiles.names(in: place.kept).contains(Self.drainingFile) }

    /// Whether its applications are in the network's own namespace.
    public var isApart: Bool { NodeFiles.names(in: place.kept).contains(Self.apartFile) }

    /// Asks the others to take other ways from the next look on, or no longer.
    public func drain(_ isDraining: Bool) throws(ManagerError) { try mark(Self.drainingFile, isDraining) }

    /// Who has what, as the store said last: it holds while the store does not answer, as no claim expires.
    var claims: Claims {
        get throws(ManagerError) {
            guard let text = try NodeFiles.text("\(place.kept)/\(Self.claimsFile)") else { return Claims() }
            // One that nobody can read is nobody's; the store's next answer replaces it.
            return Claims(text: text) ?? Claims()
        }
    }

    func keep(_ claims: Claims) throws(ManagerError) {
        try NodeFiles.write(claims.text, to: "\(place.kept)/\(Self.claimsFile)")
    }

    /// Whether the node was taken down, and stays so until somebody brings it up.
    public var isDown: Bool { NodeFiles.names(in: place.kept).contains(Self.downFile) }

    func takeDown(_ isDown: Bool) throws(ManagerError) { try mark(Self.downFile, isDown) }

    func mark(_ file: String, _ isMarked: Bool) throws(ManagerError) {
        let path = "\(place.kept)/\(file)"
        if isMarked { try NodeFiles.write("", to: path) } else { try NodeFiles.remove(path) }
    }
}
