public import PolicyModel

/// A policy that was published on trial, and the one that it took the place of.
public struct Trial: Sendable {
    /// What was published before.
    public var previous: PublishedPolicy
    /// The text that is on trial.
    public var text: String
    /// What it is called.
    public var source: String

    /// A trial of a policy over another one.
    public init(of text: String, source: String, over previous: PublishedPolicy) {
        self.previous = previous
        self.text = text
        self.source = source
    }
}

extension Agent {
    /// What can be gone back to if a policy that is published now turns out wrong. Throws if there is nothing.
    public func trial(of text: String, source: String) throws(AgentError) -> Trial {
        guard let previous = try asking({ try dataplane.publishedPolicy() }) else {
            throw AgentError(
                .notFound, "no policy is published that could be gone back to",
                hint: "apply the first policy without --confirm")
        }
        return Trial(of: text, source: source, over: previous)
    }

    /// Applies the policy from before a trial again; nil if what is published is no longer the one on trial.
    public func rollBack(_ trial: Trial) throws(AgentError) -> ApplyReport? {
        let published = try asking { try dataplane.publishedPolicy() }
        guard published?.text == trial.text, published?.source == trial.source else { return nil }
        return try apply(trial.previous.text, source: trial.previous.source)
    }
}
