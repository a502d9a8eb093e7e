import PolicyModel
import TestSupport
import VNEPrograms

@testable import VNEBPF

/// Random attempts under one random policy, judged by the program and by the model.
struct DecisionComparison {
    private let program: DecisionProgram
    private let seed: UInt64
    private var random: RandomPolicies
    private let index: PolicyIndex
    private let host: HostView
    private let landmarks: Landmarks
    private let publication: PolicyImage.Publication
    private var askers: [Asker] = []
    private let now = FlowClock.now

    /// An application that asks, at its index in `asking`.
    private struct Asker {
        var subject: Subject
        var environmentID: UInt32
        var isOpen = true
    }

    /// Publishes the policy of a seed.
    init(of program: DecisionProgram, seed: UInt64) throws {
        self.program = program
        self.seed = seed
        var random = RandomPolicies(seed: seed)
        let policy = random.policy()
        host = random.host()
        index = PolicyIndex(policy)
        landmarks = Landmarks(of: policy, on: host)
        let floor = now &- random.pick([5_000, UInt32(VNE_FLOW_TIMEOUT) * 3])
        publication = PolicyImage.Publication(generation: 1, flowsOpen: random.coin(0.9), flowFloor: floor)
        // Ids that a long-lived instance may have come to.
        var ids = EnvironmentIDs(referenced: [0])
        if random.coin() { ids.byName = ["shop": random.number(in: 1..<9), "lab": random.number(in: 9..<90)] }
        let image = try PolicyImage(
            compiling: policy, text: "# text", host: host, ids: ids, publication: publication)
        try program.publish(image)

        let reader = try PolicyImageReader(image)
        for subject in RandomPolicies.subjects {
            guard let record = try reader.environment(named: subject.environment) else { continue }
            askers.append(Asker(subject: subject, environmentID: record.id))
        }
        // Attachments that the policy knows nothing of: a free id, ids that lead into other parts of the image, one that
        // leads out of it. And one that is closed.
        let taken = askers.map(\.environmentID)
        let free = (0..<UInt32(200)).first { !taken.contains($0) } ?? 0
        let astray = [free, UInt32(8 * 256), random.number(in: 200..<4_000), .max]
        for id in astray {
            askers.append(
                Asker(
                    subject: Subject(environment: "nowhere", address: RandomPolicies.subjects[0].address),
                    environmentID: id))
        }
        askers.append(Asker(subject: RandomPolicies.subjects[1], environmentID: askers[1].environmentID, isOpen: false))
        self.random = random
    }

    /// The first attempt about which the two differ; nil if they agree on so many.
    mutating func mismatch(within attempts: Int) throws -> Mismatch? {
        for number in 0..<attempts {
            if let text = try compare() { return Mismatch(seed: seed, attempt: number, text: text) }
        }
        return nil
    }

    private mutating func compare() throws -> String? {
        // One in ten has no business here.
        let application = random.coin(0.9) ? random.number(in: 0..<4) : random.number(in: 4..<askers.count)
        let asker = askers[application]
        var attempt = random.attempt(by: asker.subject, near: landmarks)
        var attachment = DecisionProgram.Attachment(
            of: asker.subject, environment: asker.environmentID, isOpen: asker.isOpen)
        var question = DecisionProgram.Question()
        question.application = UInt32(application)
        switch attempt {
        case .outgoing(var outgoing):
            question.remote = outgoing.destination.rawValue
            question.remotePort = outgoing.port
            question.localPort = outgoing.transport == .tcp ? outgoing.localPort : random.number(in: 1..<65535)
            question.transport = UInt32(outgoing.transport.number)
            if outgoing.transport == .tcp, outgoing.answersFlow { question.flags = DecisionProgram.Question.answers }
            let answers = remember(&question, in: &attachment)
            if outgoing.transport != .tcp { outgoing.answersFlow = answers }
            attempt = .outgoing(outgoing)
        case .incoming(var incoming):
            // The hook looks at the destination before it asks.
            incoming.destination = asker.subject.address
            question.incoming = 1
            question.remote = incoming.source.rawValue
            question.remotePort = incoming.sourcePort
            question.localPort = incoming.transport == .ping ? random.number(in: 1..<65535) : incoming.destinationPort
            question.transport = UInt32(incoming.transport.number)
            question.foreignSender = incoming.senderOwnsSource ? 0 : 1
            switch incoming.arrival {
            case .thisHost: question.interface = 1
            case .interface(let index): question.interface = index
            }
            if incoming.transport == .tcp {
                if !incoming.opensFlow { question.flags |= DecisionProgram.Question.answers }
                if incoming.acceptsFlow { question.flags |= DecisionProgram.Question.accepts }
            }
            let answers = remember(&question, in: &attachment)
            if incoming.transport != .tcp { incoming.answersFlow = answers }
            attempt = .incoming(incoming)
        default:
            return "not an attempt to talk"
        }
        try program.attach(attachment, as: question.application)

        let reason = try program.reason(question)
        let verdict = index.verdict(attempt, by: asker.subject, on: host)
        let expected = asker.isOpen ? verdict.reason : .unconfigured
        guard reason == expected else {
            return
                "the kernel says \(reason.map { "\($0)" } ?? "nonsense"), the model \(expected): \(attempt) by \(asker)"
        }
        // What the kernel makes of a reason: vne_conclude() in bpf/record.bpf.h.
        let audits = index.environment(named: asker.subject.environment)?.mode == .audit
        guard !asker.isOpen || verdict.allowed == (expected.allows || audits && expected.isReachability) else {
            return "the model's verdict does not follow from its reason: \(verdict), \(attempt) by \(asker)"
        }
        return nil
    }

    /// What a flow table holds of a datagram's flow.
    private enum Memory: CaseIterable {
        case nothing, flag, flow, flowAndFlag, otherDirection, otherPort, otherRemote, timedOut, revoked
    }

    /// Fills the flow table in some way, and says whether a datagram answers a flow by it.
    private mutating func remember(
        _ question: inout DecisionProgram.Question, in attachment: inout DecisionProgram.Attachment
    ) -> Bool {
        let isTCP = question.transport == 6
        let key = FlowKey(
            remote: IPv4Address(rawValue: question.remote), remotePort: question.remotePort,
            localPort: question.localPort)
        // A table holds what the other side began, if the application answers; and the other way round.
        let direction: UInt32 = question.incoming == 0 ? UInt32(VNE_FLOW_INCOMING) : 0
        let way = random.number(in: 0..<Int(VNE_FLOW_WAYS))
        let fresh = now &- random.number(in: 10..<4_000)
        func stamp(_ time: UInt32, _ direction: UInt32) -> UInt32 { time & ~1 | direction }
        let memory = random.pick(Memory.allCases)
        switch memory {
        case .nothing, .flag: break
        case .flow, .flowAndFlag: attachment.remember(key, stamp: stamp(fresh, direction), way: way)
        case .otherDirection: attachment.remember(key, stamp: stamp(fresh, direction ^ 1), way: way)
        case .otherPort:
            var other = key
            other.localPort &+= 1
            attachment.remember(other, stamp: stamp(fresh, direction), way: way)
        case .otherRemote:
            var other = key
            other.remote.rawValue ^= 1
            attachment.remember(other, stamp: stamp(fresh, direction), way: way)
        case .timedOut:
            attachment.remember(key, stamp: stamp(now &- UInt32(VNE_FLOW_TIMEOUT) &- 2, direction), way: way)
        case .revoked:
            attachment.remember(
                key, stamp: stamp(publication.flowFloor &- random.number(in: 0..<9), direction), way: way)
        }
        guard !isTCP else { return false }
        let flagged = memory == .flag || memory == .flowAndFlag
        if flagged { question.flags |= DecisionProgram.Question.answers }
        return flagged || (memory == .flow && publication.flowsOpen)
    }
}
