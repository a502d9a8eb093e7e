public import PolicyModel

extension Instance {
    /// Which protections the programs do not hold, and why: those on an application's cgroup, or those that the instance
    /// has for any. Closing is not theirs to hold.
    public func unheldProtections(of application: AttachedApplication?) throws(BPFError) -> [Protection: String] {
        let loaded = try protections()
        var held = loaded
        if let application { held = try protections(of: application) }
        let missing = Protection.allCases.filter { $0 != .closing && !held.contains($0) }
        guard !missing.isEmpty else { return [:] }
        if probed == nil, !loaded.isSuperset(of: missing) { probed = try Self.probeProtections() }
        var unheld: [Protection: String] = [:]
        for protection in missing {
            unheld[protection] =
                if loaded.contains(protection) {
                    "the application has no use for it"
                } else {
                    probed?[protection] ?? "the kernel can, but the instance was loaded without it"
                }
        }
        return unheld
    }

    /// Where the BPF file system is mounted; nil where it is not.
    public static var fileSystem: String? { BPFFileSystem.isMounted ? PinDirectory.root : nil }
}
