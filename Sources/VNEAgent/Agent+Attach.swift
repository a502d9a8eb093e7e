import PolicyModel

extension Agent {
    /// Makes a cgroup an application: its sockets get the application addresses, and the policy judges what they do.
    ///
    /// The hooks deny from the first one on until all are there and the addresses are on the interface; only then do they
    /// judge. If a step fails, what was done is undone.
    public func attach(_ request: AttachRequest) throws(AgentError) -> AttachReport {
        let ground = try settle()
        let cgroup = try asking { try host.openCgroup(request.cgroup) }
        defer { host.close(cgroup) }
        let name = request.name ?? Name.suggested(for: cgroup.path)
        return introduced(try attach(request, named: name, cgroup: cgroup, ground: ground))
    }

    /// Attaches an application that the published policy names, as `apply` does when its cgroup is there.
    public func attach(applicationNamed name: String, clean: Cleaning? = nil) throws(AgentError) -> AttachReport {
        let ground = try settle()
        guard let (policy, _) = try publishedPolicy() else { throw .noPolicy }
        guard let application = policy.application(named: name) else {
            throw AgentError(
                .notFound, "the policy names no application “\(name)”",
                hint: Name.nearest(to: name, among: policy.applications.map(\.name)))
        }
        guard let path = application.cgroup else {
            throw AgentError(
                .notFound, "the policy gives no cgroup to the application “\(name)”",
                hint: "name the cgroup: vne-agent attach CGROUP \(application.environment) --name \(name)")
        }
        return introduced(try attach(application, of: policy, cgroup: path, clean: clean, ground: ground))
    }

    /// An attachment that the link and the hosts file were told of.
    func introduced(_ report: AttachReport) -> AttachReport {
        var report = report
        announce(Set(report.application.addresses.all), warnings: &report.warnings)
        if report.application.hostname != nil { tellNames(warnings: &report.warnings) }
        return report
    }

    func attach(
        _ application: Application, of policy: Policy, cgroup path: String, clean: Cleaning?, ground: Ground
    ) throws(AgentError) -> AttachReport {
        let cgroup = try asking { try host.openCgroup(path) }
        defer { host.close(cgroup) }
        let request = AttachRequest(
            cgroup: path, environment: application.environment,
            addresses: application.addresses.map(AddressChoice.fixed) ?? .auto, hostname: application.hostname,
            name: application.name, clean: clean)
        return try attach(request, named: application.name, cgroup: cgroup, namedBy: policy, ground: ground)
    }

    func attach(
        _ request: AttachRequest, named name: String, cgroup: OpenCgroup, namedBy policy: Policy? = nil, ground: Ground,
        launcher: AttachedApplication.Launcher? = nil, confined: Bool = false
    ) throws(AgentError) -> AttachReport {
        try Name.check(name)
        let request = policy == nil ? try completed(request, named: name) : request
        if let hostname = request.hostname { try Name.check(hostname: hostname) }
        guard let environment = try asking({ try dataplane.environment(named: request.environment) }) else {
            throw try unknownEnvironment(request.environment)
        }
        try requireProtections(
            environment.requires, of: request.environment, for: name, confined: confined)
        try checkFree(name: name, cgroup: cgroup, among: ground.applications)
        try checkUnguarded(cgroup.path)
        let addresses = try addresses(
            request.addresses, in: environment, named: request.environment, for: name, of: policy, ground: ground)
        var warnings = ground.warnings
        var free = ground.free
        var hostname = request.hostname
        if request.addresses == .auto {
            free.formUnion(addresses.all)
            // Whom a command attaches has the hostname that the command gives.
            if policy != nil, hostname == nil { hostname = addresses.hostname }
            remember(addresses, of: name, warnings: &warnings)
        }
        if let hostname {
            try checkFree(hostname: hostname, among: ground.applications)
            // No two of one policy have the same.
            if policy == nil { try checkUnreserved(hostname: hostname, for: name) }
        }
        // A cgroup that `exec` just made holds nobody yet.
        let foreign = launcher == nil ? try inspect(cgroup, clean: request.clean) : []

        var application = AttachedApplication(
            name: name, environment: request.environment, environmentID: environment.id, addresses: addresses,
            loopback: try freeLoopback(besides: ground.loopbacks ?? takenLoopbacks(of: ground.applications)),
            hostname: hostname, cgroupPath: cgroup.path, cgroupID: cgroup.id, cgroupLevel: cgroup.level,
            fromPolicy: policy != nil, egress: environment.needsEgress, ownsAddresses: addresses.families,
            launcher: launcher, confined: confined)
        // All of them can be closed, or it would have been refused.
        let carried = request.clean == .close ? foreign : []
        let closed = try make(
            &application, cgroup: cgroup, closing: carried.compactMap(\.socket), knownFree: free,
            warnings: &warnings)
        return AttachReport(
            application: application, foreignSockets: carried.isEmpty ? foreign : [], closedForeignSockets: carried,
            closedSockets: closed, repairs: ground.repairs, warnings: warnings)
    }

    /// A command that names an application of the published policy, and no address, means the ones that the policy has for it,
    /// and its hostname unless the command has another one. A name that only follows from a path or a program means nobody.
    private func completed(_ request: AttachRequest, named name: String) throws(AgentError) -> AttachRequest {
        guard request.name != nil, request.addresses == .auto,
            let known = try publishedPolicy()?.policy.application(named: name),
            known.environment == request.environment, let addresses = known.addresses
        else { return request }
        var request = request
        request.addresses = .fixed(addresses)
        request.hostname = request.hostname ?? known.hostname
        return request
    }

    /// Attaches, step by step, and undoes what was done if a step fails.
    ///
    /// An application of the policy whose address is another host's is left as it is then, denied everything: the next
    /// command, or the daemon, opens it once that host has let go.
    private func make(
        _ application: inout AttachedApplication, cgroup: OpenCgroup, closing carried: [ObservedSocket],
        knownFree: Set<IPAddress>, warnings: inout [String]
    ) throws(AgentError) -> Int {
        // What is to be undone even if the call fails that does it: half of it may be done.
        var owed: Set<AddressFamily> = []
        do {
            try asking { try dataplane.attach(application, cgroup: cgroup.descriptor) }
            try claim(application.addresses, for: application.name, knownFree: knownFree)
            for address in application.addresses.all {
                owed.insert(address.family)
                if try !addAddress(address) { owed.remove(address.family) }
            }
            application.ownsAddresses = owed
            _ = try addLoopback(of: application)
            // Still denying: a command that is killed before it opens leaves these sockets to the one that finishes it.
            for socket in carried { try asking { try host.destroy(socket) } }
            let closed = host.isPopulated(cgroup) ? try closeOlderSockets(of: application, warnings: &warnings) : 0
            try asking { try dataplane.open(application) }
            application.state = .attached
            return closed
        } catch {
            application.ownsAddresses = owed
            if error.mayPass, application.fromPolicy { throw error }
            throw undo(application, after: error)
        }
    }

    private func undo(_ application: AttachedApplication, after error: AgentError) -> AgentError {
        do {
            try takeAway(application)
            return error
        } catch let second {
            var error = error
            error.details.append("undoing it failed too: \(second.message)")
            error.hint = "until the next command finishes or undoes it, \(application.name) is denied everything"
            return error
        }
    }

    /// Opens a closed application at another environment, addresses or hostname, or where it is. It was denied everything
    /// until here, so that it never has the old place's rights together with the new one's.
    func move(
        _ closed: AttachedApplication, to place: AttachedApplication, knownFree: Set<IPAddress> = [],
        warnings: inout [String]
    ) throws(AgentError) -> AttachedApplication {
        var target = place
        target.state = .attaching
        for family in AddressFamily.allCases where closed.addresses[family] != target.addresses[family] {
            try removeAddress(of: closed, family)
            target.ownsAddresses.remove(family)
            if target.addresses[family] != nil { target.ownsAddresses.insert(family) }
        }
        if target != closed { try asking { try dataplane.update(target) } }
        try claim(target.addresses, for: target.name, knownFree: knownFree)
        for address in target.addresses.all { _ = try addAddress(address) }
        _ = try addLoopback(of: target)
        if host.isPopulated(target.cgroupPath) { _ = try closeOlderSockets(of: target, warnings: &warnings) }
        try asking { try dataplane.open(target) }
        target.state = .attached
        return target
    }

    /// What an attached application becomes at another place: an address stays where the place leaves the choice and the
    /// environment still holds it. Its loopback stays in any case.
    func record(
        of old: AttachedApplication, at place: Change.Placement, in policy: Policy, ground: Ground
    ) throws(AgentError) -> AttachedApplication {
        var new = old
        new.fromPolicy = place.fromPolicy
        new.hostname = place.hostname
        // Without its environment it has no place: it keeps its record, and everything is denied to it.
        guard let environment = try asking({ try dataplane.environment(named: place.environment) }) else { return new }
        new.environment = place.environment
        new.environmentID = environment.id
        if let addresses = place.addresses {
            new.addresses = addresses
        } else {
            new.addresses = try freeAddresses(
                inEnvironment: place.environment, for: old.name, of: policy, keeping: old.addresses, ground: ground)
        }
        new.hostname = place.hostname ?? policy.application(named: old.name)?.hostname(at: new.addresses)
        return new
    }
}

// MARK: - What has to hold first

extension Agent {
    private func checkFree(hostname: String, among applications: [AttachedApplication]) throws(AgentError) {
        let wanted = hostname.lowercased()
        for other in applications where other.hostname?.lowercased() == wanted {
            throw AgentError(
                .conflict, "the hostname “\(other.hostname ?? wanted)” is taken by the application “\(other.name)”")
        }
    }

    /// Where names resolve wherever their applications run, one that is not here has its name all the same.
    private func checkUnreserved(hostname: String, for name: String) throws(AgentError) {
        let wanted = hostname.lowercased()
        guard try asking({ try dataplane.publishedIdentity() }).hostnames == .all,
            let owner = try publishedPolicy()?.policy.applications.first(where: {
                $0.hostname?.lowercased() == wanted && $0.name != name
            })
        else { return }
        throw AgentError(
            .conflict, "the policy gives the hostname “\(wanted)” to the application “\(owner.name)”",
            hint: "choose another one, or attach it under that name with --name \(owner.name)")
    }

    private func checkFree(
        name: String, cgroup: OpenCgroup, among applications: [AttachedApplication]
    ) throws(AgentError) {
        for other in applications {
            if other.cgroupID == cgroup.id {
                throw AgentError(
                    .conflict, "the cgroup \(cgroup.path) is attached already, as “\(other.name)”",
                    hint: "detach it first: vne-agent detach \(other.name)")
            }
            if other.name == name {
                throw AgentError(
                    .conflict, "the name “\(name)” is taken by the application in \(other.cgroupPath)",
                    hint: "choose another one with --name")
            }
            if Self.lies(cgroup.path, below: other.cgroupPath) {
                throw AgentError(
                    .conflict, "the cgroup \(cgroup.path) is inside the application “\(other.name)”",
                    hint: "an application's child cgroups are part of it")
            }
            if Self.lies(other.cgroupPath, below: cgroup.path) {
                throw AgentError(
                    .conflict, "the cgroup \(cgroup.path) holds the application “\(other.name)” (\(other.cgroupPath))",
                    hint: "detach it first: vne-agent detach \(other.name)")
            }
        }
    }

    /// Whether a cgroup's path leads into another's. By bytes, as it is asked of every application there is.
    private static func lies(_ path: String, below above: String) -> Bool {
        let (path, above) = (path.utf8, above.utf8)
        guard path.count > above.count, path[path.index(path.startIndex, offsetBy: above.count)] == UInt8(ascii: "/")
        else { return false }
        return path.starts(with: above)
    }

    /// Says which sockets the isolator would not cover; refuses processes that it could not cover at all.
    private func inspect(_ cgroup: OpenCgroup, clean: Cleaning?) throws(AgentError) -> [ForeignSocket] {
        guard host.isPopulated(cgroup) else { return [] }
        let strangers = try asking { try host.foreignNamespaceProcesses(of: cgroup.path) }
        guard strangers.isEmpty else {
            let list = strangers.prefix(8).map(String.init).joined(separator: ", ")
            throw AgentError(
                .refused, "processes of \(cgroup.path) live in another network namespace: \(list)",
                hint: "an application lives in the network namespace of its instance; end them or run vne-agent there")
        }
        let foreign = try asking { try host.foreignSockets(of: cgroup.path) }
        switch clean {
        case nil: break
        case .refuse where !foreign.isEmpty:
            throw AgentError(
                .refused, "processes of \(cgroup.path) hold \(foreign.count) socket(s) that were made outside it",
                hint: "restart them inside the cgroup, or leave out --require-clean",
                details: foreign.map(\.description))
        case .refuse: break
        case .close:
            // The kernel takes a datagram socket's peer away and leaves it bound: it goes on sending and receiving.
            let kept = foreign.filter { $0.socket?.transport != .tcp }
            guard kept.isEmpty else {
                throw AgentError(
                    .refused,
                    "processes of \(cgroup.path) hold \(kept.count) socket(s) that were made outside it and that only "
                        + "their processes can close",
                    hint: "restart these inside the cgroup", details: kept.map(\.description))
            }
        }
        return foreign
    }

    /// Closes the cgroup's connected sockets: they are older than the attachment and pass no connect hook again, so what
    /// they send would leave unjudged, also where an earlier attachment gave them one of the same addresses.
    ///
    /// A socket whose process has left the cgroup is no application's, so an empty cgroup has none to close: this is for
    /// one that is populated.
    private func closeOlderSockets(
        of application: AttachedApplication, warnings: inout [String]
    ) throws(AgentError) -> Int {
        let cgroups = try asking { try host.cgroupIDs(below: application.cgroupPath) }
        let sockets = try asking { try host.sockets() }
        let stale = sockets.filter {
            $0.isConnected
                && (cgroups.contains($0.cgroupID) || $0.local.map(application.addresses.contains) == true)
        }
        return close(stale, warnings: &warnings) { _ in "is older than the attachment" }
    }

    /// Closes sockets, and warns of those that the kernel would not close; says how many it closed.
    func close(
        _ sockets: [ObservedSocket], warnings: inout [String], because reason: (ObservedSocket) -> String
    ) -> Int {
        var closed = 0
        for socket in sockets {
            do {
                try host.destroy(socket)
                closed += 1
            } catch {
                warnings.append("\(socket.summary) \(reason(socket)), and could not be closed: \(AgentError(error))")
            }
        }
        return closed
    }
}

extension AgentError {
    /// Nothing can be attached or explained before a policy is published.
    static var noPolicy: Self {
        Self(.notFound, "no policy is published", hint: "publish one: vne-agent apply POLICY.yaml")
    }
}
