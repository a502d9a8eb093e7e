internal import VNEPrograms

/// The epoch: what programs keep of their own environment holds in one.
///
/// It is the generation of the published policy, and 0 from before a policy is replaced until no program can run under
/// the old one any more: what is kept in between, or was, never counts again. An epoch that a killed command ended
/// begins anew with the next one.
extension Instance {
    /// Has the programs look up everything.
    func endEpoch() throws(BPFError) { try setEpoch(0) }

    /// Has them keep what they look up in the published policy, which is of this generation.
    func beginEpoch(_ generation: UInt32) throws(BPFError) { try setEpoch(generation) }

    private func setEpoch(_ epoch: UInt32) throws(BPFError) {
        guard let offset = MemoryLayout<vne_instance>.offset(of: \.epoch) else {
            preconditionFailure("a field of a C structure has an offset")
        }
        var record = try MappedMap(try map(.instance).handle, byteCount: MemoryLayout<vne_instance>.size)
        record.store(epoch, at: offset)
    }
}
