import Glibc
import PolicyModel
import TestSupport
public import VNEAgent
public import VNEBPF
public import VNEHost

extension Instance: Dataplane {}

extension LinuxHost: Host {}

/// Random questions to `explain`, and what becomes of such an attempt in the kernel: which hook counted it, as what, and
/// whether it got through.
struct ExplainComparison {
    private var comparison: HookComparison
    private let agent: Agent
    private let seed: UInt64
    private var world: HookWorld { comparison.world }

    /// How often a hook allowed and denied, by its name in the kernel.
    private(set) var verdicts: [String: (allowed: Int, denied: Int)] = [:]

    /// Publishes the policy of a seed, with the file that says it, for the host as it is.
    init(in world: HookWorld, seed: UInt64) throws {
        self.seed = seed
        var random = RandomPolicies(seed: seed)
        var wanted = random.policy()
        if random.coin(0.7) { wanted.addressSpaceInterfaces = ["veth0"] }
        let (text, policy) = try wanted.written()
        let host = LinuxHost(instance: world.name, resolvConf: "/dev/null")
        let interfaces = policy.addressSpaceInterfaces
        let applications = Set(world.members.flatMap(\.subject.addresses.all))
        // What it opens here stays in the namespace.
        let view = try world.inside {
            _ = try host.sockets()
            return try host.view(interfaces: interfaces, excluding: applications)
        }
        comparison = try HookComparison(
            in: world, seed: seed, choosing: random, policy: policy, text: text, host: view)
        agent = Agent(instance: world.name, dataplane: world.instance, host: host)
    }

    /// The first attempt about which the two differ; nil if they agree on so many.
    mutating func mismatch(within wanted: Int) throws -> Mismatch? {
        var compared = 0
        for number in 0..<20 * wanted where compared < wanted {
            do {
                if try comparison.random.coin(0.3) ? arrive() : call() { compared += 1 }
            } catch let difference as HookComparison.Difference {
                return Mismatch(seed: seed, attempt: number, text: difference.text)
            }
        }
        guard compared >= wanted else { throw TestFailure("too few attempts were possible") }
        return nil
    }

    // MARK: - Asking

    /// What `explain` says of one port, which is what it says of that port among all of them.
    private mutating func explain(
        _ member: Int, _ transport: TransportProtocol, _ peer: HookComparison.Endpoint, incoming: Bool
    ) throws -> Explanation.Case {
        let name = world.members[member].application.name
        func ask(_ port: String) throws -> [Explanation.Case] {
            let address = peer.address.family == .ipv4 ? "\(peer.address)" : "[\(peer.address)]"
            guard let endpoint = VNEAgent.Endpoint("\(address)\(port)/\(transport)") else {
                throw TestFailure("\(peer) is no end of a flow")
            }
            return try agent.explain(name, endpoint, incoming: incoming).cases
        }
        let answer = try ask(transport == .ping ? "" : ":\(peer.port)")
        guard answer.count == 1 else { throw TestFailure("\(answer.count) answers for one port") }
        if comparison.random.coin(0.1) {
            let range = try ask("").first { Self.contains($0.ports, peer.port) }
            guard range?.sides == answer[0].sides else {
                throw HookComparison.Difference(
                    text:
                        "\(name), \(transport) \(peer): \(answer[0]) is not what all ports together say: \(range as Any)"
                )
            }
        }
        return answer[0]
    }

    private static func contains(_ ports: String?, _ port: UInt16) -> Bool {
        guard let ports else { return true }
        let bounds = ports.split(separator: "-").compactMap { UInt16($0) }
        guard let first = bounds.first, let last = bounds.last else { return false }
        return (first...last).contains(port)
    }

    // MARK: - Trying

    /// An application calls somebody; where that is another application, either end is asked.
    private mutating func call() throws -> Bool {
        let member = comparison.anyMember()
        let peer = comparison.anyPeer()
        let transport = comparison.random.pick([TransportProtocol.tcp, .tcp, .udp, .udp, .ping])
        let receiver = world.members.firstIndex { $0.subject.addresses.contains(peer.address) }
        guard let question = question(transport, by: member, to: peer) else { return false }
        var answer = try explain(member, transport, peer, incoming: false)
        let own = world.members[member].subject.addresses[peer.address.family]
        if let receiver, let own, comparison.random.coin() {
            let caller = HookComparison.Endpoint(address: own, port: peer.port)
            answer = try explain(receiver, transport, caller, incoming: true)
        }
        let before = try comparison.watch(member, receiver)
        let said = try world.members[member].prober.ask(question)
        // What the network refuses by itself, such as to ping a broadcast address, comes to no hook.
        if transport == .ping, said.errno != 0, said.errno != EPERM, said.errno != ECONNREFUSED { return false }
        let attempt = "\(world.members[member].application.name) \(question)"
        guard let calling = answer.sides.first, calling.application == world.members[member].application.name else {
            throw HookComparison.Difference(text: "\(attempt): the caller does not decide: \(answer)")
        }
        try expect(calling, at: member, since: before, attempt)
        // Of IPv6 the kernel does not say that an echo request was dropped at egress.
        if calling.hook != Hook.egress.name || peer.address.family == .ipv4 {
            try comparison.expect(said.errno, after: try verdict(calling), of: attempt)
        }
        try settle(transport, from: member, to: receiver, peer, answer, said.errno, since: before, attempt)
        return true
    }

    /// What the prober is asked to do; nil for what it cannot do.
    private func question(
        _ transport: TransportProtocol, by member: Int, to peer: HookComparison.Endpoint
    ) -> String? {
        let word = HookWorld.word(peer.address.family)
        guard comparison.speaks(transport, member) else { return "create \(word) \(transport)" }
        switch transport {
        case .tcp: return "connect \(word) tcp \(peer)"
        case .udp: return "send \(word) \(peer)"
        case .ping:
            if peer.address.isUnspecified { return nil }
            if comparison.index.classify(peer.address, on: comparison.host) == .loopback {
                return "ping_connected \(word) \(peer.address)"
            }
            let identifier = world.members[member].pingIdentifiers[peer.address.family]
            return identifier == nil ? nil : "ping ping-\(word) \(peer.address)"
        }
    }

    /// Compares what the receiver decides, and lets everything arrive that comes of an attempt.
    private mutating func settle(
        _ transport: TransportProtocol, from member: Int, to receiver: Int?, _ peer: HookComparison.Endpoint,
        _ answer: Explanation.Case, _ errno: Int32, since before: HookComparison.Watch, _ attempt: String
    ) throws {
        guard errno == 0 else {
            guard let receiver, receiver != member else { return }
            return try comparison.expect(
                [:], .ingress, in: try comparison.change(of: receiver, since: before), of: "\(attempt), at the receiver"
            )
        }
        guard transport != .ping, let receiver, answer.sides.count == 2, HookWorld.ports.contains(peer.port) else {
            // Its own answers, and those of the kernel.
            usleep(2_000)
            return
        }
        let connects = transport == .tcp && answer.sides[1].allowed
        let change = try comparison.change(
            of: receiver, since: before, packets: connects ? (receiver == member ? 4 : 3) : 1)
        if connects, receiver != member { _ = try comparison.change(of: member, since: before, packets: 1) }
        try expect(answer.sides[1], in: change, among: connects, "\(attempt), at the receiver")
        note(answer.sides[1])
    }

    /// Somebody who is no application of this host calls an application.
    private mutating func arrive() throws -> Bool {
        let member = comparison.anyMember()
        let subject = world.members[member].subject
        let others = HookWorld.addresses + HookWorld.loopbackAddresses
        let source =
            comparison.random.coin(0.3)
            ? comparison.random.pick(others) : comparison.random.address(near: comparison.landmarks)
        guard let own = subject.addresses[source.family], !source.isUnspecified,
            !world.members.contains(where: {
                $0.subject.addresses.contains(source) || $0.subject.loopback.contains(source)
            })
        else { return false }
        let isOnHost: Bool
        switch comparison.index.classify(source, on: comparison.host) {
        case .host, .loopback: isOnHost = true
        // The kernel takes no such source.
        case .multicast, .broadcast: return false
        default: isOnHost = false
        }
        let transport = comparison.random.pick([TransportProtocol.tcp, .udp])
        let port = comparison.random.pick(HookWorld.ports)
        let answer = try explain(
            member, transport, HookComparison.Endpoint(address: source, port: port), incoming: true)
        let before = try comparison.watch(member)
        let question = "packet \(isOnHost ? "lo" : "veth0") \(transport) 2 \(source) 49152 \(own) \(port)"
        try (isOnHost ? world.host : world.neighbour).demand(question)
        var change = try comparison.change(of: member, since: before, packets: 1)
        let opens = transport == .tcp && answer.allowed
        if opens {
            // The listener answers, and may be answered.
            usleep(5_000)
            change = try comparison.change(of: member, since: before)
        }
        guard answer.sides.count == 1 else { throw HookComparison.Difference(text: "\(question): \(answer)") }
        try expect(answer.sides[0], in: change, among: opens, question)
        note(answer.sides[0])
        return true
    }

    // MARK: - Comparing

    private mutating func expect(
        _ side: Explanation.Side, at member: Int, since before: HookComparison.Watch, _ attempt: String
    ) throws {
        // A packet of the kernel's own may leave behind one that is judged at egress.
        let change = try comparison.change(of: member, since: before)
        try expect(side, in: change, among: side.hook == Hook.egress.name, attempt)
        if side.allowed, let other = denied(in: change, besides: side) {
            throw HookComparison.Difference(text: "\(attempt): \(side) but \(other)")
        }
        note(side)
    }

    /// That the hook counted the reason once, and only this one; or, where other packets come to it, this one among them.
    private func expect(
        _ side: Explanation.Side, in change: HookComparison.Change, among others: Bool, _ attempt: String
    ) throws {
        guard let hook = Hook.allCases.first(where: { $0.name == side.hook }) else {
            throw TestFailure("\(side.hook) is no hook")
        }
        let verdict = try verdict(side)
        guard others else { return try comparison.expect(verdict, hook, in: change, of: "\(attempt): \(side)") }
        guard change.reasons(hook)[verdict.reason] != nil else {
            throw HookComparison.Difference(
                text: "\(attempt): \(side), but \(hook) counted \(change.reasons(hook))")
        }
    }

    /// What a hook of calls or of outgoing packets denied that `explain` does not speak of.
    private func denied(in change: HookComparison.Change, besides side: Explanation.Side) -> String? {
        for hook in [Hook.create, .bind, .connect, .send, .egress] where hook.name != side.hook {
            let reasons = change.reasons(hook).filter { !$0.key.allows }
            if !reasons.isEmpty, change.audited(hook) == 0 { return "\(hook) counted \(reasons)" }
        }
        return nil
    }

    private func verdict(_ side: Explanation.Side) throws -> Verdict {
        guard let reason = Reason.allCases.first(where: { $0.name == side.reason }) else {
            throw TestFailure("\(side.reason) is no reason")
        }
        return Verdict(allowed: side.allowed, reason: reason)
    }

    private mutating func note(_ side: Explanation.Side) {
        var count = verdicts[side.attachPoint] ?? (0, 0)
        if side.allowed { count.allowed += 1 } else { count.denied += 1 }
        verdicts[side.attachPoint] = count
    }
}
