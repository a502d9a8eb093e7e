internal import CLibBPF
internal import Glibc
public import PolicyModel

/// What holds only where the kernel lets it. `Protection.closing` is no matter of programs: whoever closes sockets knows
/// whether that works, so nothing here says it.
extension Instance {
    /// What the instance's programs hold of every application that is attached whole.
    public func protections() throws(BPFError) -> Set<Protection> {
        var held = Self.held(by: try loadedHooks())
        if Self.kernelSteers { held.insert(.dualStack) }
        return held
    }

    /// What the programs on one application's cgroup hold; nothing if the cgroup is gone.
    public func protections(of application: AttachedApplication) throws(BPFError) -> Set<Protection> {
        var held = Self.held(by: Set(try attachedHooks(of: application).map(\.hook)))
        if application.addresses.families.count == 2, BPFFileSystem.exists(directory.interfaces) {
            held.insert(.dualStack)
        }
        return held
    }

    /// Why this kernel does not hold a protection, by protection, found without an instance; those that are missing are
    /// held. Needs root, and changes nothing.
    public static func probeProtections() throws(BPFError) -> [Protection: String] {
        let refused = try KernelHooks().refused
        var reasons: [Protection: String] = [:]
        for protection in Protection.allCases {
            let sets = CgroupHook.holding(protection)
            guard !sets.isEmpty, !sets.contains(where: { isHeld($0, refused: refused) }) else { continue }
            reasons[protection] = sets.map { reason($0, refused: refused) }.joined(separator: "; ")
        }
        if !kernelSteers { reasons[.dualStack] = "the kernel has no BPF_TCX_INGRESS (6.6)" }
        return reasons
    }

    private static func held(by hooks: Set<CgroupHook>) -> Set<Protection> {
        // Where nobody can say whether BPF LSM runs, it is not claimed.
        let effective = SecurityModules.haveBPF == true ? hooks : hooks.filter { $0.securityFunction == nil }
        return Set(
            Protection.allCases.filter { CgroupHook.holding($0).contains { effective.isSuperset(of: $0) } })
    }

    private static func isHeld(_ hooks: Set<CgroupHook>, refused: [CgroupHook: Int32]) -> Bool {
        hooks.allSatisfy { refused[$0] == nil && ($0.securityFunction == nil || SecurityModules.haveBPF == true) }
    }

    /// Why a set of hooks does not hold.
    private static func reason(_ hooks: Set<CgroupHook>, refused: [CgroupHook: Int32]) -> String {
        let isSecurity = hooks.contains { $0.securityFunction != nil }
        let codes = Set(hooks.compactMap { refused[$0] })
        guard isSecurity else { return "the kernel has no hooks of Unix sockets (6.7)" }
        if codes.contains(EPERM) { return "the kernel refuses programs of BPF LSM" }
        if !codes.isEmpty { return "the kernel has no BPF LSM for cgroups (6.1, CONFIG_BPF_LSM)" }
        return SecurityModules.haveBPF == nil
            ? "/sys/kernel/security/lsm cannot be read, so nobody can say whether BPF LSM runs"
            : "BPF LSM does not run: boot with bpf in the kernel's list lsm="
    }

    /// Whether interfaces take programs by `BPF_TCX_INGRESS`. The C function is `bpf_prog_query`.
    private static var kernelSteers: Bool {
        var found: UInt32 = 0
        // The loopback device of every namespace has this index.
        let result = unsafe bpf_prog_query(1, ingressOfAnInterface, 0, nil, nil, &found)
        return result == 0 || -result == ENOENT
    }
}
