import PolicyModel

/// The isolator's operations on one instance: each observes the kernel and the host, decides, changes, and says what it did.
///
/// An agent keeps no state of its own. The kernel is the state, so any number of agents, one after another under the
/// instance's lock, see the same applications. Every changing operation first finishes what a killed one left.
public struct Agent {
    /// The instance's name, which also names the cgroup that `exec` makes its cgroups in.
    public let instance: String
    let dataplane: any Dataplane
    let host: any Host

    /// An agent for an instance whose lock the caller holds.
    public init(instance: String, dataplane: any Dataplane, host: any Host) {
        self.instance = instance
        self.dataplane = dataplane
        self.host = host
    }

    /// Calls out to the dataplane or the host; what they throw becomes the agent's error.
    func asking<Answer>(_ question: () throws -> Answer) throws(AgentError) -> Answer {
        do {
            return try question()
        } catch {
            throw AgentError(error)
        }
    }

    /// The published policy, read and parsed; nil if none is published.
    ///
    /// This is linear in the policy's size: the plain path of `attach` stays clear of it.
    func publishedPolicy() throws(AgentError) -> (policy: Policy, published: PublishedPolicy)? {
        guard let published = try asking({ try dataplane.publishedPolicy() }) else { return nil }
        return (try Self.parse(published.text, source: published.source), published)
    }

    /// A policy file as a policy, or every error of it at once.
    static func parse(_ text: String, source: String) throws(AgentError) -> Policy {
        do {
            return try PolicyFile.parse(text, source: source)
        } catch {
            let lines = "\(error)".split(separator: "\n").map(String.init)
            let count = lines.count == 1 ? "an error" : "\(lines.count) errors"
            throw AgentError(.policyFile, "\(source) has \(count)", details: lines)
        }
    }
}
