internal import CLibBPF
internal import Glibc

/// A BPF map that is held open.
public struct BPFMap: ~Copyable {
    let descriptor: Descriptor
    /// Its name in messages.
    public let name: String

    /// Takes over a map's file descriptor.
    init(owning descriptor: Int32, name: String) {
        self.descriptor = Descriptor(owning: descriptor)
        self.name = name
    }

    /// Opens a pinned map. The C function is `bpf_obj_get`.
    public init(pinnedAt path: String, name: String) throws(BPFError) {
        let result = unsafe bpf_obj_get(path)
        guard result >= 0 else { throw .failed(.openPin(path: path), code: -result) }
        self.init(owning: result, name: name)
    }

    /// Opens a map by its id. The C function is `bpf_map_get_fd_by_id`.
    init(id: UInt32, name: String) throws(BPFError) {
        let result = bpf_map_get_fd_by_id(id)
        guard result >= 0 else { throw .failed(.readMap(name: name), code: -result) }
        self.init(owning: result, name: name)
    }

    /// What the kernel says of a map. The C function is `bpf_obj_get_info_by_fd`.
    public struct Information: Hashable, Sendable {
        /// The map's id, as `bpftool map` shows it.
        public var id: UInt32
        /// `enum bpf_map_type`.
        public var type: UInt32
        /// Bytes of a key.
        public var keySize: UInt32
        /// Bytes of a value; of each CPU's where there is one a CPU.
        public var valueSize: UInt32
        /// Most entries.
        public var maximumEntries: UInt32
        /// `BPF_F_…`.
        public var flags: UInt32
        /// The name that the kernel knows it by.
        public var name: String
    }

    /// What the kernel says of this map.
    public func information() throws(BPFError) -> Information {
        var information = bpf_map_info()
        var length = UInt32(MemoryLayout<bpf_map_info>.size)
        let result = unsafe bpf_obj_get_info_by_fd(descriptor.rawValue, &information, &length)
        guard result == 0 else { throw .failed(.inspect(path: "the map \(name)"), code: -result) }
        return Information(
            id: information.id, type: information.type, keySize: information.key_size,
            valueSize: information.value_size, maximumEntries: information.max_entries, flags: information.map_flags,
            name: FixedText.string(of: information.name))
    }
}

// MARK: - Typed entries

extension BPFMap {
    /// How an entry may be written.
    enum Writing {
        /// Whether there is one or not.
        case any
        /// Only if there is none; EEXIST otherwise.
        case new

        var flags: UInt64 {
            switch self {
            case .any: UInt64(BPF_ANY)
            case .new: UInt64(BPF_NOEXIST)
            }
        }
    }

    /// The value of a key; nil if there is none. The C function is `bpf_map_lookup_elem`.
    func value<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        of key: Key, as type: Value.Type = Value.self
    ) throws(BPFError) -> Value? {
        let bytes = try value(of: key, byteCount: MemoryLayout<Value>.size)
        return unsafe bytes?.withUnsafeBytes { unsafe $0.loadUnaligned(as: type) }
    }

    /// The value of a key as bytes; `byteCount` is the size of the value, over all CPUs where there is one a CPU.
    func value<Key: BitwiseCopyable>(of key: Key, byteCount: Int) throws(BPFError) -> [UInt8]? {
        try values(of: key, count: byteCount)
    }

    /// The value of a key as so many elements.
    func values<Key: BitwiseCopyable, Element: BitwiseCopyable>(
        of key: Key, count elementCount: Int
    ) throws(BPFError) -> [Element]? {
        var code: Int32 = 0
        let elements = unsafe [Element](unsafeUninitializedCapacity: elementCount) { buffer, count in
            let result = unsafe withUnsafePointer(to: key) { key in
                unsafe bpf_map_lookup_elem(descriptor.rawValue, key, buffer.baseAddress)
            }
            code = -result
            count = result == 0 ? elementCount : 0
        }
        guard code != ENOENT else { return nil }
        guard code == 0 else { throw .failed(.readMap(name: name), code: code) }
        return elements
    }

    /// Writes an entry; says whether that was possible: false for `.new` where there is one already, and for a cgroup
    /// storage that does not exist. The C function is `bpf_map_update_elem`.
    @discardableResult
    func write<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        _ value: Value, at key: Key, _ writing: Writing = .any
    ) throws(BPFError) -> Bool {
        let result = unsafe withUnsafePointer(to: key) { key in
            unsafe withUnsafePointer(to: value) { value in
                unsafe bpf_map_update_elem(descriptor.rawValue, key, value, writing.flags)
            }
        }
        return try conclude(writing: result)
    }

    /// Writes an entry from bytes.
    @discardableResult
    func write<Key: BitwiseCopyable>(bytes: [UInt8], at key: Key) throws(BPFError) -> Bool {
        let result = unsafe withUnsafePointer(to: key) { key in
            unsafe bytes.withUnsafeBytes { value in
                unsafe bpf_map_update_elem(descriptor.rawValue, key, value.baseAddress, UInt64(BPF_ANY))
            }
        }
        return try conclude(writing: result)
    }

    private func conclude(writing result: Int32) throws(BPFError) -> Bool {
        switch -result {
        case 0: return true
        case EEXIST, ENOENT: return false
        case let code: throw .failed(.writeMap(name: name), code: code)
        }
    }

    /// Removes an entry, if it is there. The C function is `bpf_map_delete_elem`.
    func remove<Key: BitwiseCopyable>(_ key: Key) throws(BPFError) {
        let result = unsafe withUnsafePointer(to: key) { key in
            unsafe bpf_map_delete_elem(descriptor.rawValue, key)
        }
        guard result == 0 || -result == ENOENT else { throw .failed(.writeMap(name: name), code: -result) }
    }

    /// All keys. Stable under the instance's lock, as nothing but commands adds and removes entries. The C function is
    /// `bpf_map_get_next_key`.
    func keys<Key: BitwiseCopyable>(from zero: Key) throws(BPFError) -> [Key] {
        var keys: [Key] = []
        var next = zero
        var result = unsafe withUnsafeMutablePointer(to: &next) { next in
            unsafe bpf_map_get_next_key(descriptor.rawValue, nil, next)
        }
        while result == 0 {
            keys.append(next)
            let current = next
            result = unsafe withUnsafePointer(to: current) { current in
                unsafe withUnsafeMutablePointer(to: &next) { next in
                    unsafe bpf_map_get_next_key(descriptor.rawValue, current, next)
                }
            }
        }
        guard -result == ENOENT else { throw .failed(.readMap(name: name), code: -result) }
        return keys
    }
}
