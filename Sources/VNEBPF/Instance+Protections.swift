internal import CLibBPF
internal import Glibc
public import PolicyModel

/// Which protections the loaded programs hold. Closing is not theirs: see `VNEHost`.
extension Instance {
    /// The protections that the instance's programs hold for every application.
    public func protections() throws(BPFError) -> Set<Protection> {
        Self.canSteer ? [.dualStack] : []
    }

    /// What the programs on one application's cgroup hold.
    public func protections(of application: AttachedApplication) throws(BPFError) -> Set<Protection> {
        application.addresses.families.count == 2 ? try protections() : []
    }

    /// Which protections the kernel would not let the programs of this build hold, and why. Needs no instance.
    public static func probeProtections() throws(BPFError) -> [Protection: String] {
        var reasons: [Protection: String] = [:]
        for protection in Protection.allCases where protection != .closing {
            switch protection {
            case .dualStack where canSteer: continue
            case .dualStack: reasons[protection] = "the kernel has no BPF_TCX_INGRESS, which came with Linux 6.6"
            default: reasons[protection] = "this build has no \(protection.mechanism)"
            }
        }
        return reasons
    }

    /// Whether the kernel knows `BPF_TCX_INGRESS`: one that does not refuses to be asked what is there. The C function is
    /// `bpf_prog_query`.
    private static var canSteer: Bool {
        var count: UInt32 = 0
        // The first interface of a namespace is its loopback.
        return unsafe bpf_prog_query(1, bpf_attach_type(rawValue: 46), 0, nil, nil, &count) != -EINVAL
    }
}
