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

    /// How often the model came to each reason.
    private(set) var reasons: [Reason: Int] = [:]

    /// An application that asks, at its index in `asking`.
    private struct Asker {
        var subject: Subject
        /// As it is attached, without any flow.
        var attachment: DecisionProgram.Attachment
        /// It is closed, or has no address at all: everything is denied, whatever the policy says of the subject.
        var isBroken = false
        /// What the kernel has is ``attachment``.
        var isClean = false

        init(_ subject: Subject, environmentID: UInt32, isOpen: Bool = true) {
            self.subject = subject
            attachment = DecisionProgram.Attachment(of: subject, environment: environmentID, isOpen: isOpen)
            isBroken = !isOpen
        }
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
        let known = try RandomPolicies.subjects.map { subject in
            guard let record = try reader.environment(named: subject.environment) else {
                throw TestFailure("the image has no environment \(subject.environment)")
            }
            return (subject: subject, environmentID: record.id)
        }
        askers = known.map { Asker($0.subject, environmentID: $0.environmentID) }
        self.random = random
        addStrangers(known)
    }

    /// The applications that a policy is for.
    private static let known = RandomPolicies.subjects.count

    /// Attachments that no policy is for: everything is denied to them.
    private mutating func addStrangers(_ known: [(subject: Subject, environmentID: UInt32)]) {
        // A free id, ids that lead into other parts of the image, one that leads out of it.
        let taken = known.map(\.environmentID)
        let free = (0..<UInt32(200)).first { !taken.contains($0) } ?? 0
        var nowhere = known[0].subject
        nowhere.environment = "nowhere"
        for id in [free, UInt32(8 * 256), random.number(in: 200..<4_000), .max] {
            askers.append(Asker(nowhere, environmentID: id))
        }
        askers.append(Asker(known[1].subject, environmentID: known[1].environmentID, isOpen: false))
        // One of its addresses is another environment's by now, or nobody's.
        for address in ["10.10.1.9", "10.10.255.1", "fd0a:10:2::1", "2001:db8:ffff::1"] {
            guard let address = IPAddress(address) else { continue }
            var stranded = known[0]
            let addresses = stranded.subject.addresses
            stranded.subject.addresses =
                ApplicationAddresses([addresses[address.family == .ipv4 ? .ipv6 : .ipv4], address].compactMap { $0 })
                ?? addresses
            askers.append(Asker(stranded.subject, environmentID: stranded.environmentID))
        }
        var addressless = Asker(known[0].subject, environmentID: known[0].environmentID)
        addressless.attachment.setAddresses(nil)
        addressless.isBroken = true
        askers.append(addressless)
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
        let application =
            random.coin(0.9) ? random.number(in: 0..<Self.known) : random.number(in: Self.known..<askers.count)
        let asker = askers[application]
        var question = DecisionProgram.Question()
        question.application = UInt32(application)
        let attempt: Attempt
        switch steered(random.attempt(by: asker.subject, near: landmarks)) {
        case .outgoing(let outgoing): attempt = .outgoing(try ask(outgoing, by: asker, &question))
        case .incoming(let incoming): attempt = .incoming(try ask(incoming, by: asker, &question))
        default: return "not an attempt to talk"
        }
        let reason = try program.reason(question)
        let verdict = index.verdict(attempt, by: asker.subject, on: host)
        let expected = asker.isBroken ? .unconfigured : verdict.reason
        reasons[expected, default: 0] += 1
        guard reason == expected else {
            return "the kernel says \(reason.map { "\($0)" } ?? "nonsense"), the model \(expected): \(attempt) "
                + "by \(asker.subject)\(asker.isBroken ? ", broken" : "")"
        }
        // What the kernel makes of a reason: vne_conclude() in bpf/record.bpf.h.
        let audits = index.environment(named: asker.subject.environment)?.mode == .audit
        guard asker.isBroken || verdict.allowed == (expected.allows || audits && expected.isReachability) else {
            return "the model's verdict does not follow from its reason: \(verdict), \(attempt) by \(asker.subject)"
        }
        return nil
    }

    /// The attempt, or one like it with a shared service: addresses and ports by themselves seldom come to that.
    private mutating func steered(_ attempt: Attempt) -> Attempt {
        guard random.coin(0.05) else { return attempt }
        func services(_ family: AddressFamily) -> [SharedService] {
            (host.sharedServices + index.policy.loopbackShared).filter { $0.address.family == family }
        }
        switch attempt {
        case .outgoing(var outgoing):
            let shared = services(outgoing.destination.family)
            guard outgoing.transport != .ping, !shared.isEmpty else { return attempt }
            let service = random.pick(shared)
            (outgoing.destination, outgoing.port) = (service.address, service.port)
            return .outgoing(outgoing)
        case .incoming(var incoming):
            let shared = services(incoming.destination.family)
            guard incoming.transport != .ping, !shared.isEmpty else { return attempt }
            let service = random.pick(shared)
            (incoming.source, incoming.sourcePort, incoming.arrival) = (service.address, service.port, .thisHost)
            return .incoming(incoming)
        default: return attempt
        }
    }

    /// The question of a call or of a packet that leaves, and the attempt that the model is to judge.
    private mutating func ask(
        _ outgoing: Outgoing, by asker: Asker, _ question: inout DecisionProgram.Question
    ) throws -> Outgoing {
        var outgoing = outgoing
        question.remote = outgoing.destination.layout
        question.remotePort = outgoing.port
        question.localPort = outgoing.transport == .tcp ? outgoing.localPort : random.number(in: 1..<65535)
        question.transport = UInt32(outgoing.transport.number)
        if outgoing.loopbackListens { question.flags |= DecisionProgram.Question.listens }
        if outgoing.transport == .tcp, outgoing.answersFlow { question.flags |= DecisionProgram.Question.answers }
        if let source = outgoing.source {
            question.direction = DecisionProgram.Question.leaving
            question.local = source.layout
            question.flags |= DecisionProgram.Question.translated
        } else if random.coin(0.1), let own = asker.subject.addresses[outgoing.destination.family] {
            // A connected socket sends with a control message: the call says no peer, and what the kernel has as the
            // peer is judged as a packet to it is.
            question.flags |= DecisionProgram.Question.translated
            outgoing.source = own
        }
        let answers = try remember(&question, of: asker)
        if outgoing.transport != .tcp { outgoing.answersFlow = answers }
        return outgoing
    }

    /// The question of a packet that arrives, and the attempt that the model is to judge.
    private mutating func ask(
        _ incoming: Incoming, by asker: Asker, _ question: inout DecisionProgram.Question
    ) throws -> Incoming {
        var incoming = incoming
        question.direction = DecisionProgram.Question.arriving
        question.remote = incoming.source.layout
        question.remotePort = incoming.sourcePort
        question.local = incoming.destination.layout
        question.localPort = incoming.transport == .ping ? random.number(in: 1..<65535) : incoming.destinationPort
        question.transport = UInt32(incoming.transport.number)
        question.sender =
            switch incoming.sender {
            case .owner: 0
            case .other: 1
            case .unknown: 2
            }
        switch incoming.arrival {
        case .thisHost: question.interface = 1
        case .interface(let index): question.interface = index
        }
        if incoming.transport == .tcp {
            if !incoming.opensFlow { question.flags |= DecisionProgram.Question.answers }
            if incoming.acceptsFlow { question.flags |= DecisionProgram.Question.accepts }
        }
        let answers = try remember(&question, of: asker)
        if incoming.transport != .tcp { incoming.answersFlow = answers }
        return incoming
    }

    /// What a flow table holds of a datagram's flow.
    private enum Memory: CaseIterable {
        case nothing, flag, flow, flowAndFlag, otherDirection, otherPort, otherHalf, timedOut, revoked, claimed
    }

    /// Fills the asker's flow table in some way, and says whether a datagram answers a flow by it.
    private mutating func remember(_ question: inout DecisionProgram.Question, of asker: Asker) throws -> Bool {
        let application = question.application
        // Segments have no entry; now and then that must make no difference.
        let memory = question.transport == 6 && random.coin(0.9) ? .nothing : random.pick(Memory.allCases)
        guard memory != .nothing, memory != .flag else {
            if !asker.isClean { try program.attach(asker.attachment, as: application) }
            askers[Int(application)].isClean = true
            return flag(&question, memory == .flag)
        }
        let key = FlowKey(
            remote: IPAddress(question.remote), remotePort: question.remotePort, localPort: question.localPort)
        // A table holds what the other side began, if the application answers; and the other way round.
        let direction = question.direction == DecisionProgram.Question.arriving ? 0 : UInt32(VNE_FLOW_INCOMING)
        let fresh = now &- random.number(in: 10..<4_000)
        var held = key
        var stamp = fresh & ~1 | direction
        switch memory {
        case .nothing, .flag, .flow, .flowAndFlag: break
        case .otherDirection: stamp ^= 1
        case .otherPort: if random.coin() { held.localPort &+= 1 } else { held.remotePort &+= 1 }
        // One half of an address is another one's.
        case .otherHalf: held.remote.rawValue ^= random.coin() ? 1 : 1 << 64
        case .timedOut: stamp = (now &- UInt32(VNE_FLOW_TIMEOUT) &- 2) & ~1 | direction
        case .revoked: stamp = (publication.flowFloor &- random.number(in: 0..<9)) & ~1 | direction
        case .claimed: stamp = ~0
        }
        var attachment = asker.attachment
        attachment.remember(held, inSetOf: key, stamp: stamp, way: random.number(in: 0..<Int(VNE_FLOW_WAYS)))
        try program.attach(attachment, as: application)
        askers[Int(application)].isClean = false
        return flag(&question, memory == .flowAndFlag) || (memory == .flow && publication.flowsOpen)
    }

    /// Has a datagram answer because its socket is connected.
    private func flag(_ question: inout DecisionProgram.Question, _ answers: Bool) -> Bool {
        guard answers, question.transport != 6 else { return false }
        question.flags |= DecisionProgram.Question.answers
        return true
    }
}
