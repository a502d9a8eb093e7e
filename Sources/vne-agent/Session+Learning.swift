import PolicyModel
import VNEAgent
import VNEBPF
import VNEHost

extension Session {
    /// How long a signal may wait for its answer.
    private static let patience = Duration.milliseconds(200)

    /// Learns from the denials that wait in the ring buffer, and from those that come until the time is over or a signal
    /// asks to end. The instance's lock is held only to look names and counters up.
    static func learn(
        for limit: Duration?, _ options: InstanceOptions, into denials: inout LearntDenials
    ) throws {
        let signals = try SignalWatch.ofEnding()
        let end = limit.map { HostEvents.now + $0 }
        var stream = try openDenials(options)
        try learn(from: &stream, .zero, options, into: &denials)
        let before = try Session(options, .show).agent.counts(for: denials)
        denials.reckon(with: before, since: .attached, whole: false)
        while signals.pending().isEmpty, end.map({ HostEvents.now < $0 }) ?? true {
            try learn(
                from: &stream, min(end.map { $0 - HostEvents.now } ?? patience, patience), options, into: &denials)
        }
        // What came after the last look is counted, and has to be there as well.
        let after = try Session(options, .show).agent.counts(for: denials)
        try learn(from: &stream, .zero, options, into: &denials)
        let counted = after.map { name, count in
            let earlier = before[name, default: 0]
            // One that was attached anew began at zero.
            return (name, count < earlier ? count : count - earlier)
        }
        denials.reckon(with: Dictionary(uniqueKeysWithValues: counted), since: .watched, whole: true)
    }

    /// Learns from records that were made before.
    static func learn(
        from records: [DenialRecord], _ options: InstanceOptions, into denials: inout LearntDenials
    ) throws {
        let agent = try Session(options, .show).agent
        try agent.learn(from: records, into: &denials)
        denials.reckon(with: try agent.counts(for: denials), since: .attached, whole: false)
    }

    private static func learn(
        from stream: inout DenialStream, _ patience: Duration, _ options: InstanceOptions,
        into denials: inout LearntDenials
    ) throws {
        var found: [Denial] = []
        let milliseconds = Int32(max(patience, .zero) / .milliseconds(1))
        try stream.poll(milliseconds: milliseconds) { found.append($0) }
        guard !found.isEmpty else { return }
        let agent = try Session(options, .show).agent
        try agent.learn(from: try agent.denialRecords(of: found), into: &denials)
    }
}
