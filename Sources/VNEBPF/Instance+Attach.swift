internal import CLibBPF
internal import Glibc
public import PolicyModel
internal import VNEPrograms

extension Instance {
    /// Records the application as `attaching`, claims its address and attaches every hook of it to the cgroup.
    ///
    /// All hooks deny until ``open(_:)``: what the cgroup's storage holds from an earlier attachment is zeroed before
    /// the first hook is there. Hooks that a killed command left stay, with the program of this build behind them.
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
            if earlier.name != application.name || earlier.address != application.address { try detach(earlier) }
        }
        try requireFree(application.address, for: application.cgroupID)
        let directory = try self.directory.application(application.name)
        let isNew = try BPFFileSystem.makeDirectory(directory)
        if !isNew, let other = try self.application(named: application.name), other.cgroupID != application.cgroupID {
            throw .nameTaken(application.name, cgroupID: other.cgroupID)
        }
        try records.handle.write(record, at: application.cgroupID)
        try map(.owner).handle.write(Self.owner(of: application), at: application.address.rawValue)

        try map(.attachment).handle.write(vne_attachment(), at: application.cgroupID)
        let counters = try map(.counters)
        try counters.handle.write(
            bytes: [UInt8](repeating: 0, count: try Self.byteCountOnAllCPUs(of: vne_counters.self)),
            at: application.cgroupID)

        for hook in CgroupHook.hooks(egress: application.egress) {
            try link(hook, of: application, cgroup: cgroup, isNew: isNew)
        }
        if !isNew, !application.egress { try unlink(.egress, of: application.name) }
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
            recorded.name == application.name, recorded.address == application.address
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
        try attachments.handle.write(vne_attachment(), at: leaving.cgroupID)
        // A name without a record may be another application's by now, and the links that the name has are then its.
        let hasLinks = recorded != nil ? true : try holds(leaving.name, cgroupID: leaving.cgroupID)
        if hasLinks {
            for hook in CgroupHook.allCases.reversed() { try unlink(hook, of: leaving.name) }
        }
        try release(leaving.address, of: leaving.cgroupID)
        if let judged, judged.address != leaving.address.rawValue {
            try release(IPv4Address(rawValue: judged.address), of: leaving.cgroupID)
        }
        // The record goes last: for as long as it is there, the next command finds what is left to do.
        if recorded != nil { try BPFFileSystem.removeDirectory(try directory.application(leaving.name)) }
        try records.handle.remove(leaving.cgroupID)
    }

    /// Attaches or detaches the egress hook of an application that is attached, and records which.
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
        if egress {
            try link(.egress, of: recorded, cgroup: cgroup, isNew: false)
        } else {
            try unlink(.egress, of: recorded.name)
        }
        recorded.egress = egress
        try records.handle.write(try ApplicationRecord.record(of: recorded), at: recorded.cgroupID)
    }

    /// Takes the application from one environment, address or hostname record to another in one step: still open if it
    /// was, and still denied everything if it was `attaching`.
    ///
    /// The hooks come before the record: a command that is killed between the two leaves what the caller wanted to be
    /// judged by, and a record that makes it ask again. Both addresses stay claimed until the record is written.
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
        try requireFree(application.address, for: application.cgroupID)
        try map(.owner).handle.write(Self.owner(of: application), at: application.address.rawValue)
        let attachments = try map(.attachment)
        var judging = vne_attachment()
        if recorded.state == .attached { judging = try attachment(of: application) }
        guard let judged: vne_attachment = try attachments.handle.value(of: application.cgroupID) else {
            throw .notAttached(application.name)
        }
        // Where only the record changes, the recorded flows stay.
        if judged.state != judging.state || judged.environment != judging.environment
            || judged.address != judging.address
        {
            try attachments.handle.write(judging, at: application.cgroupID)
        }
        try records.handle.write(record, at: application.cgroupID)
        if recorded.address != application.address { try release(recorded.address, of: application.cgroupID) }
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
        var missing: [String] = []
        for hook in CgroupHook.hooks(egress: application.egress)
        where !BPFFileSystem.exists(try directory.link(hook, of: application.name)) {
            missing.append(hook.rawValue)
        }
        guard missing.isEmpty else { throw .hooksMissing(application.name, hooks: missing) }
    }

    private static func owner(of application: AttachedApplication) -> vne_owner {
        vne_owner(
            cgroup: application.cgroupID, level: application.cgroupLevel, environment: application.environmentID)
    }

    private func attachment(of application: AttachedApplication) throws(BPFError) -> vne_attachment {
        var attachment = vne_attachment()
        attachment.state = UInt32(VNE_ATTACHMENT_OPEN)
        attachment.environment = application.environmentID
        attachment.address = application.address.rawValue
        attachment.level = application.cgroupLevel
        attachment.cgroup = application.cgroupID
        attachment.netns = networkNamespace
        let bytes = placeholder(application.address)
        unsafe withUnsafeMutableBytes(of: &attachment.placeholder6_be) { unsafe $0.copyBytes(from: bytes.prefix(16)) }
        return attachment
    }

    private func requireFree(_ address: IPv4Address, for cgroupID: UInt64) throws(BPFError) {
        if let holder = try holder(of: address), holder != cgroupID {
            throw .addressHeld(address, cgroupID: holder)
        }
    }

    private func release(_ address: IPv4Address, of cgroupID: UInt64) throws(BPFError) {
        let owners = try map(.owner)
        let owner: vne_owner? = try owners.handle.value(of: address.rawValue)
        if owner?.cgroup == cgroupID { try owners.handle.remove(address.rawValue) }
    }

    /// Whether the links under a name are of this cgroup, or of one that is gone, or there are none.
    private func holds(_ name: String, cgroupID: UInt64) throws(BPFError) -> Bool {
        for hook in CgroupHook.allCases {
            guard let link = try BPFLink.pinned(at: directory.link(hook, of: name)) else { continue }
            let found = try link.information().cgroupID
            if found != 0, found != cgroupID { return false }
        }
        return true
    }

    /// Makes the link of a hook, or keeps the one that is there if it still leads to this cgroup.
    private func link(
        _ hook: CgroupHook, of application: AttachedApplication, cgroup: Int32, isNew: Bool
    ) throws(BPFError) {
        let path = try directory.link(hook, of: application.name)
        let program = try program(hook)
        if !isNew, let existing = try BPFLink.pinned(at: path) {
            if try existing.information().cgroupID == application.cgroupID,
                try existing.update(to: program.handle)
            {
                return
            }
            try existing.detach()
        }
        _ = try BPFLink.attaching(program.handle, at: hook, to: cgroup, named: application.cgroupPath, pinnedAt: path)
    }

    private func unlink(_ hook: CgroupHook, of name: String) throws(BPFError) {
        guard let link = try BPFLink.pinned(at: directory.link(hook, of: name)) else { return }
        try link.detach()
    }

    /// Bytes of a value of a map that has one on each CPU. The C function is `libbpf_num_possible_cpus`.
    static func byteCountOnAllCPUs<Value>(of type: Value.Type) throws(BPFError) -> Int {
        let count = libbpf_num_possible_cpus()
        guard count > 0 else { throw .failed(.inspect(path: "the number of CPUs"), code: -count) }
        return Int(count) * ((MemoryLayout<Value>.size + 7) & ~7)
    }
}
