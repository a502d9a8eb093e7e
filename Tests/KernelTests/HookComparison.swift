import Glibc
import PolicyModel
import TestSupport

@testable import VNEBPF

/// Random calls and packets under one random policy, judged by the attached programs and by the model: the call's errno,
/// and the reason that the hook counted.
struct HookComparison {
    let world: HookWorld
    private let seed: UInt64
    var random: RandomPolicies
    let policy: Policy
    let index: PolicyIndex
    let host: HostView
    let landmarks: Landmarks
    /// Of each application: what its flow table holds.
    var ledgers: [FlowLedger]
    /// Of each application: its connected datagram sockets.
    var connected: [[FlowKey]]
    /// Of each application: how many datagram sockets were made to be connected.
    var kept: [Int]
    /// Connections whose opening an application let in over loopback.
    var handshakes: Set<Handshake> = []

    /// System calls that were compared, and packets.
    private(set) var calls = 0
    private(set) var packets = 0

    /// A client that an application answers.
    struct Handshake: Hashable {
        var client: IPAddress
        var clientPort: UInt16
        var server: IPAddress
        var serverPort: UInt16
    }

    /// Publishes the policy of a seed.
    init(in world: HookWorld, seed: UInt64) throws {
        var random = RandomPolicies(seed: seed)
        let policy = random.policy()
        var host = random.host()
        host.addresses.formUnion(HookWorld.hostAddresses)
        host.interfaces = random.coin(0.7) ? ["veth0": world.wire] : [:]
        try self.init(in: world, seed: seed, choosing: random, policy: policy, text: "", host: host)
    }

    /// Publishes a policy, with the text of its file.
    init(
        in world: HookWorld, seed: UInt64, choosing random: RandomPolicies, policy: Policy, text: String, host: HostView
    ) throws {
        self.world = world
        self.seed = seed
        self.random = random
        self.policy = policy
        self.host = host
        index = PolicyIndex(policy)
        landmarks = Landmarks(of: policy, on: host)
        ledgers = world.members.map { _ in FlowLedger() }
        connected = world.members.map { _ in [] }
        kept = world.members.map { _ in 0 }
        try world.publish(policy, text: text, on: host)
    }

    /// The first attempt about which the two differ; nil if they agree on at least so many calls and packets.
    mutating func mismatch(withinCalls wantedCalls: Int, packets wantedPackets: Int) throws -> Mismatch? {
        var number = 0
        while calls < wantedCalls || packets < wantedPackets {
            let tried: Tried?
            do {
                tried = try packets < wantedPackets && (calls >= wantedCalls || random.coin()) ? packet() : call()
            } catch let difference as Difference {
                return Mismatch(seed: seed, attempt: number, text: difference.text)
            }
            calls += tried?.calls ?? 0
            packets += tried?.packets ?? 0
            number += 1
            guard number < 20 * (wantedCalls + wantedPackets) else {
                throw TestFailure("too few attempts were possible")
            }
        }
        return nil
    }

    /// What an attempt compared.
    struct Tried {
        var calls = 0
        var packets = 0
    }

    /// Why the kernel and the model differ.
    struct Difference: Error {
        var text: String
    }

    // MARK: - Comparing

    func verdict(_ attempt: Attempt, by member: Int) -> Verdict {
        index.verdict(attempt, by: world.members[member].subject, on: host)
    }

    func speaks(_ transport: TransportProtocol, _ member: Int) -> Bool {
        let environment = index.environment(named: world.members[member].subject.environment)
        return environment?.protocols.contains(transport) == true
    }

    /// Whether its datagram sockets may be bound to groups, and stay at the wildcards that they ask for.
    func hearsGroups(_ member: Int) -> Bool {
        index.environment(named: world.members[member].subject.environment)?.multicast == true
    }

    /// What the hooks of some applications have counted up to now.
    struct Watch {
        fileprivate var counters: [Int: VerdictCounters] = [:]
    }

    func watch(_ members: Int?...) throws -> Watch {
        var watch = Watch()
        for case let member? in members where watch.counters[member] == nil {
            watch.counters[member] = try world.counters(of: member)
        }
        return watch
    }

    /// What the hooks of an application have counted since.
    func change(of member: Int, since watch: Watch) throws -> Change {
        Change(from: watch.counters[member] ?? VerdictCounters(), to: try world.counters(of: member))
    }

    /// What the hooks of an application have counted since, once its ingress hook has seen so many packets: a machine
    /// that is busy delivers them after the call that sent them.
    func change(of member: Int, since watch: Watch, packets: UInt64) throws -> Change {
        var change = try change(of: member, since: watch)
        var patience = 3_000
        while change.count(.ingress) < packets, patience > 0 {
            usleep(1_000)
            patience -= 1
            change = try self.change(of: member, since: watch)
        }
        return change
    }

    /// What hooks counted between two moments.
    struct Change {
        private let before: VerdictCounters
        private let after: VerdictCounters

        fileprivate init(from before: VerdictCounters, to after: VerdictCounters) {
            self.before = before
            self.after = after
        }

        func reasons(_ hook: Hook) -> [Reason: UInt64] {
            var reasons = after.verdicts[hook] ?? [:]
            for (reason, count) in before.verdicts[hook] ?? [:] {
                reasons[reason] = (reasons[reason] ?? 0) - count
            }
            return reasons.filter { $0.value > 0 }
        }

        func count(_ hook: Hook) -> UInt64 {
            reasons(hook).values.reduce(0, +)
        }

        func audited(_ hook: Hook) -> UInt64 {
            (after.audited[hook] ?? 0) - (before.audited[hook] ?? 0)
        }
    }

    /// That a hook counted one verdict, this one.
    func expect(_ verdict: Verdict, _ hook: Hook, in change: Change, of attempt: String) throws {
        try expect([verdict.reason: 1], hook, in: change, of: attempt)
        let audited: UInt64 = verdict.audited ? 1 : 0
        guard change.audited(hook) == audited else {
            throw Difference(text: "\(attempt): audit mode let \(change.audited(hook)) through, not \(audited)")
        }
    }

    func expect(_ reasons: [Reason: UInt64], _ hook: Hook, in change: Change, of attempt: String) throws {
        let found = change.reasons(hook)
        guard found == reasons else {
            throw Difference(text: "\(attempt): \(hook) counted \(found), the model says \(reasons)")
        }
    }

    /// That a hook counted one of these at least, and nothing else.
    func expect(someOf reasons: Set<Reason>, _ hook: Hook, in change: Change, of attempt: String) throws {
        let found = change.reasons(hook)
        guard !found.isEmpty, reasons.isSuperset(of: found.keys) else {
            throw Difference(text: "\(attempt): \(hook) counted \(found), the model says \(reasons)")
        }
    }

    /// That a call ended as its verdict wants. What the network itself says of an allowed one is its own affair.
    func expect(_ errno: Int32, after verdict: Verdict, of attempt: String) throws {
        let refusal =
            switch verdict.reason {
            case .loopback: ECONNREFUSED
            case .noFamily: ENETUNREACH
            case .foreignAddress: EADDRNOTAVAIL
            default: EPERM
            }
        let ok = verdict.allowed ? errno != EPERM && errno != EADDRNOTAVAIL : errno == refusal
        guard ok else { throw Difference(text: "\(attempt): errno \(errno) where the model says \(verdict)") }
    }

    // MARK: - Choosing

    mutating func anyMember() -> Int {
        random.number(in: 0..<world.members.count)
    }

    /// A port that is something to the policy.
    mutating func anyPort() -> UInt16 {
        max(1, random.pick(landmarks.ports))
    }

    /// An address and a port.
    struct Endpoint: Hashable, CustomStringConvertible {
        var address: IPAddress
        var port: UInt16

        var description: String { "\(address) \(port)" }
    }

    /// Whom an application may try to talk to.
    mutating func anyPeer() -> Endpoint {
        let shared = host.sharedServices + policy.loopbackShared
        if random.coin(0.05), !shared.isEmpty {
            let service = random.pick(shared)
            return Endpoint(address: service.address, port: service.port)
        }
        if random.coin(0.25) { return Endpoint(address: random.pick(Self.asked), port: anyLoopbackPort()) }
        if random.coin(0.05) { return Endpoint(address: random.pick(RandomPolicies.groups), port: anyPort()) }
        if random.coin(0.4) {
            let addresses = random.coin(0.9) ? world.members[anyMember()].subject.addresses.all : HookWorld.addresses
            return Endpoint(address: random.pick(addresses), port: random.pick(HookWorld.ports))
        }
        return Endpoint(address: random.address(near: landmarks), port: anyPort())
    }

    /// A port at which an application may have a socket on its loopback.
    mutating func anyLoopbackPort() -> UInt16 {
        random.pick([
            HookWorld.loopbackPort, HookWorld.mixedPort, HookWorld.dualPort, HookWorld.hostPort, HookWorld.silentPort,
            random.pick(HookWorld.ports),
        ])
    }

    /// Loopback as programs name it: some of it an application has.
    private static let asked = [
        "127.0.0.1", "127.0.0.1", "127.0.0.1", "::1", "::1", "::1", "0.0.0.0", "::", "127.0.0.53", "127.0.0.126",
        "127.0.1.1", "127.0.0.127", "127.0.2.1", "127.1.0.1", "127.1.2.1", "fd56:4e45:a0a:a0a::",
    ].map { HookWorld.address($0) }
}
