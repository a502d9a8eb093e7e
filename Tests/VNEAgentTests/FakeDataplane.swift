import PolicyModel
import VNEAgent

/// The BPF side of a ``FakeWorld``, which does step by step what `VNEBPF.Instance` does.
struct FakeDataplane: Dataplane {
    let world: FakeWorld

    private func step<Answer>(_ name: String, _ effect: () throws -> Answer) throws -> Answer {
        defer { world.checkSafety(at: name) }
        return try world.step(name, effect)
    }

    func publish(_ policy: Policy, text: String, on host: HostView, revoking: Bool) throws {
        try step("publish") {
            for environment in policy.environments where world.environmentIDs[environment.name] == nil {
                world.environmentIDs[environment.name] = UInt32(world.environmentIDs.count + 1)
            }
            world.policy = policy
            let generation = (world.published?.generation ?? 0) + 1
            world.published = PublishedPolicy(text: text, source: policy.source, generation: generation)
            world.publications.append((revoking, host))
        }
        // As the real one: hooks that no record speaks of.
        try step("publish: egress") { world.egress = world.egress.filter { world.records[$0]?.egress == true } }
    }

    func publishedPolicy() throws -> PublishedPolicy? {
        try step("publishedPolicy") {
            world.textReads += 1
            return world.published
        }
    }

    func publishedIdentity() throws -> PublishedIdentity {
        // Asked for at every turn: what fails with it fails with the other questions.
        PublishedIdentity(
            interface: world.policy?.interface, hostnames: world.policy?.hostnames ?? .attached)
    }

    func environment(named name: String) throws -> PublishedEnvironment? {
        try step("environment") {
            guard let environment = world.policy?.environment(named: name), let id = world.environmentIDs[name] else {
                return nil
            }
            return PublishedEnvironment(
                id: id, needsEgress: environment.needsEgress, families: environment.families,
                requires: environment.requires)
        }
    }

    func owner(of address: IPAddress) throws -> PublishedOwner {
        try step("owner") {
            guard let policy = world.policy else { return .noPolicy }
            if let environment = policy.environments.first(where: { $0.contains(address) }) {
                return .environment(
                    id: world.environmentIDs[environment.name] ?? 0,
                    reserved: policy.applications.contains { $0.addresses?.contains(address) == true })
            }
            return policy.addressSpace.contains { $0.contains(address) } ? .unassigned : .outside
        }
    }

    func applications() throws -> [AttachedApplication] {
        try step("applications") { world.records.values.sorted { $0.cgroupID < $1.cgroupID } }
    }

    func application(cgroupID: UInt64) throws -> AttachedApplication? {
        try step("application") { world.records[cgroupID] }
    }

    func holder(of address: IPAddress) throws -> UInt64? {
        try step("holder") { world.owners[address] }
    }

    func attach(_ application: AttachedApplication, cgroup: Int32) throws {
        let id = application.cgroupID
        if !world.descriptors.contains(cgroup) { world.violations.append("attach with a closed cgroup") }
        try step("attach: record") {
            if let earlier = world.records[id], earlier.state != .attaching { throw Fault(step: "attached already") }
            world.open[id] = nil
            world.records[id] = application
            world.records[id]?.state = .attaching
        }
        for address in application.addresses.all {
            try step("attach: claim") {
                if let holder = world.owners[address], holder != id { throw Fault(step: "a taken address") }
                world.owners[address] = id
            }
        }
        for hook in FakeWorld.allHooks {
            try step("attach: \(hook)") { _ = world.hooks[id, default: []].insert(hook) }
        }
        if application.egress { try step("attach: egress") { _ = world.egress.insert(id) } }
    }

    func open(_ application: AttachedApplication) throws {
        let id = application.cgroupID
        guard let record = world.records[id], record.subject == application.subject else {
            throw Fault(step: "not attached like that")
        }
        world.checkAddresses(of: application)
        try step("open: judge") { world.open[id] = application.subject }
        try step("open: record") {
            world.records[id] = application
            world.records[id]?.state = .attached
        }
    }

    func deny(_ application: AttachedApplication) throws {
        let id = application.cgroupID
        try step("deny: record") { world.records[id]?.state = .attaching }
        try step("deny: attachment") { world.open[id] = nil }
    }

    func detach(_ application: AttachedApplication) throws {
        let id = application.cgroupID
        try step("detach: record") { world.records[id]?.state = .detaching }
        try step("detach: deny") { world.open[id] = nil }
        for hook in FakeWorld.allHooks {
            try step("detach: \(hook)") { _ = world.hooks[id]?.remove(hook) }
        }
        try step("detach: egress") { _ = world.egress.remove(id) }
        try step("detach: claim") { world.owners = world.owners.filter { $0.value != id } }
        try step("detach: forget") { world.records[id] = nil }
    }

    func setEgress(_ egress: Bool, of application: AttachedApplication, cgroup: Int32) throws {
        let id = application.cgroupID
        guard world.records[id]?.state == .attached else { throw Fault(step: "egress of what is not attached") }
        if egress { try step("egress: attach") { _ = world.egress.insert(id) } }
        try step("egress: record") { world.records[id]?.egress = egress }
        if !egress { try step("egress: detach") { _ = world.egress.remove(id) } }
    }

    func guardedCgroups() throws -> [GuardedCgroup] {
        try step("guardedCgroups") { world.guarded.values.sorted { $0.id < $1.id } }
    }

    func protect(_ cgroup: GuardedCgroup, descriptor: Int32) throws {
        if !world.descriptors.contains(descriptor) { world.violations.append("protect with a closed cgroup") }
        try step("protect: record") {
            world.guarded[cgroup.id] = GuardedCgroup(state: .attaching, path: cgroup.path, id: cgroup.id)
        }
        try step("protect: hooks") { _ = world.guardHooks.insert(cgroup.id) }
        try step("protect: done") { world.guarded[cgroup.id]?.state = .attached }
    }

    func unprotect(_ cgroup: GuardedCgroup) throws {
        try step("unprotect: record") { world.guarded[cgroup.id]?.state = .detaching }
        try step("unprotect: hooks") { _ = world.guardHooks.remove(cgroup.id) }
        try step("unprotect: forget") { world.guarded[cgroup.id] = nil }
    }

    func refusals(of cgroup: GuardedCgroup) throws -> [Hook: UInt64] {
        try step("refusals") { world.refusals[cgroup.id] ?? [:] }
    }

    func counters(of application: AttachedApplication) throws -> VerdictCounters {
        try step("counters") { world.counters[application.cgroupID] ?? VerdictCounters() }
    }

    func flows(of application: AttachedApplication) throws -> [RecordedFlow] {
        try step("flows") { world.recorded[application.cgroupID] ?? [] }
    }

    func unheldProtections(of application: AttachedApplication?) throws -> [Protection: String] {
        try step("unheldProtections") {
            guard application?.addresses.families.count == 1 else { return world.unheld }
            return world.unheld.merging([.dualStack: "of no use"]) { kernels, _ in kernels }
        }
    }

    func update(_ application: AttachedApplication) throws {
        let id = application.cgroupID
        try step("update") {
            for address in application.addresses.all {
                if let holder = world.owners[address], holder != id { throw Fault(step: "a taken address") }
            }
            world.owners = world.owners.filter { $0.value != id }
            for address in application.addresses.all { world.owners[address] = id }
            let state = world.records[id]?.state ?? .attaching
            world.records[id] = application
            world.records[id]?.state = state
            if world.open[id] != nil { world.open[id] = application.subject }
        }
    }
}
