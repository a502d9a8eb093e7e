import PolicyModel

extension Agent {
    /// Whether an application may have an address that was asked for.
    func check(
        _ address: IPv4Address, in environment: PublishedEnvironment, named environmentName: String, for name: String,
        checkingReservation: Bool, ground: Ground
    ) throws(AgentError) {
        switch try asking({ try dataplane.owner(of: address) }) {
        case .noPolicy:
            throw .noPolicy
        case .outside:
            throw AgentError(.conflict, "\(address) is outside the address space")
        case .unassigned:
            throw AgentError(.conflict, "\(address) is in no environment, so not in “\(environmentName)”")
        case .environment(let id, let reserved):
            guard id == environment.id else {
                throw AgentError(.conflict, "\(address) is another environment's, not one of “\(environmentName)”")
            }
            if reserved, checkingReservation { try checkReservation(of: address, for: name) }
        }
        if let holder = try asking({ try dataplane.holder(of: address) }) {
            let other = ground.applications.first { $0.cgroupID == holder }
            let whose = other.map { "the application “\($0.name)”" } ?? "the cgroup with id \(holder)"
            throw AgentError(
                .conflict, "\(address) is taken by \(whose)", hint: "choose another address, or --address auto")
        }
        if ground.interfaceAddresses.contains(address) {
            throw AgentError(
                .conflict, "\(address) is on an interface of this host already",
                hint: "an application address is installed by the attachment; take it off the interface first")
        }
    }

    private func checkReservation(of address: IPv4Address, for name: String) throws(AgentError) {
        guard let (policy, _) = try publishedPolicy(),
            let owner = policy.applications.first(where: { $0.address == address }), owner.name != name
        else { return }
        throw AgentError(
            .conflict, "the policy gives \(address) to the application “\(owner.name)”",
            hint: "choose another address, or attach it under that name with --name \(owner.name)")
    }

    /// The lowest address of the environment that nobody has, on this host or by name in the policy.
    ///
    /// The first and the last address of a prefix are left out, as network and broadcast address, unless it is a /31 or /32.
    /// - Parameter policy: the published policy, where it was read already.
    func freeAddress(
        inEnvironment name: String, of policy: Policy? = nil, ground: Ground
    ) throws(AgentError) -> IPv4Address {
        var known = policy
        if known == nil { known = try publishedPolicy()?.policy }
        guard let policy = known else { throw .noPolicy }
        guard let environment = policy.environment(named: name) else { throw try unknownEnvironment(name) }
        var taken = ground.interfaceAddresses
        taken.formUnion(ground.applications.map(\.address))
        taken.formUnion(policy.applications.compactMap(\.address))
        for prefix in environment.addresses.sorted() {
            let edge: UInt32 = prefix.length < 31 ? 1 : 0
            for number in (prefix.network.rawValue + edge)...(prefix.last.rawValue - edge) {
                let address = IPv4Address(rawValue: number)
                if !taken.contains(address), try asking({ try dataplane.holder(of: address) }) == nil { return address }
            }
        }
        throw AgentError(
            .conflict, "no address of the environment “\(name)” is free",
            hint: "detach an application, or give the environment more addresses")
    }

    /// The error for an environment that the published policy does not have, with the nearest name that it has.
    func unknownEnvironment(_ name: String) throws(AgentError) -> AgentError {
        guard let (policy, _) = try publishedPolicy() else { return .noPolicy }
        return AgentError(
            .notFound, "the policy has no environment “\(name)”",
            hint: Name.nearest(to: name, among: policy.environments.map(\.name)))
    }
}
