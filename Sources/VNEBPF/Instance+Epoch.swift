internal import VNEPrograms

/// The epoch: what the programs remember of an application holds in one.
///
/// It ends before an attachment or the policy is replaced, and the next one, with a number that no other had, begins
/// after that: what is remembered in between, or was, never counts again. An epoch that a killed command ended begins
/// with the next command.
extension Instance {
    /// Ends the epoch, makes a change that the programs must not remember the time before of, and begins the next.
    func inNewEpoch(_ change: () throws(BPFError) -> Void) throws(BPFError) {
        try endEpoch()
        try change()
        try beginEpoch()
    }

    /// Has the programs look up everything.
    func endEpoch() throws(BPFError) {
        var record = try mappedRecord()
        record.store(0, at: Self.offset(\.epoch))
    }

    /// Has them remember what they look up from now on.
    func beginEpoch() throws(BPFError) {
        var record = try mappedRecord()
        // 0 is none.
        let next = max(record.load(at: Self.offset(\.last_epoch)) &+ 1, 1)
        // A command that is killed between the two leaves a number that is not used.
        record.store(next, at: Self.offset(\.last_epoch))
        record.store(next, at: Self.offset(\.epoch))
    }

    private func mappedRecord() throws(BPFError) -> MappedMap {
        try MappedMap(try map(.instance).handle, byteCount: MemoryLayout<vne_instance>.size)
    }

    private static func offset(_ field: PartialKeyPath<vne_instance>) -> Int {
        guard let offset = MemoryLayout<vne_instance>.offset(of: field) else {
            preconditionFailure("a field of a C structure has an offset")
        }
        return offset
    }
}
