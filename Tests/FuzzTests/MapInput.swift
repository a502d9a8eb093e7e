import PolicyModel
import VNEAgent
import VNEPrograms

@testable import VNEBPF

/// Bytes as the value of one of the instance's maps; the first byte says of which.
struct MapInput {
    private let kind: UInt8
    private var input: ByteReader

    init(_ bytes: [UInt8]) {
        input = ByteReader(bytes)
        kind = input.number()
    }

    func check() throws {
        var input = input
        switch kind % 5 {
        case 0: try check(input.value(vne_application.self))
        case 1:
            let (floor, now) = (input.number(UInt32.self), input.number(UInt32.self))
            check(input.value(vne_attachment.self), floor: floor, now: now)
        case 2: check(Instance.counters(of: Array(input.rest)))
        case 3: check(input.value(vne_event.self))
        default: _ = Instance.cgroup(of: input.value(vne_guarded.self), id: 7).path.printable
        }
    }

    private func check(_ record: vne_application) throws {
        let application = ApplicationRecord.application(of: record, cgroupID: 7)
        check(application.loopback)
        // What is written of it reads the same again. Text that was no UTF-8 may have become too long to write.
        let again: vne_application
        do {
            again = try ApplicationRecord.record(of: application)
        } catch {
            _ = error.description
            return
        }
        try require(
            ApplicationRecord.application(of: again, cgroupID: 7), equals: application, "an application, written again")
    }

    private func check(_ attachment: vne_attachment, floor: UInt32, now: UInt32) {
        let record = Instance.AttachmentRecord(attachment, cgroupID: 7)
        if let loopback = record.loopback { check(loopback) }
        _ = attachment.judges(as: attachment)
        for flow in Instance.flows(of: attachment, floor: floor, now: now) { _ = "\(flow.remote)" }
    }

    private func check(_ loopback: PrivateLoopback) {
        _ = loopback.localhosts
        for text in ["127.0.0.1", "127.0.1.126", "0.0.0.0", "::1", "::"] {
            guard let address = IPAddress(text) else { continue }
            _ = loopback.own(address).map { loopback.asked($0) }
        }
    }

    private func check(_ counters: VerdictCounters) {
        _ = (counters.allowed, counters.denied)
        for hook in Hook.allCases {
            for reason in Reason.allCases { _ = counters.verdicts[hook]?[reason].map { "\($0)" } }
        }
    }

    private func check(_ event: vne_event) {
        guard let denial = Denial(event) else { return }
        _ = "\(denial.command.printable) \(String(describing: denial.remote)) \(String(describing: denial.local))"
    }
}
