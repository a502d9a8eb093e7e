public import OverlayModel
import PolicyModel

/// A network's authority and every credential that counts. What it says and does not say of secrets: ``sealed(_:_:using:)``
/// is the only way out for the authority's key.
public struct Keyset: Sendable {
    /// What is to be thought of a credential.
    public enum State: String, CaseIterable, Hashable, Sendable {
        case valid
        /// Issued later than now: a clock is wrong.
        case early
        case expired
        /// Another one of the node has a higher serial.
        case superseded
        case revoked
    }

    /// Ten years.
    public static let maximumDays = 3650

    /// The network's name.
    public let network: String
    let secret: Authority
    /// Grows each time that it is sealed.
    public internal(set) var revision: UInt64
    /// Of the topology that was sealed last; 0 for none.
    public private(set) var topologyRevision: UInt64
    private var lastSerial: UInt64
    /// By their serials.
    public private(set) var credentials: [Credential]
    /// When credentials were revoked, by their serials.
    public private(set) var revocations: [UInt64: Timestamp]
    /// Serials of credentials whose key is an invitation's.
    public internal(set) var invited: Set<UInt64>
    /// Of the roster that was issued last; of term 0 before the first.
    public internal(set) var roster: RosterVersion

    /// A keyset of a new authority.
    public init(network: String, using generator: inout some RandomNumberGenerator) throws(KeysError) {
        guard network.isName else {
            throw .refused("\(network.quoted) is no name of a network: \(String.nameRule)")
        }
        guard let secret = Authority(seed: [UInt8](random: Authority.seedBytes, using: &generator)) else {
            throw .refused("cannot make a key")
        }
        self.network = network
        self.secret = secret
        revision = 0
        topologyRevision = 0
        lastSerial = 0
        credentials = []
        revocations = [:]
        invited = []
        roster = RosterVersion()
    }

    /// Who signs.
    public var authority: AuthorityKey { secret.publicKey }

    /// What is to be thought of a credential at a time.
    public func state(of credential: Credential, at now: Timestamp) -> State {
        if revocations[credential.serial] != nil { return .revoked }
        if credentials.contains(where: { $0.node == credential.node && $0.serial > credential.serial }) {
            return .superseded
        }
        if now < credential.issued { return .early }
        return now < credential.expires ? .valid : .expired
    }

    /// The newest credential of a node.
    public func credential(of node: String) -> Credential? { credentials.last { $0.node == node } }

    /// The credential of a node, which is valid.
    public func validCredential(of node: String, at now: Timestamp) throws(KeysError) -> Credential {
        guard let credential = credential(of: node) else { throw unknown(node) }
        if let why = objection(to: credential, at: now) { throw .refused("\(node.quoted) \(why)") }
        return credential
    }

    // MARK: Certifying

    /// Says of a node of the topology that it has a key: its first credential, or one in place of the one before.
    /// - Parameter days: how long it is valid.
    public mutating func certify(
        _ name: String, _ key: WireGuardKey, in topology: Topology, at now: Timestamp, days: Int
    ) throws(KeysError) -> Credential {
        guard (1...Self.maximumDays).contains(days) else {
            throw .refused("a credential is valid for 1 to \(Self.maximumDays) days")
        }
        return try certify(
            name, key, in: topology, at: now, until: Timestamp(seconds: now.seconds + Int64(days) * 86_400))
    }

    mutating func certify(
        _ name: String, _ key: WireGuardKey, in topology: Topology, at now: Timestamp, until expires: Timestamp
    ) throws(KeysError) -> Credential {
        try requireNetwork(of: topology)
        guard let node = topology.node(named: name) else {
            var nearest = NearestWord()
            let suggestion = nearest.find(name, in: topology.nodes.map(\.name))
            throw .unknown(
                "\(topology.source) has no node \(name.quoted)"
                    + (suggestion.map { "; did you mean \($0.quoted)?" } ?? ""))
        }
        for other in credentials {
            try refuse(key, of: node, for: other)
            try refuseAddress(of: node, for: other, at: now)
        }
        let credential = try Credential(
            network: network, serial: lastSerial + 1, node: name, address: node.address, key: key, issued: now,
            expires: expires, by: secret)
        lastSerial += 1
        credentials.append(credential)
        // Nobody takes these any more. Revoked ones stay, so that their keys never come back.
        let forgotten = credentials.filter { now >= $0.expires && state(of: $0, at: now) == .superseded }.map(\.serial)
        credentials.removeAll { forgotten.contains($0.serial) }
        invited.subtract(forgotten)
        return credential
    }

    private func refuse(_ key: WireGuardKey, of node: Node, for other: Credential) throws(KeysError) {
        guard other.key == key else { return }
        if let time = revocations[other.serial] {
            throw .refused(
                "this key was revoked at \(time), with the credential of \(other.node.quoted) of serial \(other.serial): "
                    + "make another key")
        }
        guard other.node == node.name else {
            throw .refused(
                "this key is the one of \(other.node.quoted), of serial \(other.serial): each node has a key of its own"
            )
        }
    }

    private func refuseAddress(of node: Node, for other: Credential, at now: Timestamp) throws(KeysError) {
        guard other.node != node.name, other.address == node.address, now < other.expires,
            revocations[other.serial] == nil
        else { return }
        throw .refused(
            "\(node.address) is the address of \(other.node.quoted) until \(other.expires), by the credential of serial "
                + "\(other.serial): revoke that first")
    }

    // MARK: Revoking

    /// Takes a credential back.
    public mutating func revoke(serial: UInt64, at now: Timestamp) throws(KeysError) -> Credential {
        guard let credential = credentials.first(where: { $0.serial == serial }) else {
            throw .unknown("there is no credential of serial \(serial)")
        }
        if let time = revocations[serial] {
            throw .refused("the credential of serial \(serial) was revoked at \(time)")
        }
        revocations[serial] = now
        return credential
    }

    /// Takes every credential of a node back, those that were superseded and not expired too.
    public mutating func revoke(node: String, at now: Timestamp) throws(KeysError) -> [Credential] {
        guard credential(of: node) != nil else { throw unknown(node) }
        let left = credentials.filter { $0.node == node && revocations[$0.serial] == nil }
        guard !left.isEmpty else { throw .refused("every credential of \(node.quoted) was revoked already") }
        for credential in left { revocations[credential.serial] = now }
        return left
    }

    // MARK: What is made of it

    /// The public keys of a topology's nodes: what ``PublicKeysFile`` reads.
    public struct Export: Hashable, Sendable {
        /// YAML.
        public var text: String
        /// A sentence for each node without a key, in the order of the topology.
        public var missing: [String]
    }

    /// The keys of the nodes whose credentials are valid.
    public func export(for topology: Topology, at now: Timestamp) throws(KeysError) -> Export {
        try requireNetwork(of: topology)
        var export = Export(text: "", missing: [])
        for node in topology.nodes {
            guard let credential = credential(of: node.name) else {
                export.missing.append("\(node.name.quoted) has no credential")
                continue
            }
            if let why = objection(to: credential, at: now) {
                export.missing.append("\(node.name.quoted) \(why)")
            } else if credential.address != node.address {
                export.missing.append(
                    "\(node.name.quoted) has a credential for \(credential.address), of serial \(credential.serial), and "
                        + "is at \(node.address): certify it again")
            } else {
                export.text += "\(node.name): \(credential.key)\n"
            }
        }
        guard !export.text.isEmpty else {
            throw .refused((["no node has a valid credential"] + export.missing).joined(separator: "; "))
        }
        return export
    }

    /// Seals the text of a topology, under the next revision.
    /// - Parameter text: what the topology was read from.
    public mutating func seal(
        _ topology: Topology, text: [UInt8], _ passphrase: Passphrase, _ cost: DerivationCost = .standard,
        using generator: inout some RandomNumberGenerator
    ) throws(KeysError) -> SealedFile {
        try requireNetwork(of: topology)
        let sealed = try SealedFile.seal(
            text, .topology, of: network, revision: topologyRevision + 1, by: secret, passphrase, cost,
            using: &generator)
        topologyRevision += 1
        return sealed
    }

    func requireNetwork(of topology: Topology) throws(KeysError) {
        guard topology.network == network else {
            throw .refused(
                "\(topology.source) is of the network \(topology.network.quoted), the keyset of \(network.quoted)")
        }
    }

    /// Why a node's newest credential does not count.
    private func objection(to credential: Credential, at now: Timestamp) -> String? {
        let serial = "of serial \(credential.serial)"
        return switch state(of: credential, at: now) {
        case .valid, .superseded: nil
        case .early: "has a credential that is not valid before \(credential.issued), \(serial)"
        case .expired: "has a credential that expired at \(credential.expires), \(serial)"
        case .revoked: "has a credential that was revoked, \(serial)"
        }
    }

    private func unknown(_ node: String) -> KeysError {
        var nearest = NearestWord()
        let suggestion = nearest.find(node, in: Set(credentials.map(\.node)).sorted())
        return .unknown(
            "the keyset has no credential of \(node.quoted)" + (suggestion.map { "; did you mean \($0.quoted)?" } ?? "")
        )
    }
}

extension Keyset {
    /// Seals it, under its next revision.
    public mutating func sealed(
        _ passphrase: Passphrase, _ cost: DerivationCost = .standard, using generator: inout some RandomNumberGenerator
    ) throws(KeysError) -> SealedFile {
        let sealed = try SealedFile.seal(
            Array(text.utf8), .keyset, of: network, revision: revision + 1, by: secret, passphrase, cost,
            using: &generator)
        revision += 1
        return sealed
    }

    /// The authority, and then each credential.
    private var text: String {
        let head = Armour(
            kind: .keyset,
            fields: [("Network", network), ("Topology", "\(topologyRevision)"), ("Serial", "\(lastSerial)")]
                + (roster.term > 0 ? [("Roster", "\(roster)")] : []) + invited.sorted().map { ("Invited", "\($0)") }
                + revocations.sorted { $0.key < $1.key }.map { ("Revoked", "\($0.key) \($0.value)") },
            body: secret.seed)
        return head.text + credentials.map(\.text).joined()
    }

    /// Opens a sealed keyset.
    public init(_ sealed: SealedFile, _ passphrase: Passphrase) throws(KeysError) {
        var reader = try ArmourReader(sealed.open(passphrase))
        let head = try reader.next(.keyset)
        var values = Armour.Values(head)
        network = try values.name("Network")
        revision = sealed.revision
        topologyRevision = try values.number("Topology")
        lastSerial = try values.number("Serial")
        roster =
            values.next == "Roster"
            ? try values.take("Roster", "a term and a revision, as 1.7") { text in
                RosterVersion(text).flatMap { $0.term > 0 ? $0 : nil }
            } : RosterVersion()
        invited = []
        while values.next == "Invited" {
            let last = invited.max()
            invited.insert(
                try values.take("Invited", "a serial, in their order") { text in
                    UInt64(text).flatMap { Armour.isNumber(text) && $0 > last ?? 0 ? $0 : nil }
                })
        }
        revocations = [:]
        while values.next == "Revoked" {
            let (serial, time) = try values.take("Revoked", "a serial and a time") { Self.revocation($0) }
            revocations[serial] = time
        }
        try values.finish()
        guard let secret = Authority(seed: head.body), secret.publicKey == sealed.authority else {
            throw .refused("the keyset does not have the key of the authority that signed it")
        }
        self.secret = secret
        try sealed.require(network: network)
        credentials = []
        while !reader.isAtEnd {
            let credential = try Credential(try reader.next(.credential))
            guard credential.network == network, credential.authority == sealed.authority,
                credential.serial > credentials.last?.serial ?? 0, credential.serial <= lastSerial
            else {
                throw .refused("the keyset has a credential, of serial \(credential.serial), that is not its own")
            }
            credentials.append(credential)
        }
    }

    private static func revocation(_ text: String) -> (UInt64, Timestamp)? {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2, Armour.isNumber(parts[0]), let serial = UInt64(parts[0]),
            let time = Timestamp(String(parts[1]))
        else { return nil }
        return (serial, time)
    }
}
