internal import Glibc

/// The directory of an instance's pins in the BPF file system, and what lies in it:
///
///     /sys/fs/bpf/vne/maps/policy           the maps, by name
///     /sys/fs/bpf/vne/programs/vne_connect4 the programs, by name
///     /sys/fs/bpf/vne/interfaces/1          what steers on an interface, by its index
///
/// What is attached to an application's cgroup is held by the cgroup, and has no pin.
struct PinDirectory {
    /// Where the BPF file system is mounted on every Linux.
    static let root = "/sys/fs/bpf"

    let path: String

    /// The directory of an instance.
    ///
    /// - Throws: ``BPFError/invalidName(_:)`` for what is no plain word: such a path could lead anywhere.
    init(instance: String) throws(BPFError) {
        guard Self.isName(instance) else { throw .invalidName(instance) }
        self.init(path: "\(Self.root)/\(instance)")
    }

    private init(path: String) {
        self.path = path
    }

    /// Where an instance is built before it is published by a rename, and taken apart after it went. The colon keeps it
    /// apart from every instance's name.
    var unpublished: PinDirectory { PinDirectory(path: path + ":new") }

    var maps: String { path + "/maps" }
    var programs: String { path + "/programs" }
    /// Links to interfaces, by index; there while an application has both families.
    var interfaces: String { path + "/interfaces" }
    /// Where an upgrade pins the new programs, and keeps the old ones while it swaps the two.
    var newPrograms: String { path + "/programs:new" }
    var oldPrograms: String { path + "/programs:old" }

    func map(_ map: PinnedMap) -> String { "\(maps)/\(map.rawValue)" }
    func program(_ hook: CgroupHook) -> String { program(named: hook.programName) }
    func guardProgram(_ hook: CgroupHook) -> String { program(named: hook.guardProgramName) }
    func program(named name: String) -> String { "\(programs)/\(name)" }

    /// Letters, digits, `-` and `_`, at most 63 bytes. The BPF file system reserves dots.
    private static func isName(_ text: String) -> Bool {
        let plain = text.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        return plain && (1...63).contains(text.utf8.count)
    }
}

/// The maps of an instance; raw values are their names, in the object and as pins.
public enum PinnedMap: String, CaseIterable, Hashable, Sendable {
    /// The policy image.
    case policy
    /// What the programs know of an application, a cgroup's storage.
    case attachment
    /// What they counted, a cgroup's storage on each CPU.
    case counters
    /// Who has an application address.
    case owner
    /// What the commands know of an application.
    case application
    /// Handshakes of a moment ago.
    case handshake
    /// What the instance is.
    case instance
    /// The ring buffer of denials.
    case denials
    /// What the commands know of a guarded cgroup.
    case guarded
    /// What the guard refused, a cgroup's storage.
    case guardCount = "guard_count"
}
