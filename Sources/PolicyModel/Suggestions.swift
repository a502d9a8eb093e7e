/// What a policy would have to say so that it allows what was denied, and what no policy can say.
public struct Suggestions: Hashable, Sendable {
    /// What to add to the environments of the policy, in its order; only those that need something.
    public var environments: [EnvironmentSuggestion] = []
    /// Denials that no rule lifts, in the order of their records.
    public var unallowable: [UnallowableDenial] = []
    /// How many of the denials the policy allows by now.
    public var allowedNow = 0
    /// How many denials of reachability were left out, as they were enforced.
    public var enforced = 0

    /// The ports of one permitted pair, or of one remote address, come to at most so many ranges (`VNE_RULES_MAX`).
    public static let rangesAtMost = 64
}

/// What to add to one environment.
public struct EnvironmentSuggestion: Hashable, Sendable {
    /// The environment's name.
    public var environment: String
    /// To add to its permits.
    public var permits: [SuggestedPermit] = []
    /// What to say in place of its `remote`; nil where that may stay.
    public var remote: SuggestedRemote?
    /// Its other keys to change.
    public var switches: [SuggestedSwitch] = []

    var isEmpty: Bool { permits.isEmpty && remote == nil && switches.isEmpty }
}

/// The denials that a suggestion comes from.
public struct Evidence: Hashable, Sendable {
    /// How many.
    public var denials = 0
    /// Whose: names of applications, sorted.
    public var applications: [String] = []

    mutating func add(_ count: Int, of application: String) {
        denials += count
        guard !applications.contains(application) else { return }
        applications.append(application)
        applications.sort()
    }
}

/// A permit that would have allowed denials.
public struct SuggestedPermit: Hashable, Sendable {
    /// The permit.
    public var permit: Permit
    /// The addresses that were called, where the permit is to a whole environment: no application of the policy has one
    /// of them as its own.
    public var addresses: [IPAddress]
    /// What it comes from.
    public var evidence: Evidence
}

/// What `remote` would have to say.
public struct SuggestedRemote: Hashable, Sendable {
    /// An address that flows were denied with.
    public struct Entry: Hashable, Sendable {
        /// The remote's address.
        public var address: IPAddress
        /// What was tried.
        public var ports: [PortRule]
        /// What it comes from.
        public var evidence: Evidence
    }
    /// What is new of flows that remotes begin.
    public var entriesIn: [Entry]
    /// What is new of flows that applications begin.
    public var entriesOut: [Entry]
    /// What `in` says with that.
    public var remoteIn: RemotePolicy
    /// What `out` says with that.
    public var remoteOut: RemotePolicy
    /// The line of the file from which on the present `remote` says what it does; nil where it has none.
    public var line: Int?

    init(in entriesIn: [Entry], out entriesOut: [Entry], of environment: Environment) {
        self.entriesIn = entriesIn
        self.entriesOut = entriesOut
        remoteIn = environment.remoteIn.allowing(entriesIn)
        remoteOut = environment.remoteOut.allowing(entriesOut)
        let present = [environment.remoteIn, environment.remoteOut]
        line = present.flatMap { [$0.otherwiseLine] + $0.rules.map(\.line) }.compactMap { $0 }.min()
    }
}

extension RemotePolicy {
    fileprivate func allowing(_ entries: [SuggestedRemote.Entry]) -> Self {
        var policy = self
        policy.rules += entries.map { RemoteRule(prefix: IPPrefix($0.address), ports: $0.ports, allows: true) }
        return policy
    }
}

/// A key whose other value would have allowed denials, and more than those.
public struct SuggestedSwitch: Hashable, Sendable {
    /// Which key, with its value.
    public enum Key: String, CaseIterable, Hashable, Sendable {
        case host = "host: allow"
        case linkLocal = "linkLocal: true"
        case multicast = "multicast: true"
        case unix = "unix: shared"

        /// What it allows, in plain English.
        public var effect: String {
            switch self {
            case .host: "all flows between the environment and the host"
            case .linkLocal: "all flows with link-local peers"
            case .multicast: "all groups and broadcast addresses, over UDP"
            case .unix: "the abstract Unix sockets of others"
            }
        }
    }
    /// Which key, with its value.
    public var key: Key
    /// What it comes from.
    public var evidence: Evidence
}

/// Denials that no rule lifts.
public struct UnallowableDenial: Hashable, Sendable {
    /// The first of them.
    public var example: RecordedDenial
    /// Why, in plain English, without a full stop.
    public var why: String
    /// How many.
    public var denials: Int
}
