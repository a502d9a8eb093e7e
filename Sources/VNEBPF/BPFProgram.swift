internal import CLibBPF

/// A loaded BPF program that is held open.
public struct BPFProgram: ~Copyable {
    let descriptor: Descriptor

    /// Opens a pinned program. The C function is `bpf_obj_get`.
    public init(pinnedAt path: String) throws(BPFError) {
        let result = unsafe bpf_obj_get(path)
        guard result >= 0 else { throw .failed(.openPin(path: path), code: -result) }
        self.descriptor = Descriptor(owning: result)
    }

    /// Whether there is a program with this id. The C function is `bpf_prog_get_fd_by_id`.
    public static func exists(id: UInt32) -> Bool {
        let result = bpf_prog_get_fd_by_id(id)
        guard result >= 0 else { return false }
        _ = Descriptor(owning: result)
        return true
    }

    /// The program's id, as `bpftool prog` shows it. The C function is `bpf_obj_get_info_by_fd`.
    public func id() throws(BPFError) -> UInt32 {
        var information = bpf_prog_info()
        var length = UInt32(MemoryLayout<bpf_prog_info>.size)
        let result = unsafe bpf_obj_get_info_by_fd(descriptor.rawValue, &information, &length)
        guard result == 0 else { throw .failed(.inspect(path: "a program"), code: -result) }
        return information.id
    }
}
