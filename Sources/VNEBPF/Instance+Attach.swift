internal import CLibBPF
internal import Glibc
public import PolicyModel
internal import VNEPrograms

extension Instance {
    /// Records the application as `attaching`, claims its addresses and attaches every hook of it to the cgroup.
    ///
    /// All hooks deny until ``open(_:)``: what the cgroup's storage holds from an earlier attachment is zeroed before
    /// the first hook is there. Hooks that a killed command left stay, with the program of this build there.
    /// - Parameter cgroup: a file descriptor of the cgroup's directory.
    public func attach(_ application: AttachedApplication, cgroup: Int32) throws(BPFError) {
        try requireExclusive()
        try Self.check(cgroup, of: application)
        var application = application
        application.state = .attaching
        let record = try ApplicationRecord.record(of: application)
        let records = try map(.application)
        if let earlier = try self.application(application.cgroupID, in: records.handle) {
            guard earlier.state == .attaching else {
                throw .alreadyAttached(earlier.name, cgroupID: earlier.cgroupID)
            }
            // Begun as something else: nothing of that may stay.
            if earlier.name != application.name || earlier.addresses != application.addresses { try detach(earlier) }
        }
        try requireFree(application.addresses, for: application.cgroupID)
        if let other = try cgroupID(named: application.name), other != application.cgroupID {
            throw .nameTaken(application.name, cgroupID: other)
        }
        try records.handle.write(record, at: application.cgroupID)
        cgroupIDs?[application.name] = application.cgroupID
        try claim(for: application)

        // The kernel makes the storage with the first hook and keeps it for as long as the cgroup: where there is none,
        // no program of ours was ever attached.
        let attachments = try map(.attachment)
        let cgroupID = application.cgroupID
        let earlier: vne_attachment? = try attachments.handle.value(of: cgroupID)
        let hasStorage = earlier != nil
        if hasStorage {
            try inNewEpoch { () throws(BPFError) in try attachments.handle.write(vne_attachment(), at: cgroupID) }
            try map(.counters).handle.write(
                bytes: [UInt8](repeating: 0, count: try Self.byteCountOnAllCPUs(of: vne_counters.self)),
                at: application.cgroupID)
        }
        for hook in try hooks(of: application) {
            if hasStorage {
                try place(hook, on: cgroup)
            } else {
                try program(hook).handle.attach(at: hook, to: cgroup)
            }
        }
        if hasStorage, !application.egress { try ownPrograms().remove(from: .egress, on: cgroup) }
        if hasStorage { try removeUnaskedHooks(of: [application]) }
        whole = application
    }

    /// Lets the application's hooks judge by the policy, and records it as `attached`.
    ///
    /// - Throws: ``BPFError/hooksMissing(_:hooks:)`` if it is not attached whole; it stays closed then.
    public func open(_ application: AttachedApplication) throws(BPFError) {
        try requireExclusive()
        let records = try map(.application)
        guard let recorded = try self.application(application.cgroupID, in: records.handle),
            recorded.state != .detaching,
            recorded.name == application.name, recorded.addresses == application.addresses
        else { throw .notAttached(application.name) }
        if whole?.cgroupID != application.cgroupID || whole?.egress != application.egress {
            try requireHooks(of: application)
        }
        var application = application
        application.state = .attached
        let record = try ApplicationRecord.record(of: application)
        guard try map(.attachment).handle.write(try attachment(of: application), at: application.cgroupID) else {
            throw .notAttached(application.name)
        }
        try records.handle.write(record, at: application.cgroupID)
    }

    /// Denies everything, records the application as `detaching`, takes its hooks away and forgets it. Finishes what a
    /// killed command left; the cgroup may be gone.
    public func detach(_ application: AttachedApplication) throws(BPFError) {
        try requireExclusive()
        whole = nil
        let records = try map(.application)
        let recorded = try self.application(application.cgroupID, in: records.handle)
        var leaving = recorded ?? application
        if recorded != nil {
            leaving.state = .detaching
            try records.handle.write(try ApplicationRecord.record(of: leaving), at: leaving.cgroupID)
        }
        let attachments = try map(.attachment)
        // A move to another address that was killed half-way claimed both.
        let judged: vne_attachment? = try attachments.handle.value(of: leaving.cgroupID)
        let cgroupID = leaving.cgroupID
        try inNewEpoch { () throws(BPFError) in try attachments.handle.write(vne_attachment(), at: cgroupID) }
        // The kernel drops the hooks of a cgroup that was removed, with the last socket that it made.
        if let cgroup = try openCgroup(leaving.cgroupID) { try ownPrograms().removeAll(from: cgroup.rawValue) }
        try release(leaving.claims, of: leaving.cgroupID)
        if let judged = judged?.addresses { try release(judged.all, of: leaving.cgroupID) }
        // The record goes last: for as long as it is there, the next command finds what is left to do.
        try records.handle.remove(leaving.cgroupID)
        if cgroupIDs?[leaving.name] == leaving.cgroupID { cgroupIDs?[leaving.name] = nil }
        // It is detached, whatever becomes of this; the next that leaves does it over.
        try? unsteerIfUnused()
    }

    /// Attaches or detaches the egress hook of an application that is attached, and records which.
    ///
    /// The record never says more than there is: a command that is killed between the two steps leaves a hook too many,
    /// which the next publication takes away.
    public func setEgress(
        _ egress: Bool, of application: AttachedApplication, cgroup: Int32
    ) throws(BPFError) {
        try requireExclusive()
        whole = nil
        try Self.check(cgroup, of: application)
        let records = try map(.application)
        guard var recorded = try self.application(application.cgroupID, in: records.handle), recorded.state == .attached
        else {
            throw .notAttached(application.name)
        }
        if egress { try place(.egress, on: cgroup) }
        recorded.egress = egress
        try records.handle.write(try ApplicationRecord.record(of: recorded), at: recorded.cgroupID)
        if !egress { try ownPrograms().remove(from: .egress, on: cgroup) }
    }

    /// Takes away egress hooks that no record speaks of. One that cannot be taken away costs time, not safety: it waits
    /// for the next publication.
    func removeStrayEgress() throws(BPFError) {
        let own = try ownPrograms()
        for application in try applications() where !application.egress {
            guard let cgroup = try? openCgroup(application.cgroupID) else { continue }
            try? own.remove(from: .egress, on: cgroup.rawValue)
        }
    }

    /// Takes the application from one environment, address or hostname record to another in one step: still open if it
    /// was, and still denied everything if it was `attaching`.
    ///
    /// The hooks come before the record: a command that is killed between the two leaves what the caller wanted to be
    /// judged by, and a record that makes it ask again. The addresses of both stay claimed until the record is written.
    public func update(_ application: AttachedApplication) throws(BPFError) {
        try requireExclusive()
        let records = try map(.application)
        guard let recorded = try self.application(application.cgroupID, in: records.handle),
            recorded.state != .detaching, recorded.name == application.name
        else { throw .notAttached(application.name) }
        var application = application
        application.state = recorded.state
        application.egress = recorded.egress
        let record = try ApplicationRecord.record(of: application)
        try requireFree(application.addresses, for: application.cgroupID)
        try placeAskedHooks(on: application)
        try claim(for: application)
        let attachments = try map(.attachment)
        var judging = vne_attachment()
        if recorded.state == .attached { judging = try attachment(of: application) }
        guard let judged: vne_attachment = try attachments.handle.value(of: application.cgroupID) else {
            throw .notAttached(application.name)
        }
        // Where only the record changes, the recorded flows stay.
        if !judged.judges(as: judging) {
            let cgroupID = application.cgroupID
            try inNewEpoch { () throws(BPFError) in try attachments.handle.write(judging, at: cgroupID) }
        }
        try records.handle.write(record, at: application.cgroupID)
        try release(recorded.claims, of: application.cgroupID, but: application.claims)
        try? removeUnaskedHooks(of: [application])
        try? unsteerIfUnused()
    }

    // MARK: - Parts

    /// That the descriptor is the cgroup that was named, and not the root.
    private static func check(_ cgroup: Int32, of application: AttachedApplication) throws(BPFError) {
        guard application.cgroupLevel > 0 else { throw .rootCgroup }
        var found = stat()
        guard unsafe fstat(cgroup, &found) == 0 else {
            throw .failed(.inspect(path: application.cgroupPath), code: errno)
        }
        guard found.st_ino == application.cgroupID else { throw .cgroupMismatch(path: application.cgroupPath) }
    }

    private func requireHooks(of application: AttachedApplication) throws(BPFError) {
        let attached = Set(try attachedHooks(of: application).map(\.hook))
        let missing = try hooks(of: application).filter { !attached.contains($0) }
        guard missing.isEmpty else { throw .hooksMissing(application.name, hooks: missing.map(\.rawValue)) }
    }

    /// Has this build's program, and no other of ours, at a hook.
    func place(_ hook: CgroupHook, on cgroup: Int32) throws(BPFError) {
        let program = try program(hook)
        try ownPrograms().place(program.handle, id: program.id, at: hook, on: cgroup)
    }

    private static func owner(of application: AttachedApplication) -> vne_owner {
        vne_owner(
            cgroup: application.cgroupID, level: application.cgroupLevel, environment: application.environmentID,
            address4: application.addresses.layout4, reserved: 0)
    }

    private func attachment(of application: AttachedApplication) throws(BPFError) -> vne_attachment {
        var attachment = vne_attachment()
        attachment.state = UInt32(VNE_ATTACHMENT_OPEN)
        attachment.environment = application.environmentID
        attachment.identity.address4 = application.addresses.layout4
        attachment.identity.address6 = application.addresses.layout6
        attachment.identity.loopback4 = application.loopback.ipv4.ipv4 ?? 0
        attachment.identity.loopback6 = application.loopback.ipv6.layout
        attachment.level = application.cgroupLevel
        attachment.cgroup = application.cgroupID
        attachment.identity.netns = networkNamespace
        if application.addresses.families.count == 2, try steer() { attachment.steered = 1 }
        return attachment
    }

    private func requireFree(_ addresses: ApplicationAddresses, for cgroupID: UInt64) throws(BPFError) {
        for address in addresses.all {
            if let holder = try holder(of: address), holder != cgroupID {
                throw .addressHeld(address, cgroupID: holder)
            }
        }
    }

    private func claim(for application: AttachedApplication) throws(BPFError) {
        let owners = try map(.owner)
        for address in application.claims { try owners.handle.write(Self.owner(of: application), at: address.layout) }
    }

    /// Gives up the claims of a cgroup to addresses, but for those that it keeps.
    private func release(
        _ addresses: [IPAddress], of cgroupID: UInt64, but kept: [IPAddress] = []
    ) throws(BPFError) {
        let owners = try map(.owner)
        for address in addresses where !kept.contains(address) {
            let owner: vne_owner? = try owners.handle.value(of: address.layout)
            if owner?.cgroup == cgroupID { try owners.handle.remove(address.layout) }
        }
    }

    /// Bytes of a value of a map that has one on each CPU. The C function is `libbpf_num_possible_cpus`.
    static func byteCountOnAllCPUs<Value>(of type: Value.Type) throws(BPFError) -> Int {
        let count = libbpf_num_possible_cpus()
        guard count > 0 else { throw .failed(.inspect(path: "the number of CPUs"), code: -count) }
        return Int(count) * ((MemoryLayout<Value>.size + 7) & ~7)
    }
}

extension AttachedApplication {
    /// What it has in the map `owner`: its addresses and, where packets for its ::1 may have to be steered, that.
    fileprivate var claims: [IPAddress] {
        addresses.families.count == 2 ? addresses.all + [loopback.ipv6] : addresses.all
    }
}
