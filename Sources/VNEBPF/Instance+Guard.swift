internal import CLibBPF
internal import Glibc
public import PolicyModel
internal import VNEPrograms

/// Cgroups that are no applications and keep clear of applications' addresses (`bpf/guard.bpf.c`).
extension Instance {
    /// The guarded cgroups in the maps, in whatever state they are, by cgroup.
    public func guardedCgroups() throws(BPFError) -> [GuardedCgroup] {
        let records = try map(.guarded)
        var cgroups: [GuardedCgroup] = []
        for id in try records.handle.keys(from: UInt64(0)).sorted() {
            guard let record: vne_guarded = try records.handle.value(of: id) else { continue }
            cgroups.append(Self.cgroup(of: record, id: id))
        }
        return cgroups
    }

    /// Records the cgroup, and attaches every hook of the guard to it. Finishes what a killed command left: hooks that are
    /// there stay, with the program of this build there.
    /// - Parameter descriptor: a file descriptor of the cgroup's directory.
    public func protect(_ cgroup: GuardedCgroup, descriptor: Int32) throws(BPFError) {
        try requireExclusive()
        var found = stat()
        guard unsafe fstat(descriptor, &found) == 0 else { throw .failed(.inspect(path: cgroup.path), code: errno) }
        guard found.st_ino == cgroup.id else { throw .cgroupMismatch(path: cgroup.path) }
        if let application = try application(cgroupID: cgroup.id) {
            throw .alreadyAttached(application.name, cgroupID: cgroup.id)
        }
        var cgroup = cgroup
        cgroup.state = .attaching
        try write(cgroup)
        let own = try ownPrograms()
        for hook in CgroupHook.guardHooks {
            let program = try guardProgram(hook)
            try own.place(program.handle, id: program.id, at: hook, on: descriptor)
        }
        cgroup.state = .attached
        try write(cgroup)
    }

    /// Records the cgroup as `detaching`, takes the guard's hooks away and forgets it. Finishes what a killed command left;
    /// the cgroup may be gone.
    public func unprotect(_ cgroup: GuardedCgroup) throws(BPFError) {
        try requireExclusive()
        var leaving = cgroup
        leaving.state = .detaching
        try write(leaving)
        // What counts begins anew with the next guard.
        try map(.guardCount).handle.write(vne_guard_count(), at: cgroup.id)
        if let directory = try openCgroup(cgroup.id) { try ownPrograms().removeAll(from: directory.rawValue) }
        try map(.guarded).handle.remove(cgroup.id)
    }

    /// What the guard of a cgroup refused since it was attached, by hook; zero counts are left out.
    public func refusals(of cgroup: GuardedCgroup) throws(BPFError) -> [Hook: UInt64] {
        guard let count: vne_guard_count = try map(.guardCount).handle.value(of: cgroup.id) else { return [:] }
        var refusals: [Hook: UInt64] = [:]
        unsafe withUnsafeBytes(of: count.denied) { bytes in
            let counts = unsafe bytes.bindMemory(to: UInt64.self)
            for hook in Hook.allCases {
                let count = unsafe counts[Int(hook.rawValue)]
                if count > 0 { refusals[hook] = count }
            }
        }
        return refusals
    }

    /// The guard's hooks on a cgroup, of whatever build; none if the cgroup is gone.
    public func attachedHooks(of cgroup: GuardedCgroup) throws(BPFError) -> [AttachedHook] {
        guard let directory = try openCgroup(cgroup.id) else { return [] }
        let own = try ownPrograms()
        var hooks: [AttachedHook] = []
        for hook in CgroupHook.guardHooks {
            for id in try own.attached(at: hook, to: directory.rawValue) {
                hooks.append(AttachedHook(hook: hook, programID: id))
            }
        }
        return hooks
    }

    /// Puts the guard's programs that are pinned in a directory in the place of those of another build.
    func placeGuards(programs path: String, by own: OwnPrograms) throws(BPFError) {
        let cgroups = try guardedCgroups().filter { $0.state != .detaching }
        guard !cgroups.isEmpty else { return }
        for hook in CgroupHook.guardHooks {
            let program = try BPFProgram(pinnedAt: "\(path)/\(hook.guardProgramName)")
            let id = try program.id()
            for cgroup in cgroups {
                guard let directory = try openCgroup(cgroup.id) else { continue }
                try own.place(program, id: id, at: hook, on: directory.rawValue)
            }
        }
        for cgroup in cgroups {
            guard let directory = try openCgroup(cgroup.id) else { continue }
            try own.removeUnknown(from: directory.rawValue)
            for hook in CgroupHook.allCases where !CgroupHook.guardHooks.contains(hook) {
                try own.remove(from: hook, on: directory.rawValue)
            }
        }
    }

    private func write(_ cgroup: GuardedCgroup) throws(BPFError) {
        var record = vne_guarded()
        record.state =
            switch cgroup.state {
            case .attaching: UInt32(VNE_APPLICATION_ATTACHING)
            case .attached: UInt32(VNE_APPLICATION_ATTACHED)
            case .detaching: UInt32(VNE_APPLICATION_DETACHING)
            }
        guard FixedText.write(cgroup.path, to: &record.cgroup_path) else { throw .invalidName(cgroup.path) }
        try map(.guarded).handle.write(record, at: cgroup.id)
    }

    /// A record that no version writes counts as `detaching`, which is cleared.
    static func cgroup(of record: vne_guarded, id: UInt64) -> GuardedCgroup {
        let state: AttachedApplication.State =
            switch record.state {
            case UInt32(VNE_APPLICATION_ATTACHING): .attaching
            case UInt32(VNE_APPLICATION_ATTACHED): .attached
            default: .detaching
            }
        return GuardedCgroup(state: state, path: FixedText.string(of: record.cgroup_path), id: id)
    }
}
