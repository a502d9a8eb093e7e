internal import FoundationEssentials
public import OverlayKeys
public import OverlayModel
internal import VNEHost

/// The manager that issues rosters: it has the network's keyset, sealed, and the passphrase that opens it, encrypted to this
/// machine (systemd-creds(1)), so that a node that comes needs nobody's hand.
///
/// There is one at a time: the roster names it. The keyset is open for as long as it takes to issue something.
public struct Issuer: Sendable {
    private let place: NetworkPlace

    /// The name of what systemd-creds has encrypted: it decrypts it under no other.
    private var credential: String { "vne-network-\(place.network)" }
    private var passphraseFile: String { "\(place.kept)/passphrase.credential" }
    private static let keysetName = "keyset.sealed"
    private var keysetFile: String { "\(place.kept)/\(Self.keysetName)" }

    /// The issuer at a place.
    public init(_ place: NetworkPlace) {
        self.place = place
    }

    /// What is changed of a keyset, and what it is changed by.
    public struct Change: Sendable {
        /// The keyset, opened.
        public var keyset: Keyset
        /// The network, as the next roster has it.
        public var topology: Topology
        /// Its text.
        public var text: [UInt8]
        /// The roster before.
        public let roster: Roster
        /// The time.
        public let now: Timestamp
        /// Where randomness comes from.
        public var generator = SystemRandomNumberGenerator()
    }

    // MARK: A new network

    /// Makes the authority of a network whose first manager this node is, and the first roster.
    /// - Parameters:
    ///   - text: the text of a topology file.
    ///   - name: which manager this is.
    public func found(
        _ text: String, source: String, as name: String, sealing passphrase: Passphrase
    ) async throws(ManagerError) -> Roster {
        let topology = try KeptNode.parse(text, source: source)
        try Self.requireManager(name, of: topology)
        return try await locked { () throws(ManagerError) in
            let names = NodeFiles.names(in: place.kept)
            guard !names.contains(KeptNode.topologyFile), !names.contains(KeptNode.rosterFile),
                !names.contains(Self.keysetName)
            else {
                throw ManagerError(
                    .failed,
                    "this machine is a node of \(place.network) already: vne-manager leave --network \(place.network)")
            }
            let key = NodeKey(place)
            try await key.make()
            let own = try await key.publicKey()
            var generator = SystemRandomNumberGenerator()
            let now = Timestamp.now
            let (keyset, roster) = try explaining(source) { () throws(KeysError) in
                var keyset = try Keyset(network: topology.network, using: &generator)
                try keyset.found(name, own, in: topology, at: now)
                let roster = try keyset.issue(topology, text: Array(text.utf8), by: name, at: now)
                return (keyset, roster)
            }
            try await keep(passphrase)
            try await save(keyset, passphrase, roster, as: name)
            return roster
        }
    }

    /// Has this manager issue rosters from now on: where the one that did is gone for good, or this one lost its passphrase, or
    /// all credentials ended.
    public func takeOver(_ passphrase: Passphrase) async throws(ManagerError) -> Roster {
        try await locked { () throws(ManagerError) in
            let node = try KeptNode(place)
            try Self.requireManager(node.node.name, of: node.topology)
            guard let held = node.roster else { throw Self.none(place) }
            var keyset = try open(passphrase)
            guard keyset.roster >= held.version else {
                throw ManagerError(
                    .failed,
                    "the keyset here has issued \(keyset.roster), and \(held.version) is known: what was issued since would be "
                        + "lost; wait until the managers have told each other")
            }
            let own = try await NodeKey(place).publicKey()
            let roster = try explaining(keysetFile) { () throws(KeysError) in
                let now = keyset.time(noEarlierThanIssued: .now)
                try keyset.takeOver(node.node.name, own, in: node.topology, at: now)
                return try keyset.issue(node.topology, text: held.topology, by: node.node.name, at: now)
            }
            try await save(keyset, passphrase, roster)
            try await keep(passphrase)
            return roster
        }
    }

    // MARK: Changes

    /// Changes the keyset and issues the next roster, which this node keeps.
    /// - Parameter body: does it; nil if there is nothing to issue.
    public func change<Result: Sendable>(
        _ body: @Sendable (inout Change) throws(KeysError) -> Result?
    ) async throws(ManagerError) -> (roster: Roster, result: Result)? {
        try await locked { () throws(ManagerError) in
            let node = try KeptNode(place)
            guard let held = node.roster else { throw Self.none(place) }
            guard held.issuer == node.node.name else {
                throw ManagerError(.failed, "\(held.issuer) issues the rosters of \(place.network): do this there")
            }
            let passphrase = try await self.passphrase()
            let keyset = try open(passphrase)
            guard keyset.roster.term >= held.version.term else {
                throw ManagerError(
                    .failed,
                    "the keyset here is of term \(keyset.roster.term), and the roster \(held.version): take over again "
                        + "(vne-manager take-over)")
            }
            // A command that was killed may have changed the keyset, and not the roster.
            let isBehind = keyset.roster > held.version
            var change = Change(
                keyset: keyset, topology: node.topology, text: held.topology, roster: held,
                now: keyset.time(noEarlierThanIssued: .now))
            let (issued, result) = try explaining(keysetFile) { () throws(KeysError) -> (Roster?, Result?) in
                let result = try body(&change)
                guard result != nil || isBehind else { return (nil, nil) }
                return (
                    try change.keyset.issue(change.topology, text: change.text, by: node.node.name, at: change.now),
                    result
                )
            }
            guard let issued else { return nil }
            try await save(change.keyset, passphrase, issued)
            return result.map { (issued, $0) }
        }
    }

    /// Keeps another manager's keyset, sealed as it is, for the day on which this one has to take over.
    func keep(copy text: String) async throws(ManagerError) {
        let sealed = try explaining("the keyset of another manager") { () throws(KeysError) in
            let sealed = try SealedFile(parsing: Array(text.utf8), as: .keyset)
            try sealed.require(network: place.network)
            return sealed
        }
        try await locked { () throws(ManagerError) in
            let node = try KeptNode(place)
            // Who issues rosters has the one that counts.
            guard let roster = node.roster, roster.issuer != node.node.name, sealed.authority == roster.authority,
                sealed.revision > (try sealedKeyset()?.revision ?? 0)
            else { return }
            try NodeFiles.write(text, to: keysetFile, isDurable: true)
        }
    }

    /// The keyset that this node has, sealed; nil if it has none.
    func sealedKeyset() throws(ManagerError) -> SealedFile? {
        guard let text = try NodeFiles.text(keysetFile) else { return nil }
        return try explaining(keysetFile) { () throws(KeysError) in
            try SealedFile(parsing: Array(text.utf8), as: .keyset)
        }
    }

    /// Forgets the passphrase where another manager issues rosters.
    func forgetPassphrase() throws(ManagerError) { try NodeFiles.remove(passphraseFile) }

    private func open(_ passphrase: Passphrase) throws(ManagerError) -> Keyset {
        guard let sealed = try sealedKeyset() else {
            throw ManagerError(.missing, "this node has no keyset of \(place.network)")
        }
        return try explaining(keysetFile) { () throws(KeysError) in try Keyset(sealed, passphrase) }
    }

    /// The keyset first: a version may be left out, and is never given twice.
    private func save(
        _ keyset: Keyset, _ passphrase: Passphrase, _ roster: Roster, as name: String? = nil
    ) async throws(ManagerError) {
        var generator = SystemRandomNumberGenerator()
        var keyset = keyset
        let sealed = try explaining(keysetFile) { () throws(KeysError) in
            try keyset.sealed(passphrase, using: &generator)
        }
        try NodeFiles.write(sealed.text, to: keysetFile, isDurable: true)
        let isKept = try await place.changing { () throws(ManagerError) in
            try KeptNode.keep(roster, at: place, as: name)
        }
        guard isKept else {
            throw ManagerError(
                .failed, "a newer roster than \(roster.version) came meanwhile: look at it, and try again")
        }
    }

    /// Does something while no other process changes the keyset.
    private func locked<Result: Sendable>(
        _ body: () async throws(ManagerError) -> Result
    ) async throws(ManagerError) -> Result {
        try NodeFiles.make(place.kept)
        let path = "\(place.kept)/keyset.lock"
        let lock = try await waiting { () throws(HostError) in try WaitingLock(path) }
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }

    // MARK: The passphrase

    private func keep(_ passphrase: Passphrase) async throws(ManagerError) {
        try NodeFiles.make(place.kept)
        let encrypted = try await Program(["systemd-creds", "encrypt", "--name=\(credential)", "-", "-"]).run(
            input: passphrase.exposed)
        try NodeFiles.write(encrypted, to: passphraseFile, isDurable: true)
    }

    private func passphrase() async throws(ManagerError) -> Passphrase {
        guard NodeFiles.names(in: place.kept).contains("passphrase.credential") else {
            throw ManagerError(.missing, "this manager has no passphrase of its keyset: vne-manager take-over")
        }
        let text = try await Program(["systemd-creds", "decrypt", "--name=\(credential)", passphraseFile, "-"]).run()
        return try explaining(passphraseFile) { () throws(KeysError) in try Passphrase(exposed: text) }
    }

    private static func requireManager(_ name: String, of topology: Topology) throws(ManagerError) {
        guard let node = topology.node(named: name) else {
            throw ManagerError(.missing, "\(topology.source) has no node “\(name)”")
        }
        guard node.role == .manager else {
            throw ManagerError(.failed, "“\(name)” is a host: rosters are issued by a manager")
        }
    }

    private static func none(_ place: NetworkPlace) -> ManagerError {
        ManagerError(
            .failed,
            "the network \(place.network) has no rosters: its topology and keys were given to each node by hand")
    }
}
