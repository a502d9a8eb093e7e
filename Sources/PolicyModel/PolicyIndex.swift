/// A policy, prepared for many verdicts: what holds an address, and who has a name, in logarithmic or constant time.
public struct PolicyIndex: Sendable {
    /// What was indexed.
    public let policy: Policy

    /// An environment's addresses.
    private struct Owner: Sendable {
        var prefix: IPPrefix
        var environment: Int
    }
    /// Sorted by prefix.
    private let owners: [Owner]
    private let space: AddressRanges
    private let environmentIndices: [String: Int]
    private let applicationIndices: [String: Int]
    /// Permits from an environment to another one, as indices into the former's, in the order of the file.
    private let permitIndices: [Pair: [Int]]

    private struct Pair: Hashable, Sendable {
        var from: Int
        var to: Int
    }

    /// Indexes a policy that ``PolicyFile`` found valid. Where a name is there twice, the first one counts.
    public init(_ policy: Policy) {
        self.policy = policy
        owners = policy.environments.enumerated()
            .flatMap { index, environment in environment.addresses.map { Owner(prefix: $0, environment: index) } }
            .sorted { $0.prefix < $1.prefix }
        space = AddressRanges(policy.addressSpace)
        let indices = Dictionary(
            policy.environments.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        environmentIndices = indices
        applicationIndices = Dictionary(
            policy.applications.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        var permits: [Pair: [Int]] = [:]
        for (from, environment) in policy.environments.enumerated() {
            for (index, permit) in environment.permits.enumerated() {
                guard let to = indices[permit.environment] else { continue }
                permits[Pair(from: from, to: to), default: []].append(index)
            }
        }
        permitIndices = permits
    }

    /// The environment of this name.
    public func environment(named name: String) -> Environment? {
        environmentIndices[name].map { policy.environments[$0] }
    }

    /// The application of this name.
    public func application(named name: String) -> Application? {
        applicationIndices[name].map { policy.applications[$0] }
    }

    /// The environment that holds the address.
    public func environment(holding address: IPAddress) -> Environment? {
        owner(of: address).map { policy.environments[$0] }
    }

    /// Whether the address is in the address space.
    public func isInAddressSpace(_ address: IPAddress) -> Bool {
        space.contains(address)
    }

    /// What the address is, on a host: the first that matches of the order of ``AddressClass``.
    public func classify(_ address: IPAddress, on host: HostView) -> AddressClass {
        if let owner = owner(of: address) { return .environment(policy.environments[owner].name) }
        if space.contains(address) { return .unassigned }
        let fixed = AddressClass.fixed.first { $0.prefix.contains(address) }?.class
        if let fixed, fixed != .linkLocal { return fixed }
        if host.broadcasts.contains(address) { return .broadcast }
        if host.addresses.contains(address) { return .host }
        return fixed ?? .remote
    }

    /// The first permit from one environment to another one, or to the application of it with this address, that covers
    /// the flow.
    func permit(
        from: String, to: String, address: IPAddress, covering transport: TransportProtocol, _ port: UInt16
    ) -> Permit? {
        guard let source = environmentIndices[from], let target = environmentIndices[to] else { return nil }
        for index in permitIndices[Pair(from: source, to: target), default: []] {
            let permit = policy.environments[source].permits[index]
            // An application's address lies in its environment, so that the address says enough.
            if let name = permit.application, application(named: name)?.addresses?.contains(address) != true {
                continue
            }
            if permit.ports.contains(where: { $0.covers(transport, port) }) { return permit }
        }
        return nil
    }

    /// The index of the environment that holds the address: prefixes do not overlap, so it can only be the last one
    /// that begins at or before it.
    private func owner(of address: IPAddress) -> Int? {
        var low = 0
        var high = owners.count
        while low < high {
            let middle = (low + high) / 2
            if owners[middle].prefix.network <= address {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low > 0, owners[low - 1].prefix.contains(address) else { return nil }
        return owners[low - 1].environment
    }
}
