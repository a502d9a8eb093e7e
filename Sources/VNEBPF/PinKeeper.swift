internal import CLibBPF
internal import Glibc

/// Keeps an instance's maps and programs from being lost with their pins: holds them open, and pins them anew where somebody
/// removed the pin.
///
/// Without the pins, cgroups go on holding their programs and these their maps: all that was attached stays enforced, and
/// nobody could change it any more.
public final class PinKeeper {
    private let directory: PinDirectory
    /// What was pinned at the last look, by path.
    private var held: [String: Held] = [:]

    /// A keeper of an instance's pins, which holds nothing yet.
    public init(instance: String) throws(BPFError) {
        directory = try PinDirectory(instance: instance)
    }

    /// The directories in which the pins are, with the names in them that matter; nil for all.
    public var directories: [String: Set<String>?] {
        [
            PinDirectory.root: [String(directory.path.dropFirst(PinDirectory.root.count + 1))],
            directory.path: nil as Set<String>?, directory.maps: nil, directory.programs: nil,
            directory.interfaces: nil,
        ]
    }

    /// Holds what is pinned now. The caller has the instance open.
    public func hold() throws(BPFError) {
        var found: [String: Held] = [:]
        for directory in [directory.maps, directory.programs] {
            for (name, isDirectory) in try BPFFileSystem.entries(of: directory) where !isDirectory {
                let path = "\(directory)/\(name)"
                found[path] = Held(try Self.open(path))
            }
        }
        held = found
    }

    /// Pins anew what is held and no longer pinned; says which paths. Nothing if nothing is held.
    ///
    /// An instance that somebody loaded meanwhile is left as it is: what is held then belongs to another one.
    public func restore() throws(BPFError) -> [String] {
        guard !held.isEmpty else { return [] }
        try BPFFileSystem.mountIfNeeded()
        guard let lock = try Instance.locked(directory.path, LOCK_EX) else { return try rebuild() }
        defer { _ = lock.rawValue }
        let missing = held.keys.filter { !BPFFileSystem.exists($0) }.sorted()
        guard !missing.isEmpty, try isSameInstance() else { return [] }
        for path in missing { try pin(path, at: path) }
        return missing
    }

    /// Builds the whole directory out of sight, as a load does, and publishes it.
    private func rebuild() throws(BPFError) -> [String] {
        let unpublished = directory.unpublished
        try BPFFileSystem.makeDirectory(unpublished.path)
        guard let lock = try Instance.locked(unpublished.path, LOCK_EX), !BPFFileSystem.exists(directory.path) else {
            return []
        }
        defer { _ = lock.rawValue }
        for path in held.keys { try pin(path, at: unpublished.path + path.dropFirst(directory.path.count)) }
        try BPFFileSystem.move(unpublished.path, to: directory.path)
        return held.keys.sorted()
    }

    /// Whether what is still pinned is what is held: the map that says what the instance is, or where that is missing any
    /// other one.
    private func isSameInstance() throws(BPFError) -> Bool {
        for map in [PinnedMap.instance] + PinnedMap.allCases {
            let path = directory.map(map)
            guard let known = held[path], BPFFileSystem.exists(path) else { continue }
            let pinned = try BPFMap(pinnedAt: path, name: map.rawValue).information().id
            return try Self.mapID(known.descriptor, path) == pinned
        }
        return true
    }

    private func pin(_ held: String, at path: String) throws(BPFError) {
        guard let held = self.held[held], let slash = path.lastIndex(of: "/") else { return }
        try BPFFileSystem.makeDirectory(String(path[..<slash]))
        let result = unsafe bpf_obj_pin(held.descriptor.rawValue, path)
        guard result == 0 else { throw .failed(.pin(path: path), code: -result) }
    }

    private static func open(_ path: String) throws(BPFError) -> Descriptor {
        let number = unsafe bpf_obj_get(path)
        guard number >= 0 else { throw .failed(.openPin(path: path), code: -number) }
        return Descriptor(owning: number)
    }

    private static func mapID(_ map: borrowing Descriptor, _ path: String) throws(BPFError) -> UInt32 {
        var information = bpf_map_info()
        var length = UInt32(MemoryLayout<bpf_map_info>.size)
        let result = unsafe bpf_obj_get_info_by_fd(map.rawValue, &information, &length)
        guard result == 0 else { throw .failed(.inspect(path: path), code: -result) }
        return information.id
    }
}

/// A descriptor that can be kept in a table.
private final class Held {
    let descriptor: Descriptor

    init(_ descriptor: consuming Descriptor) {
        self.descriptor = descriptor
    }
}
