internal import CLibBPF
internal import Glibc

/// A loaded BPF program that is held open.
public struct BPFProgram: ~Copyable {
    let descriptor: Descriptor

    /// Opens a pinned program. The C function is `bpf_obj_get`.
    public init(pinnedAt path: String) throws(BPFError) {
        let result = unsafe bpf_obj_get(path)
        guard result >= 0 else { throw .failed(.openPin(path: path), code: -result) }
        self.descriptor = Descriptor(owning: result)
    }

    private init(owning descriptor: Int32) {
        self.descriptor = Descriptor(owning: descriptor)
    }

    /// Opens a program by its id; nil if there is none. The C function is `bpf_prog_get_fd_by_id`.
    static func withID(_ id: UInt32) throws(BPFError) -> BPFProgram? {
        let result = bpf_prog_get_fd_by_id(id)
        guard -result != ENOENT else { return nil }
        guard result >= 0 else { throw .failed(.inspect(path: "the program \(id)"), code: -result) }
        return BPFProgram(owning: result)
    }

    /// Whether there is a program with this id.
    public static func exists(id: UInt32) -> Bool {
        guard let program = try? withID(id) else { return false }
        _ = program
        return true
    }

    /// The program's id, as `bpftool prog` shows it. The C function is `bpf_obj_get_info_by_fd`.
    public func id() throws(BPFError) -> UInt32 {
        var information = bpf_prog_info()
        try inspect(&information)
        return information.id
    }

    /// The name that the kernel knows it by, and the ids of the maps that it uses.
    func nameAndMaps() throws(BPFError) -> (name: String, maps: [UInt32]) {
        var information = bpf_prog_info()
        try inspect(&information)
        let name = FixedText.string(of: information.name)
        var maps = [UInt32](repeating: 0, count: Int(information.nr_map_ids))
        var second = bpf_prog_info()
        second.nr_map_ids = information.nr_map_ids
        var code: Int32 = 0
        unsafe maps.withUnsafeMutableBufferPointer { buffer in
            second.map_ids = UInt64(UInt(bitPattern: buffer.baseAddress))
            var length = UInt32(MemoryLayout<bpf_prog_info>.size)
            code = unsafe -bpf_obj_get_info_by_fd(descriptor.rawValue, &second, &length)
        }
        guard code == 0 else { throw .failed(.inspect(path: "the program \(name)"), code: code) }
        return (name, maps)
    }

    private func inspect(_ information: inout bpf_prog_info) throws(BPFError) {
        var length = UInt32(MemoryLayout<bpf_prog_info>.size)
        let result = unsafe bpf_obj_get_info_by_fd(descriptor.rawValue, &information, &length)
        guard result == 0 else { throw .failed(.inspect(path: "a program"), code: -result) }
    }
}

// MARK: - On a cgroup

/// A cgroup holds what is attached to it: neither a descriptor nor a pin has to be kept. The kernel drops the programs
/// with the last socket of a cgroup that was removed.
extension BPFProgram {
    /// Attaches the program beside others that are there. The C function is `bpf_prog_attach_opts` with
    /// `BPF_F_ALLOW_MULTI`.
    func attach(at hook: CgroupHook, to cgroup: Int32) throws(BPFError) {
        try attach(at: hook, to: cgroup, replacing: nil)
    }

    /// Takes the place of a program that is attached, in one step. The C function is `bpf_prog_attach_opts` with
    /// `BPF_F_REPLACE`.
    ///
    /// - Note: exists since kernel 5.6.
    func replace(_ earlier: borrowing BPFProgram, at hook: CgroupHook, on cgroup: Int32) throws(BPFError) {
        try attach(at: hook, to: cgroup, replacing: earlier.descriptor.rawValue)
    }

    private func attach(at hook: CgroupHook, to cgroup: Int32, replacing earlier: Int32?) throws(BPFError) {
        var options = bpf_prog_attach_opts()
        options.sz = MemoryLayout<bpf_prog_attach_opts>.size
        options.flags = UInt32(BPF_F_ALLOW_MULTI)
        if let earlier {
            options.flags |= UInt32(BPF_F_REPLACE)
            options.replace_prog_fd = earlier
        }
        let result = unsafe bpf_prog_attach_opts(descriptor.rawValue, cgroup, hook.attachType, &options)
        guard result == 0 else { throw .failed(.attachProgram(hook: hook.rawValue), code: -result) }
    }

    /// Takes the program off a cgroup; nothing if it is not there. The C function is `bpf_prog_detach2`.
    func detach(at type: bpf_attach_type, from cgroup: Int32) throws(BPFError) {
        let result = bpf_prog_detach2(descriptor.rawValue, cgroup, type)
        guard result == 0 || -result == ENOENT else {
            throw .failed(.detachProgram(type: type.rawValue), code: -result)
        }
    }

    /// Ids of the programs, anybody's, that are attached to the cgroup itself; none where the cgroup is
    /// gone or the kernel does not know the type. The C function is `bpf_prog_query_opts`.
    static func attached(at type: bpf_attach_type, to cgroup: Int32) throws(BPFError) -> [UInt32] {
        var code: Int32 = 0
        // As many as the kernel lets anybody attach: BPF_CGROUP_MAX_PROGS at each of the hooks of a type.
        let most = type == BPF_LSM_CGROUP ? 640 : 64
        // Of programs at several hooks of one type the kernel wants to say the flags, too.
        var flags = [UInt32](repeating: 0, count: type == BPF_LSM_CGROUP ? most : 0)
        let ids = unsafe flags.withUnsafeMutableBufferPointer { flags in
            unsafe [UInt32](unsafeUninitializedCapacity: most) { buffer, count in
                var options = unsafe bpf_prog_query_opts()
                unsafe options.sz = MemoryLayout<bpf_prog_query_opts>.size
                unsafe options.prog_ids = buffer.baseAddress
                unsafe options.prog_cnt = UInt32(most)
                if !flags.isEmpty { unsafe options.prog_attach_flags = flags.baseAddress }
                code = unsafe -bpf_prog_query_opts(cgroup, type, &options)
                count = unsafe code == 0 ? Int(options.prog_cnt) : 0
            }
        }
        guard [0, EINVAL, ENOENT].contains(code) else { throw .failed(.queryPrograms(type: type.rawValue), code: code) }
        return ids
    }
}
