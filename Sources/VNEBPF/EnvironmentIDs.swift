internal import PolicyModel
internal import VNEPrograms

/// The ids that environments have by earlier images and by attached applications, and must keep.
public struct EnvironmentIDs: Hashable, Sendable {
    /// Ids by name.
    public var byName: [String: UInt32]
    /// Ids that attachments refer to: nobody but the environment that has them gets them.
    public var referenced: Set<UInt32>

    /// Ids from their parts.
    public init(byName: [String: UInt32] = [:], referenced: Set<UInt32> = []) {
        self.byName = byName
        self.referenced = referenced
    }

    /// Gives every environment of a policy an id: the one that it has, or the lowest that nothing else has.
    func assigned(to policy: Policy) throws(PolicyImageError) -> [String: UInt32] {
        var ids: [String: UInt32] = [:]
        ids.reserveCapacity(policy.environments.count)
        var taken = referenced
        for environment in policy.environments {
            guard let id = byName[environment.name] else { continue }
            ids[environment.name] = id
            taken.insert(id)
        }
        var next: UInt32 = 0
        var seen: Set<String> = []
        for environment in policy.environments {
            guard seen.insert(environment.name).inserted else {
                throw PolicyImageError(
                    source: policy.source, line: environment.line, problem: .duplicateEnvironment(environment.name))
            }
            guard ids[environment.name] == nil else { continue }
            while taken.contains(next) { next += 1 }
            ids[environment.name] = next
            next += 1
        }
        return ids
    }
}
