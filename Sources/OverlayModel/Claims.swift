public import PolicyModel

/// Who has which of the addresses that hosts may claim, as managers agreed on it.
///
/// A claim does not expire: it ends when its host gives it up, or when somebody takes it away. So a network that is cut in two
/// never has two owners of an address.
public struct Claims: Hashable, Sendable {
    /// Whose an address is.
    public struct Claim: Hashable, Sendable {
        /// The host's name.
        public var host: String
        /// The store's revision at which it was made: no two claims of a network have the same, and a later one has more.
        public var epoch: Int
        /// Another host, which it is about to be handed over to, or was from: where the owner announces no way to it, one that
        /// this host announces is kept at hand. It is no owner: no packet with that source is taken from it.
        public var alternate: String?

        /// A claim.
        public init(host: String, epoch: Int, alternate: String? = nil) {
            self.host = host
            self.epoch = epoch
            self.alternate = alternate
        }
    }

    /// By the address.
    public var holders: [IPAddress: Claim]

    /// Claims by the address.
    public init(_ holders: [IPAddress: Claim] = [:]) {
        self.holders = holders
    }

    /// Claims that were kept as ``text``; nil if that is none.
    public init?(text: String) {
        var holders: [IPAddress: Claim] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard (3...4).contains(words.count), let address = IPAddress(words[0]), let epoch = Int(words[2]) else {
                return nil
            }
            holders[address] = Claim(host: words[1], epoch: epoch, alternate: words.count > 3 ? words[3] : nil)
        }
        self.holders = holders
    }

    /// A line for each: the address, the host, the epoch, and the other host if there is one. In the order of the addresses.
    public var text: String {
        holders.sorted { $0.key < $1.key }.map { address, claim in
            "\(address) \(claim.host) \(claim.epoch)\(claim.alternate.map { " \($0)" } ?? "")\n"
        }.joined()
    }

    /// The addresses that a host has and may have, in their order: a claim that the topology does not allow is none.
    public func addresses(of host: Node) -> [IPAddress] {
        holders.filter { $0.value.host == host.name && host.mayClaim($0.key) }.keys.sorted()
    }

    /// The addresses that a host is about to get or gave away, and may have, in their order.
    func alternates(of host: Node) -> [IPAddress] {
        holders.filter { $0.value.alternate == host.name && host.mayClaim($0.key) }.keys.sorted()
    }

    /// What has to become of the claims so that a host has all that it wants and may have, and nothing else.
    public func change(of host: Node, wanting wanted: Set<IPAddress>, in topology: Topology) -> ClaimChange {
        var change = ClaimChange()
        for address in wanted.sorted() {
            if !host.mayClaim(address) {
                change.refused[address] = .notAllowed
            } else if let claim = holders[address], topology.node(named: claim.host)?.mayClaim(address) == true {
                if claim.host == host.name {
                    change.held.append(address)
                } else {
                    change.refused[address] = .held(claim.host)
                }
            } else {
                change.made.append(address)
            }
        }
        change.ended = holders.filter { $0.value.host == host.name && !wanted.contains($0.key) }.keys.sorted()
        return change
    }
}

extension Node {
    /// Whether the topology lets it claim an address.
    public func mayClaim(_ address: IPAddress) -> Bool { claims.contains { $0.contains(address) } }
}

/// How the claims of one host change.
public struct ClaimChange: Hashable, Sendable {
    /// Why a host does not get an address.
    public enum Refusal: Hashable, Sendable {
        /// The host of that name has it.
        case held(String)
        /// The topology does not let the host claim it.
        case notAllowed
    }

    /// What the host has already, and keeps.
    public var held: [IPAddress] = []
    /// What it has from now on: nobody has it, or somebody whom the topology does not let claim it any more.
    public var made: [IPAddress] = []
    /// What it has no more.
    public var ended: [IPAddress] = []
    /// Who has of that what it hands over, by the host's name, from the same commit on.
    public var passed: [IPAddress: String] = [:]
    /// What it does not get.
    public var refused: [IPAddress: Refusal] = [:]

    /// Whether something that it does not get is another host's, and may become free.
    public var mayPass: Bool {
        refused.values.contains { if case .held = $0 { true } else { false } }
    }

    /// Whether there is something to change.
    public var isEmpty: Bool { made.isEmpty && ended.isEmpty }
}
