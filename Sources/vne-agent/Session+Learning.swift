import PolicyModel
import VNEAgent
import VNEBPF
import VNEHost

extension Session {
    /// Learns from the denials that wait in the ring buffer, and from those that come until the time is over or a signal
    /// asks to end. The instance's lock is held only to look names and counters up.
    static func learn(
        for limit: Duration?, _ options: InstanceOptions, into denials: inout LearntDenials
    ) throws {
        let events = try CommandEvents()
        let end = limit.map { HostEvents.now + $0 }
        var stream = try openDenials(options)
        var reader = DenialReader()
        denials.add(try waiting(in: &stream, options, &reader))
        let before = try Session(options, .show).agent.counts(for: denials)
        denials.reckon(with: before, since: .attached, whole: false)
        learning: while true {
            // Without an end, a look an hour costs nothing.
            switch try events.wait(reading: stream.descriptor, until: end ?? HostEvents.now + .seconds(3600)) {
            case .readable: denials.add(try waiting(in: &stream, options, &reader))
            case .stop: break learning
            case .time: if end != nil { break learning }
            case .resized: break
            }
            // Denials may come without a pause.
            if let end, HostEvents.now >= end { break }
        }
        // What came after the last look is counted, and has to be there as well.
        let after = try Session(options, .show).agent.counts(for: denials)
        denials.add(try waiting(in: &stream, options, &reader))
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
        denials.add(records)
        denials.reckon(with: try Session(options, .show).agent.counts(for: denials), since: .attached, whole: false)
    }

    private static func waiting(
        in stream: inout DenialStream, _ options: InstanceOptions, _ reader: inout DenialReader
    ) throws -> [DenialRecord] {
        var found: [Denial] = []
        try stream.poll(milliseconds: 0) { found.append($0) }
        return found.isEmpty ? [] : try reader.records(of: found, by: try Session(options, .show).agent)
    }
}
