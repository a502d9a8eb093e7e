extension Plan {
    /// Whether replacing `current` by `desired` may take away what it allowed.
    ///
    /// Errs on the safe side: false only where every rule of `current` still is there, or one that plainly allows more.
    public static func revokes(current: Policy?, desired: Policy) -> Bool {
        // Without a policy everything is denied already.
        guard let current else { return false }
        // A change of the address space turns remotes into unassigned addresses, or the other way round.
        guard Set(current.addressSpace) == Set(desired.addressSpace),
            Set(desired.addressSpaceInterfaces).isSuperset(of: current.addressSpaceInterfaces),
            Set(desired.loopbackShared).isSuperset(of: current.loopbackShared)
        else { return true }
        let environments = Dictionary(
            desired.environments.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for before in current.environments {
            guard let after = environments[before.name], after.allowsAll(that: before) else { return true }
        }
        // An application that moves leaves flows behind, and permits to it mean another address.
        let applications = Dictionary(
            desired.applications.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for before in current.applications {
            guard let after = applications[before.name], after.environment == before.environment,
                after.addresses == before.addresses
            else { return true }
        }
        return false
    }
}

extension Environment {
    /// The same without the lines of the file, to compare what two files say.
    var withoutLines: Environment {
        var copy = self
        copy.line = 0
        copy.remoteIn = remoteIn.withoutLines
        copy.remoteOut = remoteOut.withoutLines
        copy.permits = permits.map { Permit(to: $0.environment, application: $0.application, ports: $0.ports) }
        return copy
    }

    /// Whether it plainly allows whatever `other` allowed. False may also mean that it is not plain.
    fileprivate func allowsAll(that other: Environment) -> Bool {
        Set(addresses).isSuperset(of: other.addresses)
            && remoteIn.allowsAll(that: other.remoteIn) && remoteOut.allowsAll(that: other.remoteOut)
            && (host || !other.host) && (linkLocal || !other.linkLocal) && (multicast || !other.multicast)
            && (!strict || other.strict)
            && protocols.isSuperset(of: other.protocols) && (mode == .audit || other.mode == .enforce)
            && permitsAll(that: other)
    }

    /// Whether each permit of `other` is one of this environment's, with all of its ports.
    private func permitsAll(that other: Environment) -> Bool {
        struct Target: Hashable {
            var environment: String
            var application: String?
        }
        var ports: [Target: Set<PortRule>] = [:]
        for permit in permits {
            ports[Target(environment: permit.environment, application: permit.application), default: []]
                .formUnion(permit.ports)
        }
        return other.permits.allSatisfy { permit in
            ports[Target(environment: permit.environment, application: permit.application), default: []]
                .isSuperset(of: permit.ports)
        }
    }
}

extension RemotePolicy {
    /// The same without the lines of the file.
    fileprivate var withoutLines: RemotePolicy {
        RemotePolicy(
            otherwise: otherwise, rules: rules.map { RemoteRule(prefix: $0.prefix, ports: $0.ports, allows: $0.allows) }
        )
    }

    /// Whether it is the same, or allows everything.
    fileprivate func allowsAll(that other: RemotePolicy) -> Bool {
        (otherwise && rules.allSatisfy(\.allows)) || withoutLines == other.withoutLines
    }
}
