public import PolicyModel

extension Instance {
    /// Which protections the instance's programs do not hold, and why. Closing is not theirs to hold.
    public func unheldProtections() throws(BPFError) -> [Protection: String] {
        let held = try protections()
        let missing = Protection.allCases.filter { $0 != .closing && !held.contains($0) }
        guard !missing.isEmpty else { return [:] }
        let reasons = try Self.probeProtections()
        return Dictionary(
            uniqueKeysWithValues: missing.map {
                ($0, reasons[$0] ?? "the kernel can, but the instance was loaded without it: unload it and apply again")
            })
    }

    /// Where the BPF file system is mounted; nil where it is not.
    public static var fileSystem: String? { BPFFileSystem.isMounted ? PinDirectory.root : nil }
}
