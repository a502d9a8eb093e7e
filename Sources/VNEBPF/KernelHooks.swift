internal import CLibBPF
internal import Glibc
internal import PolicyModel

/// Which of the optional hooks this kernel has, found by loading a program that does nothing for each.
///
/// A program of ours that does not load although such a one does is a fault, and not a kernel without the hook.
struct KernelHooks {
    /// The errno of each optional hook that the kernel has not, or keeps from us.
    let refused: [CgroupHook: Int32]

    /// Asks the kernel.
    ///
    /// - Throws: whatever says neither that the hook is there nor that it is not, such as a lack of memory.
    init() throws(BPFError) {
        var refused: [CgroupHook: Int32] = [:]
        let types = KernelTypes()
        for hook in CgroupHook.allCases where hook.isOptional {
            let code = Self.tryToLoad(hook, types: types)
            switch code {
            case 0: continue
            case EPERM, EINVAL, ENOENT, EOPNOTSUPP, Self.notSupported: refused[hook] = code
            default: throw .failed(.probeHook(hook: hook.rawValue), code: code)
            }
        }
        self.refused = refused
    }

    /// The hooks that an instance loads. Two sets of them hold `unix: private`; the one of BPF LSM tells own sockets
    /// from foreign ones, so the other one stays out where it is there.
    var usable: Set<CgroupHook> {
        var usable = Set(CgroupHook.allCases).subtracting(refused.keys)
        let sets = CgroupHook.holding(.unix)
        if let best = sets.first(where: { usable.isSuperset(of: $0) }) {
            for other in sets where other != best { usable.subtract(other) }
        }
        return usable
    }

    /// The kernel's own ENOTSUPP, which no header of ours has.
    private static let notSupported: Int32 = 524

    /// The C function is `bpf_prog_load`. Gives 0 or an errno.
    private static func tryToLoad(_ hook: CgroupHook, types: borrowing KernelTypes) -> Int32 {
        var options = unsafe bpf_prog_load_opts()
        unsafe options.sz = MemoryLayout<bpf_prog_load_opts>.size
        unsafe options.expected_attach_type = hook.attachType
        if let function = hook.securityFunction {
            guard let id = types.functionID("bpf_lsm_" + function) else { return ENOENT }
            unsafe options.attach_btf_id = id
        }
        // r0 = 1; exit
        let instructions: [UInt64] = [0x1_0000_00b7, 0x95]
        let result = unsafe instructions.withUnsafeBytes { bytes in
            unsafe bpf_prog_load(
                hook.programType, "probe", "GPL", bytes.bindMemory(to: bpf_insn.self).baseAddress,
                instructions.count, &options)
        }
        guard result >= 0 else { return -result }
        _ = Descriptor(owning: result)
        return 0
    }
}

/// The types of the kernel's functions, as its BTF says them.
@safe private struct KernelTypes: ~Copyable {
    private let handle: OpaquePointer?

    /// `BTF_KIND_FUNC` of `linux/btf.h`, where it is two things of one name.
    private static let function: UInt32 = 12

    /// The C function is `btf__load_vmlinux_btf`.
    init() {
        LibBPFLog.silence()
        unsafe handle = unsafe btf__load_vmlinux_btf()
    }

    deinit {
        unsafe btf__free(handle)
    }

    /// The id of a function; nil where the kernel has none of the name. The C function is `btf__find_by_name_kind`.
    func functionID(_ name: String) -> UInt32? {
        guard let handle = unsafe handle else { return nil }
        let id = unsafe btf__find_by_name_kind(handle, name, Self.function)
        return id > 0 ? UInt32(id) : nil
    }
}

/// The kernel's list of security modules.
enum SecurityModules {
    /// Whether BPF is among those that run: programs load and attach where it is not, and nothing ever calls them. Nil
    /// where the list cannot be read.
    static var haveBPF: Bool? {
        guard let file = unsafe fopen("/sys/kernel/security/lsm", "re") else { return nil }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 1024)
        guard unsafe fgets(&line, Int32(line.count), file) != nil else { return nil }
        return String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            .split { $0 == "," || $0 == "\n" }.contains("bpf")
    }
}
