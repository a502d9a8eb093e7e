public import PolicyModel

/// A guarded cgroup, as `status` and `list` show it.
public struct GuardStatus: Hashable, Sendable, Codable {
    /// Relative to the cgroup2 mount; `/` for the whole host.
    public var cgroup: String
    /// Whether that cgroup still is there.
    public var cgroupExists: Bool
    /// How far the guard is.
    public var state: AttachedApplication.State
    /// What it refused since it was attached, by the hook's word.
    public var refused: [String: UInt64]

    /// One word for tables.
    public var word: String {
        if !cgroupExists { return "cgroup-gone" }
        return state == .attached ? "guarded" : state.rawValue
    }
}

extension Agent {
    /// The guarded cgroups with what their guards refused.
    public func guards() throws(AgentError) -> [GuardStatus] {
        var guards: [GuardStatus] = []
        for cgroup in try asking({ try dataplane.guardedCgroups() }).sorted(by: { $0.path < $1.path }) {
            let refusals = try asking { try dataplane.refusals(of: cgroup) }
            guards.append(
                GuardStatus(
                    cgroup: cgroup.path, cgroupExists: !isGone(cgroup), state: cgroup.state,
                    refused: Dictionary(uniqueKeysWithValues: refusals.map { ($0.key.name, $0.value) })))
        }
        return guards
    }

    /// What of the guards is not as it should be.
    static func problems(of guards: [GuardStatus], in policy: Policy?) -> [String] {
        let broken = guards.filter { $0.word != "guarded" }.map {
            "the guard of \($0.cgroup) is \($0.word): the next changing command puts that right"
        }
        let names = Set(guards.map(\.cgroup))
        let missing = (policy?.hostGuard?.cgroups ?? []).filter { !names.contains($0) }
        return broken
            + missing.map { "the policy has \($0) guarded and it is not: apply the policy again once it is there" }
    }

    // MARK: - Changing

    /// Finishes what killed commands left of guards, and forgets those whose cgroup is gone.
    func settleGuards(into ground: inout Ground) throws(AgentError) {
        for cgroup in try asking({ try dataplane.guardedCgroups() }) {
            let name = Self.name(ofGuard: cgroup.path)
            do {
                if cgroup.state == .detaching {
                    try asking { try dataplane.unprotect(cgroup) }
                    ground.repairs.append(Repair(name, .halfDetached))
                } else if isGone(cgroup) {
                    try asking { try dataplane.unprotect(cgroup) }
                    ground.repairs.append(Repair(name, .cgroupGone))
                } else if cgroup.state == .attaching {
                    try protect(cgroup.path)
                    ground.repairs.append(Repair(name, .halfAttached))
                }
            } catch {
                ground.repairs.append(Repair(name, .failed, problem: error.message))
            }
        }
    }

    /// Guards a cgroup.
    func protect(_ path: String) throws(AgentError) {
        let cgroup = try openGuarded(path)
        defer { host.close(cgroup) }
        try asking {
            try dataplane.protect(GuardedCgroup(path: path, id: cgroup.id), descriptor: cgroup.descriptor)
        }
    }

    /// Takes the guard off a cgroup; nothing if it has none.
    func unprotect(_ path: String) throws(AgentError) {
        for cgroup in try asking({ try dataplane.guardedCgroups() }) where cgroup.path == path {
            try asking { try dataplane.unprotect(cgroup) }
        }
    }

    /// Whether a cgroup that is to be guarded is there; one that is guarded has to be the same one.
    func isPresent(guarded path: String, among guarded: [GuardedCgroup]) -> Bool {
        if let known = guarded.first(where: { $0.path == path }) { return !isGone(known) }
        guard let cgroup = try? openGuarded(path) else { return false }
        host.close(cgroup)
        return true
    }

    /// Whether a guarded cgroup certainly is not there any more.
    private func isGone(_ cgroup: GuardedCgroup) -> Bool {
        do {
            let found = try openGuarded(cgroup.path)
            host.close(found)
            return found.id != cgroup.id
        } catch {
            return error.status == .notFound
        }
    }

    private func openGuarded(_ path: String) throws(AgentError) -> OpenCgroup {
        try asking { path == HostGuard.root ? try host.openRootCgroup() : try host.openCgroup(path) }
    }

    static func name(ofGuard path: String) -> String { "the guard of \(path)" }

    // MARK: - Checks

    /// A guard's address that the host does not have would fail every wildcard bind. Found before anything changes.
    func checkGuard(of policy: Policy, ground: Ground) throws(AgentError) {
        let own = ground.interfaceAddresses.subtracting(ground.applications.flatMap(\.addresses.all))
        for address in policy.hostGuard?.addresses?.all ?? [] where !own.contains(address) {
            throw AgentError(
                .conflict, "\(address), the guard's address, is on no interface of this host",
                hint: "wildcards of guarded processes would be bound to it and fail; name an address that the host has")
        }
    }

    /// An application's hooks and the guard's cannot be on one cgroup, nor the guard's inside an application.
    func checkUnguarded(_ path: String) throws(AgentError) {
        for cgroup in try asking({ try dataplane.guardedCgroups() })
        where cgroup.path != HostGuard.root && HostGuard.lies(cgroup.path, inOrBelow: path) {
            throw AgentError(
                .conflict, "the cgroup \(cgroup.path) is guarded, as what is no application",
                hint: "take it out of the policy's guard and apply that first")
        }
    }

    /// What the guard finds when it comes: sockets that were bound before, and what no address covers.
    func guardWarnings(of policy: Policy) throws(AgentError) -> [String] {
        guard let hostGuard = policy.hostGuard else { return [] }
        var warnings: [String] = []
        let addresses = try asking { try host.interfaceAddresses() }
        for address in hostGuard.addresses?.all ?? [] where !addresses.contains(address) {
            warnings.append("the guard's address \(address) is on no interface of this host: apply refuses it")
        }
        var guarded: Set<UInt64> = []
        for path in hostGuard.cgroups {
            do throws(AgentError) {
                host.close(try openGuarded(path))
                guarded.formUnion(
                    try asking { path == HostGuard.root ? try host.allCgroupIDs() : try host.cgroupIDs(below: path) })
            } catch {
                warnings.append("line \(hostGuard.line): \(path) is not guarded until it is there: \(error)")
            }
        }
        var applications: Set<UInt64> = []
        for application in try asking({ try dataplane.applications() }) {
            // One whose cgroup is gone has no socket to warn of.
            applications.formUnion((try? host.cgroupIDs(below: application.cgroupPath)) ?? [])
        }
        guarded.subtract(applications)
        let older = try asking { try host.sockets() }.filter { $0.isOpenWildcard && guarded.contains($0.cgroupID) }
        if !older.isEmpty {
            let ports = Set(older.map { "\($0.transport.rawValue)/\($0.localPort)" }).sorted()
            let shown = ports.prefix(8).joined(separator: ", ") + (ports.count > 8 ? ", …" : "")
            warnings.append(
                "\(older.count) socket(s) of guarded processes are on a wildcard already (\(shown)): they hear nothing on "
                    + "applications' addresses, but keep applications from their ports until their programs start again"
            )
        }
        return warnings
    }
}

extension ObservedSocket {
    /// Whether it takes a port on every address: a listener, or a datagram socket that is not connected.
    fileprivate var isOpenWildcard: Bool {
        guard localPort != 0, remote == nil, local?.isUnspecified != false else { return false }
        return transport == .udp || state == 10
    }
}

extension [GuardStatus] {
    /// A row for each.
    public var table: Table {
        let rows = map { found in
            let refused = found.refused.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
            return [found.cgroup, found.word, refused.isEmpty ? "-" : refused.joined(separator: ", ")]
        }
        return Table(["GUARDED", "STATE", "REFUSED"], rows: rows)
    }
}
