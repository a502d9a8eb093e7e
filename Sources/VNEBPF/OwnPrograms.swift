internal import CLibBPF

/// Tells an instance's programs, of whatever build, from everybody else's on the same cgroup.
///
/// A program is the instance's if it is called like one and uses one of the instance's maps. Maps are told by their ids,
/// and nobody but root can load a program over them. So programs of an earlier build count, and those that an upgrade
/// which was killed left; those of another instance, of systemd or of a network plugin do not.
final class OwnPrograms {
    private let maps: Set<UInt32>
    /// The names of the instance's programs; nil for those of others.
    private var judged: [UInt32: String?] = [:]

    /// Reads the ids of the maps that are pinned in the directory.
    init(of directory: PinDirectory) throws(BPFError) {
        var maps: Set<UInt32> = []
        for (name, _) in try BPFFileSystem.entries(of: directory.maps) {
            maps.insert(try BPFMap(pinnedAt: "\(directory.maps)/\(name)", name: name).information().id)
        }
        self.maps = maps
    }

    /// Whether the program with this id is the instance's. A program that is gone is nobody's.
    func contain(_ id: UInt32) throws(BPFError) -> Bool { try ownName(of: id) != nil }

    /// What a program of the instance is called; nil for one of others.
    private func ownName(of id: UInt32) throws(BPFError) -> String? {
        if let known = judged[id] { return known }
        guard let program = try BPFProgram.withID(id) else { return nil }
        let (name, used) = try program.nameAndMaps()
        let isOwn = name.hasPrefix(CgroupHook.programPrefix) && !maps.isDisjoint(with: used)
        judged[id] = .some(isOwn ? name : nil)
        return isOwn ? name : nil
    }

    /// Ids of the instance's programs that are attached to the cgroup itself.
    func attached(at hook: CgroupHook, to cgroup: Int32) throws(BPFError) -> [UInt32] {
        let own = try attached(at: hook.attachType, to: cgroup)
        return hook.sharesAttachType ? own.filter { $0.name == hook.programName }.map(\.id) : own.map(\.id)
    }

    private func attached(
        at type: bpf_attach_type, to cgroup: Int32
    ) throws(BPFError) -> [(id: UInt32, name: String)] {
        var own: [(id: UInt32, name: String)] = []
        for id in try BPFProgram.attached(at: type, to: cgroup) {
            if let name = try ownName(of: id) { own.append((id, name)) }
        }
        return own
    }

    /// Has `program`, and no other program of the instance, at the hook. One of another build is replaced in one step.
    func place(
        _ program: borrowing BPFProgram, id: UInt32, at hook: CgroupHook, on cgroup: Int32
    ) throws(BPFError) {
        var earlier = try attached(at: hook, to: cgroup)
        if let place = earlier.firstIndex(of: id) {
            earlier.remove(at: place)
        } else if let first = earlier.first, let replaced = try BPFProgram.withID(first) {
            try program.replace(replaced, at: hook, on: cgroup)
            earlier.removeFirst()
        } else {
            try program.attach(at: hook, to: cgroup)
        }
        for id in earlier { try BPFProgram.withID(id)?.detach(at: hook.attachType, from: cgroup) }
    }

    /// Takes the instance's programs off a hook.
    func remove(from hook: CgroupHook, on cgroup: Int32) throws(BPFError) {
        for id in try attached(at: hook, to: cgroup) {
            try BPFProgram.withID(id)?.detach(at: hook.attachType, from: cgroup)
        }
    }

    /// Takes the instance's programs off hooks that this build does not know.
    func removeUnknown(from cgroup: Int32) throws(BPFError) {
        for type in CgroupHook.otherAttachTypes {
            for (id, _) in try attached(at: type, to: cgroup) {
                try BPFProgram.withID(id)?.detach(at: type, from: cgroup)
            }
        }
        let known = Set(CgroupHook.allCases.map(\.programName))
        for (id, name) in try attached(at: BPF_LSM_CGROUP, to: cgroup) where !known.contains(name) {
            try BPFProgram.withID(id)?.detach(at: BPF_LSM_CGROUP, from: cgroup)
        }
    }

    /// Takes all of the instance's programs off a cgroup, `ingress` last.
    func removeAll(from cgroup: Int32) throws(BPFError) {
        try removeUnknown(from: cgroup)
        for hook in CgroupHook.allCases.reversed() { try remove(from: hook, on: cgroup) }
    }
}
