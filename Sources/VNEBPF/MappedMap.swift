internal import Glibc
internal import Synchronization

/// The values of an array map, shared with the kernel; the map has `BPF_F_MMAPABLE`.
@safe struct MappedMap: ~Copyable {
    private let memory: UnsafeMutableRawBufferPointer

    /// The C function is `mmap`.
    init(_ map: borrowing BPFMap, byteCount: Int) throws(BPFError) {
        let start = unsafe mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, map.descriptor.rawValue, 0)
        guard let start = unsafe start, unsafe start != MAP_FAILED else {
            throw .failed(.mapMemory(name: map.name), code: errno)
        }
        unsafe memory = UnsafeMutableRawBufferPointer(start: start, count: byteCount)
    }

    deinit {
        unsafe munmap(memory.baseAddress, memory.count)
    }

    /// Writes words from the start on; nobody may be reading them.
    mutating func fill(with words: [UInt32]) {
        unsafe words.withUnsafeBytes { unsafe memory.copyMemory(from: $0) }
    }

    /// Writes one word whole, after everything that was written before.
    mutating func store(_ word: UInt32, at offset: Int) {
        unsafe memory.baseAddress?.advanced(by: offset).assumingMemoryBound(to: Atomic<UInt32>.self)
            .pointee.store(word, ordering: .releasing)
    }

    /// Reads one word whole.
    func load(at offset: Int) -> UInt32 {
        unsafe memory.baseAddress?.advanced(by: offset).assumingMemoryBound(to: Atomic<UInt32>.self)
            .pointee.load(ordering: .acquiring) ?? 0
    }
}
