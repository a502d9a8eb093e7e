import PolicyModel

extension Agent {
    /// The addresses that an application gets: those that were asked for, if it may have them, or free ones.
    func addresses(
        _ choice: AddressChoice, in environment: PublishedEnvironment, named environmentName: String, for name: String,
        of policy: Policy?, ground: Ground
    ) throws(AgentError) -> ApplicationAddresses {
        switch choice {
        case .fixed(let wanted):
            for address in wanted.all {
                try check(
                    address, in: environment, named: environmentName, for: name, checkingReservation: policy == nil,
                    ground: ground)
            }
            return wanted
        case .auto:
            return try freeAddresses(inEnvironment: environmentName, for: name, of: policy, ground: ground)
        }
    }

    /// Whether an application may have an address that was asked for.
    private func check(
        _ address: IPAddress, in environment: PublishedEnvironment, named environmentName: String, for name: String,
        checkingReservation: Bool, ground: Ground
    ) throws(AgentError) {
        guard environment.families.contains(address.family) else {
            throw AgentError(
                .conflict, "the environment “\(environmentName)” has no \(address.family.name) addresses",
                hint: "leave \(address) out, or give the environment \(address.family.name) addresses")
        }
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

    private func checkReservation(of address: IPAddress, for name: String) throws(AgentError) {
        guard let (policy, _) = try publishedPolicy(),
            let owner = policy.applications.first(where: { $0.addresses?.contains(address) == true }),
            owner.name != name
        else { return }
        throw AgentError(
            .conflict, "the policy gives \(address) to the application “\(owner.name)”",
            hint: "choose another address, or attach it under that name with --name \(owner.name)")
    }

    /// An address of each family in which the environment has addresses: one that is kept, if it is the environment's; or
    /// what an application of this name had last; or the lowest that nobody has or had, on this host, by name in the
    /// policy, or on the link; or the one that was given up the longest ago.
    /// - Parameters:
    ///   - application: its name.
    ///   - policy: the published policy, where it was read already.
    ///   - kept: addresses that the application has and that it keeps where it can.
    func freeAddresses(
        inEnvironment name: String, for application: String, of policy: Policy? = nil,
        keeping kept: ApplicationAddresses? = nil, ground: Ground
    ) throws(AgentError) -> ApplicationAddresses {
        var known = policy
        if known == nil { known = try publishedPolicy()?.policy }
        guard let policy = known else { throw .noPolicy }
        guard let environment = policy.environment(named: name) else { throw try unknownEnvironment(name) }
        var taken = try taken(by: policy, ground: ground)
        let leases = leases()
        while true {
            var found: [AddressFamily: IPAddress] = [:]
            for family in AddressFamily.allCases where environment.families.contains(family) {
                if let old = kept?[family], environment.contains(old) {
                    found[family] = old
                } else {
                    found[family] = try freeAddresses(
                        1, of: environment, family, for: application, besides: taken, leases: leases
                    ).first
                }
                guard found[family] == nil else { continue }
                throw AgentError(
                    .conflict, "no \(family.name) address of the environment “\(name)” is free",
                    hint: "detach an application, or give the environment more addresses")
            }
            guard let addresses = ApplicationAddresses(found.values) else {
                throw AgentError(
                    .conflict, "the environment “\(name)” has no addresses", hint: "give it some in the policy file")
            }
            let unknown = Set(addresses.all).subtracting(ground.free)
            guard try carrier() != nil, case let others = unknown.subtracting(try free(unknown)), !others.isEmpty else {
                return addresses
            }
            taken.formUnion(others)
        }
    }

    /// What `auto` is likely to choose for applications that a policy names, so that the link is asked for it at once.
    func likelyAddresses(
        of applications: [Application], in policy: Policy, ground: Ground
    ) throws(AgentError) -> Set<IPAddress> {
        let leases = leases()
        var likely: Set<IPAddress> = []
        for (name, members) in Dictionary(grouping: applications, by: \.environment) {
            guard let environment = policy.environment(named: name) else { continue }
            let taken = try taken(by: policy, ground: ground)
            for family in environment.families {
                likely.formUnion(members.compactMap { leases.addresses(of: $0.name)?[family] })
                likely.formUnion(
                    try freeAddresses(
                        members.count, of: environment, family, for: "", besides: taken, leases: leases))
            }
        }
        return likely
    }

    private func taken(by policy: Policy, ground: Ground) throws(AgentError) -> Set<IPAddress> {
        var taken = ground.interfaceAddresses
        taken.formUnion(ground.applications.flatMap(\.addresses.all))
        taken.formUnion(policy.applications.flatMap { $0.addresses?.all ?? [] })
        return taken
    }

    /// The first so many addresses of a family that are free, best first.
    private func freeAddresses(
        _ count: Int, of environment: Environment, _ family: AddressFamily, for application: String,
        besides taken: Set<IPAddress>, leases: Leases
    ) throws(AgentError) -> [IPAddress] {
        let leased = leases.addresses(of: family)
        let own = leases.addresses(of: application)?[family].map { [$0] } ?? []
        var found: [IPAddress] = []
        for address in own where environment.contains(address) && !taken.contains(address) {
            if try asking({ try dataplane.holder(of: address) }) == nil { found.append(address) }
        }
        let prefixes = environment.addresses.filter { $0.family == family }.sorted()
        found += try lowestAddresses(count - found.count, of: prefixes, besides: taken.union(leased))
        for address in leased where found.count < count && environment.contains(address) && !taken.contains(address) {
            if try asking({ try dataplane.holder(of: address) }) == nil { found.append(address) }
        }
        return found
    }

    /// The lowest so many addresses that are neither taken nor held.
    ///
    /// Left out are the first and the last address of an IPv4 prefix, as network and broadcast address, unless it is a /31
    /// or /32, and the first one of an IPv6 prefix, which is the anycast address of its routers (RFC 4291, section 2.6.1),
    /// unless it is a /127 or /128.
    private func lowestAddresses(
        _ count: Int, of prefixes: [IPPrefix], besides taken: Set<IPAddress>
    ) throws(AgentError) -> [IPAddress] {
        var found: [IPAddress] = []
        for prefix in prefixes {
            let hasEdges = prefix.family.width - prefix.length > 1
            var number = prefix.network.rawValue + (hasEdges ? 1 : 0)
            let last = prefix.last.rawValue - (hasEdges && prefix.family == .ipv4 ? 1 : 0)
            while true {
                guard found.count < count else { return found }
                let address = IPAddress(rawValue: number)
                if !taken.contains(address), try asking({ try dataplane.holder(of: address) }) == nil {
                    found.append(address)
                }
                guard number < last else { break }
                number += 1
            }
        }
        return found
    }

    /// The lowest private loopback that no application has, half-made ones included.
    func freeLoopback(besides taken: TakenLoopbacks) throws(AgentError) -> PrivateLoopback {
        let blocks = type(of: host).loopbackBlocks
        guard taken.firstFree < blocks else {
            throw AgentError(
                .conflict, "each of the \(blocks) private loopbacks is taken", hint: "detach an application")
        }
        return host.privateLoopback(block: taken.firstFree)
    }

    /// The private loopbacks of applications.
    func takenLoopbacks(of applications: [AttachedApplication]) -> TakenLoopbacks {
        var taken = TakenLoopbacks(first: host.privateLoopback(block: 0))
        for application in applications { taken.insert(application.loopback) }
        return taken
    }

    /// The error for an environment that the published policy does not have, with the nearest name that it has.
    func unknownEnvironment(_ name: String) throws(AgentError) -> AgentError {
        guard let (policy, _) = try publishedPolicy() else { return .noPolicy }
        return AgentError(
            .notFound, "the policy has no environment “\(name)”",
            hint: Name.nearest(to: name, among: policy.environments.map(\.name)))
    }
}

/// Which private loopbacks are somebody's.
struct TakenLoopbacks {
    private let first: UInt128
    private var blocks: Set<UInt32> = []
    /// The least block that is nobody's.
    private(set) var firstFree: UInt32 = 0

    /// None. Blocks count from a loopback, a /24 of IPv4 each.
    init(first: PrivateLoopback) {
        self.first = first.ipv4.rawValue
    }

    /// Notes that a loopback is somebody's.
    mutating func insert(_ loopback: PrivateLoopback) {
        blocks.insert(UInt32(truncatingIfNeeded: (loopback.ipv4.rawValue &- first) >> 8))
        while blocks.contains(firstFree) { firstFree += 1 }
    }
}
