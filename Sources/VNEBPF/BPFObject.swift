internal import CLibBPF
internal import Glibc
internal import VNEPrograms

/// The bytes of a compiled object and what identifies them.
@safe struct ObjectImage {
    /// Bytes that live as long as the process.
    let bytes: UnsafeRawBufferPointer
    /// Tells builds apart; no protection against anyone.
    let digest: UInt64

    /// The object that this binary carries.
    static var embedded: ObjectImage {
        let bytes = unsafe UnsafeRawBufferPointer(start: vne_programs_object(), count: Int(vne_programs_size()))
        return unsafe ObjectImage(bytes: bytes, digest: digest(of: bytes))
    }

    /// Four lanes of eight bytes a step, as every command computes it: 120 KiB in some ten microseconds.
    private static func digest(of bytes: UnsafeRawBufferPointer) -> UInt64 {
        let prime: UInt64 = 0x9e37_79b9_7f4a_7c15
        var lanes: SIMD4<UInt64> = [UInt64(bytes.count), 1, 2, 3]
        var offset = 0
        while offset + 32 <= bytes.count {
            lanes ^= unsafe bytes.loadUnaligned(fromByteOffset: offset, as: SIMD4<UInt64>.self)
            for lane in 0..<4 { lanes[lane] = (lanes[lane] &* prime) ^ lanes[lane] >> 29 }
            offset += 32
        }
        var digest = lanes[0]
        for lane in 1..<4 { digest = (digest ^ digest >> 31) &* prime ^ lanes[lane] }
        while offset < bytes.count {
            let byte = unsafe bytes[offset]
            digest = (digest ^ UInt64(byte)) &* prime
            offset += 1
        }
        return digest
    }
}

/// An object file of programs and maps that libbpf has opened; closing it leaves what was pinned.
@safe public struct BPFObject: ~Copyable {
    private let handle: OpaquePointer
    private let name: String

    private init(owning handle: OpaquePointer, name: String) {
        unsafe self.handle = unsafe handle
        self.name = name
    }

    deinit {
        unsafe bpf_object__close(handle)
    }

    /// Reads an object; nothing gets into the kernel yet. The C function is `bpf_object__open_mem`.
    static func open(_ image: ObjectImage, name: String) throws(BPFError) -> BPFObject {
        try LibBPFLog.collecting { () throws(BPFError) in
            let handle = unsafe name.withCString { text -> OpaquePointer? in
                var options = unsafe bpf_object_open_opts()
                unsafe options.sz = MemoryLayout<bpf_object_open_opts>.size
                unsafe options.object_name = unsafe text
                return unsafe bpf_object__open_mem(image.bytes.baseAddress, image.bytes.count, &options)
            }
            guard let handle = unsafe handle else {
                throw .failed(.openObject(name: name), code: errno, log: LibBPFLog.collected)
            }
            return unsafe BPFObject(owning: handle, name: name)
        }
    }

    /// Has the object use a map that exists instead of making its own. The C function is `bpf_map__reuse_fd`.
    ///
    /// Throws EINVAL if the two differ in type or sizes.
    func reuse(_ map: borrowing BPFMap, for mapName: String) throws(BPFError) {
        guard let target = unsafe bpf_object__find_map_by_name(handle, mapName) else { return }
        let found = try map.information()
        guard unsafe found.type == bpf_map__type(target).rawValue, unsafe found.keySize == bpf_map__key_size(target),
            unsafe found.valueSize == bpf_map__value_size(target)
        else { throw .failed(.loadObject(name: name), code: EINVAL, log: "the pinned map \(mapName) differs") }
        let result = unsafe bpf_map__reuse_fd(target, map.descriptor.rawValue)
        guard result == 0 else { throw .failed(.loadObject(name: name), code: -result) }
    }

    /// Has the object load the programs of these hooks and of no others that are optional. The C functions are
    /// `bpf_program__set_autoload`, and `bpf_program__set_type` for programs whose section libbpf may not know.
    func choose(_ hooks: Set<CgroupHook>) throws(BPFError) {
        for hook in CgroupHook.allCases where hook.isOptional {
            guard let program = unsafe bpf_object__find_program_by_name(handle, hook.programName) else { continue }
            guard hooks.contains(hook) else {
                let result = unsafe bpf_program__set_autoload(program, false)
                guard result == 0 else { throw .failed(.loadObject(name: name), code: -result) }
                continue
            }
            guard hook.securityFunction == nil else { continue }
            unsafe bpf_program__set_type(program, hook.programType)
            unsafe bpf_program__set_expected_attach_type(program, hook.attachType)
        }
    }

    /// Makes the maps and loads the programs. The C function is `bpf_object__load`.
    func load() throws(BPFError) {
        try LibBPFLog.collecting { () throws(BPFError) in
            let result = unsafe bpf_object__load(handle)
            guard result == 0 else {
                throw .failed(.loadObject(name: name), code: -result, log: LibBPFLog.collected)
            }
        }
    }

    /// Names of the maps, without those that the compiler makes for constants and variables.
    var mapNames: [String] {
        var names: [String] = []
        var map = unsafe bpf_object__next_map(handle, nil)
        while let current = unsafe map {
            if unsafe !bpf_map__is_internal(current) {
                unsafe names.append(String(cString: bpf_map__name(current)))
            }
            unsafe map = unsafe bpf_object__next_map(handle, current)
        }
        return names
    }

    /// Names of the programs, without those that are not to be loaded.
    var programNames: [String] {
        var names: [String] = []
        var program = unsafe bpf_object__next_program(handle, nil)
        while let current = unsafe program {
            if unsafe bpf_program__autoload(current) {
                unsafe names.append(String(cString: bpf_program__name(current)))
            }
            unsafe program = unsafe bpf_object__next_program(handle, current)
        }
        return names
    }

    /// Pins a map of the loaded object. The C function is `bpf_obj_pin`.
    func pinMap(_ mapName: String, at path: String) throws(BPFError) {
        guard let map = unsafe bpf_object__find_map_by_name(handle, mapName) else {
            throw .failed(.pin(path: path), code: ENOENT)
        }
        let result = unsafe bpf_obj_pin(bpf_map__fd(map), path)
        guard result == 0 else { throw .failed(.pin(path: path), code: -result) }
    }

    /// Pins a program of the loaded object. The C function is `bpf_obj_pin`.
    func pinProgram(_ programName: String, at path: String) throws(BPFError) {
        guard let program = unsafe bpf_object__find_program_by_name(handle, programName) else {
            throw .failed(.findProgram(name: programName), code: ENOENT)
        }
        let result = unsafe bpf_obj_pin(bpf_program__fd(program), path)
        guard result == 0 else { throw .failed(.pin(path: path), code: -result) }
    }
}
