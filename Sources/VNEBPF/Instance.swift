internal import Glibc
internal import PolicyModel
internal import VNEPrograms

/// An instance of the isolator in the kernel: its pinned maps and programs, held under its lock.
///
/// The pins are the state, and what the cgroups hold; nothing of it is remembered here but what nobody else can change
/// under the lock. What a call needs is opened then and kept. The lock is that of the pin directory and goes with this value: one command changes an
/// instance at a time, any number read it.
///
/// - Note: needs kernel 5.10, for maps of maps whose inner maps differ in size.
public final class Instance {
    /// What the opener may do.
    public enum Access: Hashable, Sendable {
        /// Everything; nobody else has it open.
        case exclusive
        /// Read; others may read too.
        case shared
    }

    /// The instance's name: that of its directory under `/sys/fs/bpf`.
    public let name: String
    /// What the opener may do.
    public let access: Access
    /// The network namespace that it serves, by its `SO_NETNS_COOKIE`.
    public let networkNamespace: UInt64

    let directory: PinDirectory
    let lock: Descriptor
    private var maps: [PinnedMap: OpenMap] = [:]
    private var programs: [CgroupHook: OpenProgram] = [:]
    private var guardPrograms: [CgroupHook: OpenProgram] = [:]
    private var own: OwnPrograms?
    private var loaded: Set<CgroupHook>?
    private var hierarchy: OpenHierarchy?
    /// The applications' cgroups by name, once somebody asked for one.
    var cgroupIDs: [String: UInt64]?
    /// Why the kernel does not hold protections, once somebody asked: asking means trying to load programs.
    var probed: [Protection: String]?
    /// A reader of the published image, once somebody asked for it.
    var image: PolicyImageReader?
    /// The application that ``attach(_:cgroup:)`` has just made whole, so that ``open(_:)`` need not look again.
    var whole: AttachedApplication?

    init(
        name: String, access: Access, networkNamespace: UInt64, directory: PinDirectory, lock: consuming Descriptor
    ) {
        self.name = name
        self.access = access
        self.networkNamespace = networkNamespace
        self.directory = directory
        self.lock = lock
    }

    /// One of the maps; opened at the first call.
    func map(_ map: PinnedMap) throws(BPFError) -> OpenMap {
        if let open = maps[map] { return open }
        let open = OpenMap(try BPFMap(pinnedAt: directory.map(map), name: map.rawValue))
        maps[map] = open
        return open
    }

    /// The program of a hook; opened at the first call.
    func program(_ hook: CgroupHook) throws(BPFError) -> OpenProgram {
        if let open = programs[hook] { return open }
        let open = try OpenProgram(try BPFProgram(pinnedAt: directory.program(hook)))
        programs[hook] = open
        return open
    }

    /// The guard's program of a hook; opened at the first call.
    func guardProgram(_ hook: CgroupHook) throws(BPFError) -> OpenProgram {
        if let open = guardPrograms[hook] { return open }
        let open = try OpenProgram(try BPFProgram(pinnedAt: directory.guardProgram(hook)))
        guardPrograms[hook] = open
        return open
    }

    /// Has programs opened anew, after others took their place.
    func forgetPrograms() {
        programs = [:]
        guardPrograms = [:]
        loaded = nil
    }

    /// The hooks that the instance has programs for: all but those that the kernel had not when they were loaded.
    func loadedHooks() throws(BPFError) -> Set<CgroupHook> {
        if let loaded { return loaded }
        let pins = Set(try BPFFileSystem.entries(of: directory.programs).map(\.name))
        let found = Set(CgroupHook.allCases.filter { !$0.isOptional || pins.contains($0.programName) })
        loaded = found
        return found
    }

    /// The hooks of an application, in the order of attaching: packets are dropped before calls are refused. Detaching
    /// goes the other way, so `ingress` is there for as long as any hook is.
    func hooks(of application: AttachedApplication) throws(BPFError) -> [CgroupHook] {
        let loaded = try loadedHooks()
        var hooks: [CgroupHook] = []
        for hook in CgroupHook.allCases where loaded.contains(hook) && (application.egress || hook != .egress) {
            if try asks(application, for: hook) { hooks.append(hook) }
        }
        return hooks
    }

    /// What tells the instance's programs from others; made at the first call.
    func ownPrograms() throws(BPFError) -> OwnPrograms {
        if let own { return own }
        let made = try OwnPrograms(of: directory)
        own = made
        return made
    }

    /// The directory of an application's cgroup; nil if the cgroup is gone.
    func openCgroup(_ id: UInt64) throws(BPFError) -> Descriptor? {
        if let hierarchy { return try hierarchy.handle.openCgroup(id) }
        let found = OpenHierarchy(try CgroupHierarchy())
        hierarchy = found
        return try found.handle.openCgroup(id)
    }

    func requireExclusive() throws(BPFError) {
        guard access == .exclusive else { throw .readOnly }
    }
}

/// A map that several calls share: a handle can be in one place only.
final class OpenMap {
    let handle: BPFMap

    init(_ handle: consuming BPFMap) {
        self.handle = handle
    }
}

/// A program that several calls share.
final class OpenProgram {
    let handle: BPFProgram
    let id: UInt32

    init(_ handle: consuming BPFProgram) throws(BPFError) {
        id = try handle.id()
        self.handle = handle
    }
}

/// The cgroup hierarchy, shared likewise.
private final class OpenHierarchy {
    let handle: CgroupHierarchy

    init(_ handle: consuming CgroupHierarchy) {
        self.handle = handle
    }
}
