extension Plan {
    /// Compares what is with what a policy asks for.
    ///
    /// Applications that a command attached stay, and are judged by the new policy; one that the policy names with the
    /// same name and cgroup becomes the policy's. Those that the policy named and names no longer are detached.
    /// - Parameters:
    ///   - current: The published policy; nil before the first one.
    ///   - desired: What is to hold.
    ///   - attached: The applications in the kernel, leftovers of killed commands repaired.
    ///   - guarded: The cgroups that are guarded in the kernel.
    ///   - cgroupsPresent: Whether there is a cgroup at this path, relative to the cgroup2 mount.
    ///   - unmet: Which of some protections do not hold for an application that nothing confines.
    public static func make(
        current: Policy?, desired: Policy, attached: [AttachedApplication], guarded: [GuardedCgroup] = [],
        cgroupsPresent: (String) -> Bool, unmet: (Set<Protection>) -> [Protection] = { _ in [] }
    ) -> Plan {
        var draft = Draft(desired: desired, attached: attached, cgroupsPresent: cgroupsPresent)
        let kept = draft.unprotect(guarded, cgroupsPresent: cgroupsPresent)
        draft.detach()
        draft.move()
        draft.protect(besides: kept, cgroupsPresent: cgroupsPresent)
        draft.attach(unmet: unmet)
        draft.judge()
        let publication = publication(of: desired, over: current).map { [$0] } ?? []
        return Plan(changes: publication + draft.changes + draft.notes)
    }

    /// What publishing `desired` over `current` means for environments; nil where there is nothing to publish.
    private static func publication(of desired: Policy, over current: Policy?) -> Change? {
        guard desired != current else { return nil }
        let before = Dictionary(
            (current?.environments ?? []).map { ($0.name, $0.withoutLines) }, uniquingKeysWith: { first, _ in first })
        let after = Set(desired.environments.map(\.name))
        var added: [String] = []
        var changed: [String] = []
        for environment in desired.environments {
            guard let old = before[environment.name] else {
                added.append(environment.name)
                continue
            }
            if old != environment.withoutLines {
                changed.append(environment.name)
            }
        }
        let removed = (current?.environments ?? []).map(\.name).filter { !after.contains($0) }
        return .publish(
            added: added, removed: removed, changed: changed, revokes: revokes(current: current, desired: desired))
    }
}

/// A plan while it is made: what is attached, as the changes so far leave it.
private struct Draft {
    /// An attached application and what becomes of it.
    struct Attachment {
        var application: AttachedApplication
        var gone = false
    }

    let desired: Policy
    let environments: [String: Environment]
    /// Desired applications by name, and by cgroup.
    let named: [String: Application]
    let owners: [String: Application]
    let isPresent: [String: Bool]
    var attachments: [Attachment]
    /// Index into `attachments` by name, cgroup path and each address; only of those that are not gone.
    var byName: [String: Int] = [:]
    var byCgroup: [String: Int] = [:]
    var byAddress: [IPAddress: Int] = [:]
    /// Names of applications that move to an address that is yet to be chosen.
    var choosing: Set<String> = []
    var changes: [Change] = []
    var notes: [Change] = []

    init(desired: Policy, attached: [AttachedApplication], cgroupsPresent: (String) -> Bool) {
        self.desired = desired
        environments = Dictionary(desired.environments.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        named = Dictionary(desired.applications.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        owners = Dictionary(
            desired.applications.compactMap { application in application.cgroup.map { ($0, application) } },
            uniquingKeysWith: { first, _ in first })
        // One that a killed command was detaching is as good as gone: whoever comes next finishes that.
        attachments = attached.filter { $0.state != .detaching }.map { Attachment(application: $0) }
        var isPresent: [String: Bool] = [:]
        for path in attachments.map(\.application.cgroupPath) + desired.applications.compactMap(\.cgroup)
        where isPresent[path] == nil {
            isPresent[path] = cgroupsPresent(path)
        }
        self.isPresent = isPresent
        for (index, attachment) in attachments.enumerated() {
            byName[attachment.application.name] = index
            byCgroup[attachment.application.cgroupPath] = index
            for address in attachment.application.addresses.all { byAddress[address] = index }
        }
    }

    /// Takes the guard off what the desired policy does not name, and off what is gone; gives what stays guarded.
    mutating func unprotect(_ guarded: [GuardedCgroup], cgroupsPresent: (String) -> Bool) -> Set<String> {
        var kept: Set<String> = []
        for cgroup in guarded where cgroup.state != .detaching {
            if !cgroupsPresent(cgroup.path) {
                changes.append(.unprotect(cgroup.path, reason: .cgroupGone))
            } else if desired.hostGuard?.cgroups.contains(cgroup.path) != true {
                changes.append(.unprotect(cgroup.path, reason: .dropped))
            } else {
                kept.insert(cgroup.path)
            }
        }
        return kept
    }

    /// Guards what the desired policy names, unless an application that a command attached has it.
    mutating func protect(besides kept: Set<String>, cgroupsPresent: (String) -> Bool) {
        for path in desired.hostGuard?.cgroups ?? [] where !kept.contains(path) {
            let holder = attachments.first {
                !$0.gone && path != HostGuard.root && HostGuard.lies(path, inOrBelow: $0.application.cgroupPath)
            }
            if let holder {
                notes.append(.unprotected(path, for: .application(holder.application.name)))
            } else if !cgroupsPresent(path) {
                notes.append(.unprotected(path, for: .cgroup))
            } else {
                changes.append(.protect(path))
            }
        }
    }

    /// Detaches what is gone, dropped, or has another cgroup by the desired policy.
    mutating func detach() {
        for (index, attachment) in attachments.enumerated() {
            let application = attachment.application
            let reason: Change.Detachment
            if isPresent[application.cgroupPath] != true {
                reason = .cgroupGone
            } else if !application.fromPolicy || owners[application.cgroupPath] != nil {
                // Attached by hand, or a cgroup that the policy still names: it must not run free for a moment.
                continue
            } else if let wanted = named[application.name] {
                // Without a cgroup in the policy it stays where it is.
                guard let cgroup = wanted.cgroup else { continue }
                reason = .moved(to: cgroup)
            } else {
                reason = .dropped
            }
            changes.append(.detach(application.name, reason: reason))
            attachments[index].gone = true
            byName[application.name] = nil
            byCgroup[application.cgroupPath] = nil
            release(application)
        }
    }

    /// Takes attached applications to where the policy wants them, each when its address is free.
    mutating func move() {
        var pending = desired.applications.filter { wanted in
            guard let index = byName[wanted.name] else { return false }
            let application = attachments[index].application
            // By hand in another cgroup, or in one of no concern to the policy: it stays as it is.
            guard wanted.cgroup == application.cgroupPath || (wanted.cgroup == nil && application.fromPolicy) else {
                return false
            }
            return placement(of: application) != placement(for: wanted, from: application)
        }
        var progress = true
        while progress {
            progress = false
            var blocked: [Application] = []
            for wanted in pending {
                guard let index = byName[wanted.name] else { continue }
                let application = attachments[index].application
                let target = placement(for: wanted, from: application)
                guard held(target.addresses, by: index) == nil else {
                    blocked.append(wanted)
                    continue
                }
                changes.append(.move(wanted.name, from: placement(of: application), to: target))
                release(application)
                if let addresses = target.addresses {
                    for address in addresses.all { byAddress[address] = index }
                    attachments[index].application.addresses = addresses
                } else {
                    choosing.insert(wanted.name)
                }
                attachments[index].application.environment = target.environment
                attachments[index].application.hostname = target.hostname
                attachments[index].application.fromPolicy = true
                progress = true
            }
            pending = blocked
        }
        // What is left waits for an address that somebody keeps, or goes round in a circle.
        for wanted in pending {
            guard let index = byName[wanted.name] else { continue }
            let target = placement(for: wanted, from: attachments[index].application)
            if let obstacle = held(target.addresses, by: index) {
                notes.append(.waiting(wanted.name, for: obstacle))
            }
        }
    }

    /// Attaches the policy's applications that are not attached.
    mutating func attach(unmet: (Set<Protection>) -> [Protection]) {
        for wanted in desired.applications {
            guard let cgroup = wanted.cgroup else { continue }
            if let index = byCgroup[cgroup] {
                let holder = attachments[index].application.name
                if holder != wanted.name {
                    notes.append(.waiting(wanted.name, for: .cgroupAttached(cgroup, holder: holder)))
                }
            } else if let index = byName[wanted.name] {
                let path = attachments[index].application.cgroupPath
                notes.append(.waiting(wanted.name, for: .name(cgroup: path)))
            } else if isPresent[cgroup] != true {
                notes.append(.waiting(wanted.name, for: .cgroup(cgroup)))
            } else if let obstacle = held(wanted.addresses) {
                notes.append(.waiting(wanted.name, for: obstacle))
            } else if let environment = environments[wanted.environment],
                case let missing = unmet(environment.requires), !missing.isEmpty
            {
                notes.append(.waiting(wanted.name, for: .protections(missing, environment: environment.name)))
            } else {
                changes.append(.attach(wanted))
            }
        }
    }

    /// Sets the egress hooks of what was and stays attached, and finds what has no place any more.
    mutating func judge() {
        for attachment in attachments where !attachment.gone {
            let application = attachment.application
            guard let environment = environments[application.environment] else {
                notes.append(.stranded(application.name, reason: .environmentGone(application.environment)))
                continue
            }
            // One whose address is to be chosen gets one of its environment when it is moved.
            if !choosing.contains(application.name),
                let outside = application.addresses.all.first(where: { !environment.contains($0) })
            {
                let reason = Change.Stranding.addressOutside(outside, environment: environment.name)
                notes.append(.stranded(application.name, reason: reason))
            }
            if environment.needsEgress != application.egress {
                changes.append(.setEgress(application.name, on: environment.needsEgress))
            }
        }
    }

    /// Where the application is.
    func placement(of application: AttachedApplication) -> Change.Placement {
        Change.Placement(
            environment: application.environment, addresses: application.addresses, hostname: application.hostname,
            fromPolicy: application.fromPolicy)
    }

    /// Where the policy wants it: with `auto` it keeps its addresses while the environment holds them.
    func placement(for wanted: Application, from application: AttachedApplication) -> Change.Placement {
        var addresses = wanted.addresses
        if addresses == nil, let environment = environments[wanted.environment] {
            addresses = kept(application.addresses, in: environment)
        }
        return Change.Placement(
            environment: wanted.environment, addresses: addresses, hostname: wanted.hostname(at: addresses))
    }

    /// What stays of chosen addresses; nil if they have to be chosen anew. A family in which the environment no longer
    /// has any address is given up. One that the environment did not have before stays out: an application keeps the
    /// addresses that it was attached with.
    private func kept(_ addresses: ApplicationAddresses, in environment: Environment) -> ApplicationAddresses? {
        let kept = addresses.all.filter { environment.contains($0) }
        let lost = addresses.families.subtracting(kept.map(\.family))
        return environment.families.isDisjoint(with: lost) ? ApplicationAddresses(kept) : nil
    }

    /// Who else holds one of the addresses; nil if nobody does.
    private func held(_ addresses: ApplicationAddresses?, by own: Int? = nil) -> Change.Obstacle? {
        for address in addresses?.all ?? [] {
            guard let holder = byAddress[address], holder != own else { continue }
            return .address(address, holder: attachments[holder].application.name)
        }
        return nil
    }

    /// Frees the addresses of an application that goes or moves.
    private mutating func release(_ application: AttachedApplication) {
        for address in application.addresses.all { byAddress[address] = nil }
    }
}
