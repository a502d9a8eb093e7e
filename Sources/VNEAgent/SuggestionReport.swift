public import PolicyModel

/// What `suggest` shows: what to add to the policy, and what it rests on.
public struct SuggestionReport: Hashable, Sendable, Codable {
    /// A permit to add.
    public struct Permit: Hashable, Sendable, Codable {
        /// The environment whose permit it is.
        public var from: String
        /// `ENVIRONMENT` or `ENVIRONMENT/APPLICATION`.
        public var to: String
        /// As the policy file writes them.
        public var ports: [String]
        /// How many denials it comes from.
        public var denials: Int
        /// Whose those were.
        public var applications: [String]
    }
    /// An entry to add to `remote.in.allow` or `remote.out.allow`.
    public struct Remote: Hashable, Sendable, Codable {
        /// The environment whose entry it is.
        public var environment: String
        /// `in` or `out`.
        public var direction: String
        /// The remote's address.
        public var address: IPAddress
        /// As the policy file writes them.
        public var ports: [String]
        /// How many denials it comes from.
        public var denials: Int
        /// Whose those were.
        public var applications: [String]
    }
    /// A key to change, which allows more than what was denied.
    public struct Key: Hashable, Sendable, Codable {
        /// The environment whose key it is.
        public var environment: String
        /// As the policy file writes it, such as `host: allow`.
        public var key: String
        /// How many denials it comes from.
        public var denials: Int
        /// Whose those were.
        public var applications: [String]
    }
    /// Denials that no rule lifts.
    public struct Unallowable: Hashable, Sendable, Codable {
        /// The application's name.
        public var application: String
        /// The reason's word.
        public var reason: String
        /// One of them and why, as a sentence.
        public var sentence: String
        /// How many.
        public var denials: Int
    }
    /// An application of which more was denied than was recorded.
    public struct Gap: Hashable, Sendable, Codable {
        /// Since when was counted.
        public enum Start: String, Hashable, Sendable, Codable {
            /// Since the application was attached.
            case attached
            /// Since the command began to watch.
            case watched
        }
        /// The application's name.
        public var application: String
        /// Since when was counted.
        public var since: Start
        /// How many denials its hooks counted.
        public var counted: UInt64
        /// How many records there are of them.
        public var recorded: UInt64
    }
    /// Permits to add.
    public var permits: [Permit]
    /// Entries to add to lists of remotes.
    public var remotes: [Remote]
    /// Keys to change.
    public var keys: [Key]
    /// What no rule allows.
    public var unallowable: [Unallowable]
    /// How many of the denials the policy allows by now.
    public var allowedNow: Int
    /// How many were left out, as they were enforced.
    public var enforced: Int
    /// Where records are missing: by name.
    public var gaps: [Gap]
    /// All of it as a part of a policy file.
    public var yaml: String

    /// A report from suggestions and what is missing of their records.
    init(_ suggestions: Suggestions, gaps: [Gap]) {
        permits = suggestions.environments.flatMap { environment in
            environment.permits.map {
                Permit(
                    from: environment.environment, to: $0.permit.target, ports: $0.permit.ports.map(\.description),
                    denials: $0.evidence.denials, applications: $0.evidence.applications)
            }
        }
        remotes = suggestions.environments.flatMap { environment in
            let entries = { (entries: [SuggestedRemote.Entry]?, direction: String) in
                (entries ?? []).map {
                    Remote(
                        environment: environment.environment, direction: direction, address: $0.address,
                        ports: $0.ports.map(\.description), denials: $0.evidence.denials,
                        applications: $0.evidence.applications)
                }
            }
            return entries(environment.remote?.entriesIn, "in") + entries(environment.remote?.entriesOut, "out")
        }
        keys = suggestions.environments.flatMap { environment in
            environment.switches.map {
                Key(
                    environment: environment.environment, key: $0.key.rawValue, denials: $0.evidence.denials,
                    applications: $0.evidence.applications)
            }
        }
        unallowable = suggestions.unallowable.map {
            Unallowable(
                application: $0.example.application, reason: $0.example.reason.name, sentence: $0.description,
                denials: $0.denials)
        }
        allowedNow = suggestions.allowedNow
        enforced = suggestions.enforced
        self.gaps = gaps
        var notes = gaps.map { gap in
            let start = gap.since == .attached ? "it was attached" : "this command began"
            return
                "\(gap.application): \(gap.counted) denials were counted since \(start), and \(gap.recorded) recorded."
        }
        if !gaps.isEmpty {
            notes.append("So this is a part of what was denied: add it, and learn again until nothing is new.")
        }
        yaml = suggestions.yaml(notes: notes)
    }
}

extension SuggestionReport: CustomStringConvertible {
    /// What to paste.
    public var description: String { yaml }
}
