public import PolicyModel

/// What `check` found in a policy file without errors.
public struct PolicyCheck: Hashable, Sendable, Codable {
    /// The file's name as it was given.
    public var source: String
    /// How many environments it has.
    public var environments: Int
    /// How many applications it names.
    public var applications: Int
    /// What is allowed, and may not be what was meant, on this host.
    public var warnings: [String]
    /// Applications that `apply` would not attach, as their environments require what does not hold here.
    public var unmet: [String]
}

/// Addresses that this host depends on, beside those of its interfaces.
public struct HostDependencies: Hashable, Sendable {
    /// Next hops of its routes.
    public var gateways: Set<IPAddress>
    /// Name servers of `/etc/resolv.conf`.
    public var resolvers: Set<IPAddress>

    /// Dependencies from their parts.
    public init(gateways: Set<IPAddress> = [], resolvers: Set<IPAddress> = []) {
        self.gateways = gateways
        self.resolvers = resolvers
    }
}

extension Agent {
    /// Reads a policy file as `apply` would, and says what of it does not fit this host. Changes nothing.
    public func check(
        _ text: String, source: String, dependencies: HostDependencies = HostDependencies()
    ) throws(AgentError) -> PolicyCheck {
        let policy = try Self.parse(text, source: source)
        let attached = Set(try asking { try dataplane.applications() }.flatMap(\.addresses.all))
        let interfaces = try asking { try host.interfaceAddresses() }.subtracting(attached)
        var warnings = Self.overlaps(of: policy, interfaces: interfaces, dependencies: dependencies)
        if !interfaces.showIPv6 { warnings += Self.withoutIPv6(policy) }
        let unmet = requirements(of: policy, warnings: &warnings)
        let names = policy.addressSpaceInterfaces + (policy.interface.map { [$0] } ?? [])
        if !names.isEmpty {
            let view = try asking { try host.view(interfaces: names, excluding: attached) }
            warnings += Set(names).sorted().filter { view.interfaces[$0] == nil }.map {
                "there is no interface “\($0)”"
            }
        }
        var populated: Set<String> = []
        for application in policy.applications {
            populated.insert(application.environment)
            guard let path = application.cgroup else { continue }
            do {
                host.close(try asking { try host.openCgroup(path) })
            } catch {
                warnings.append("line \(application.line): \(application.name) waits for its cgroup \(path): \(error)")
            }
        }
        warnings += try guardWarnings(of: policy)
        for environment in policy.environments where environment.mode == .audit {
            warnings.append(
                "line \(environment.line): \(environment.name) is in audit mode: what it denies is let through")
        }
        let idle = policy.environments.filter { !populated.contains($0.name) }
        if !idle.isEmpty, !policy.applications.isEmpty {
            let shown = idle.prefix(5).map(\.name).joined(separator: ", ") + (idle.count > 5 ? ", …" : "")
            warnings.append("no application is named for \(idle.count) environment(s): \(shown)")
        }
        return PolicyCheck(
            source: source, environments: policy.environments.count, applications: policy.applications.count,
            warnings: warnings, unmet: unmet)
    }

    /// What environments require and does not hold here: what `apply` would fail at, and what it would not, as a warning.
    private func requirements(of policy: Policy, warnings: inout [String]) -> [String] {
        let requiring = policy.environments.filter { !$0.requires.isEmpty }
        guard !requiring.isEmpty else { return [] }
        let holdings = visibleHoldings()
        var unmet: [String] = []
        for environment in requiring {
            let missing = holdings.missing(environment.requires, confined: false)
            guard !missing.isEmpty else { continue }
            let what =
                "line \(environment.line): \(environment.name) requires what does not hold here ("
                + holdings.reasons(for: missing).joined(separator: "; ") + ")"
            let named = policy.applications.filter { $0.environment == environment.name && $0.cgroup != nil }
            if missing.contains(where: { holdings.unseen[$0] != nil }) {
                warnings.append(
                    "line \(environment.line): \(environment.name) requires \(Protection.list(missing)): "
                        + "only root can see whether it holds")
            } else if !named.isEmpty {
                let shown = named.prefix(5).map(\.name).joined(separator: ", ") + (named.count > 5 ? ", …" : "")
                unmet.append("\(what): \(named.count) application(s) would not be attached (\(shown))")
            } else if missing.allSatisfy(Protection.byConfinement.contains) {
                warnings.append("\(what): only what vne-agent exec --confine starts can be attached")
            } else {
                warnings.append("\(what): no application can be attached")
            }
        }
        return unmet
    }
}

extension Agent {
    /// What this host has or depends on that lies in the address space, where nobody but applications should be.
    static func overlaps(
        of policy: Policy, interfaces: Set<IPAddress>, dependencies: HostDependencies
    ) -> [String] {
        let index = PolicyIndex(policy)
        let surroundings = [
            (interfaces, "this host's own address"), (dependencies.gateways, "the gateway"),
            (dependencies.resolvers, "the name server"),
        ]
        return surroundings.flatMap { addresses, what in
            addresses.sorted().filter(index.isInAddressSpace).map { address in
                let place = index.environment(holding: address).map { "the environment \($0.name)" } ?? "no environment"
                return
                    "\(what) \(address) is inside the address space, in \(place): applications are judged by permits "
                    + "when they talk to it, not as to the host or a remote"
            }
        }
    }

    /// What of a policy cannot be on a host without IPv6.
    private static func withoutIPv6(_ policy: Policy) -> [String] {
        let stuck = policy.applications.filter { application in
            if let addresses = application.addresses { return addresses.ipv6 != nil }
            return policy.environment(named: application.environment)?.families.contains(.ipv6) == true
        }
        guard !stuck.isEmpty else { return [] }
        let shown = stuck.prefix(5).map(\.name).joined(separator: ", ") + (stuck.count > 5 ? ", …" : "")
        return [
            "this host has no IPv6: \(stuck.count) application(s) with an IPv6 address cannot be attached (\(shown)); switch "
                + "it on (sysctl net.ipv6.conf.all.disable_ipv6=0), or give them IPv4 addresses only"
        ]
    }
}

extension PolicyCheck: CustomStringConvertible {
    /// For people: one line, and one for each warning.
    public var description: String {
        let summary = "\(source): no errors; \(environments) environment(s), \(applications) application(s)"
        return ([summary] + unmet.map { "unmet: \($0)" } + warnings.map { "warning: \($0)" }).joined(separator: "\n")
    }
}
