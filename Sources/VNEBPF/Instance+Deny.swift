public import PolicyModel
internal import VNEPrograms

extension Instance {
    /// Has an attached application deny everything until ``open(_:)``, and records it as `attaching`. Its hooks, its
    /// claim and its counters stay.
    ///
    /// The record comes first: a command that is killed between the two leaves one that has to be finished.
    public func deny(_ application: AttachedApplication) throws(BPFError) {
        try requireExclusive()
        let records = try map(.application)
        guard var recorded = try self.application(application.cgroupID, in: records.handle),
            recorded.state != .detaching,
            recorded.name == application.name
        else { throw .notAttached(application.name) }
        recorded.state = .attaching
        try records.handle.write(try ApplicationRecord.record(of: recorded), at: recorded.cgroupID)
        let attachments = try map(.attachment)
        try inNewEpoch { () throws(BPFError) in
            try attachments.handle.write(vne_attachment(), at: recorded.cgroupID)
        }
    }
}
