import PolicyModel
import VNEAgent

/// What a fake throws when a test asked it to.
struct Fault: Error, CustomStringConvertible {
    var step: String
    var description: String { "injected at \(step)" }
}

/// The kernel and the host of a test: state in memory, and faults where the test wants them.
///
/// Everything that a killed command leaves behind is here, so a test drops the agent and makes another one.
final class FakeWorld {
    // MARK: Faults

    /// Every call that can fail, and every step inside a call that a kill could come between, in order.
    private(set) var steps: [String] = []
    /// The step that fails, from 0.
    var failing: Int?
    /// Whether the step takes effect although it fails, as a call that was killed on its way back does.
    var failsAfterEffect = false
    /// Whether every later step fails too: the process is dead.
    var dies = false
    /// What must never be, seen while it was.
    var violations: [String] = []

    /// Runs a step's effect, or fails.
    func step<Answer>(_ name: String, _ effect: () throws -> Answer) throws -> Answer {
        let number = steps.count
        steps.append(name)
        guard let failing, number >= failing else { return try effect() }
        if number == failing {
            if failsAfterEffect { _ = try effect() }
            throw Fault(step: name)
        }
        if dies { throw Fault(step: name) }
        return try effect()
    }

    /// Forgets steps and faults: the next command.
    func nextCommand() {
        steps = []
        failing = nil
        dies = false
    }

    // MARK: The kernel

    var published: PublishedPolicy?
    var policy: Policy?
    var environmentIDs: [String: UInt32] = [:]
    var records: [UInt64: AttachedApplication] = [:]
    var owners: [IPAddress: UInt64] = [:]
    /// Hooks of a cgroup; all of ``allHooks`` or something is half done.
    var hooks: [UInt64: Set<String>] = [:]
    var egress: Set<UInt64> = []
    /// What an open attachment judges by.
    var open: [UInt64: Subject] = [:]
    var counters: [UInt64: VerdictCounters] = [:]
    var guarded: [UInt64: GuardedCgroup] = [:]
    /// Cgroups that have the guard's hooks.
    var guardHooks: Set<UInt64> = []
    var refusals: [UInt64: [Hook: UInt64]] = [:]
    var recorded: [UInt64: [RecordedFlow]] = [:]
    var publications: [(revoking: Bool, view: HostView)] = []
    /// Protections that the hooks do not hold, and why.
    var unheld: [Protection: String] = Dictionary(
        uniqueKeysWithValues: [Protection.families, .membership, .bpf, .netlink, .unix].map { ($0, "no hook for it") })
    /// How often the policy's text was read.
    var textReads = 0

    static let allHooks = ["create", "bind", "connect", "send", "ingress"]

    // MARK: The host

    var cgroups: [String: UInt64] = ["shop/web": 10, "shop/db": 11, "payments/db": 20, "other": 30, "other/inner": 31]
    var populated: Set<String> = ["shop/web", "shop/db", "payments/db", "other"]
    /// Addresses that the host had before.
    var hostAddresses: Set<IPAddress> = [
        address("127.0.0.1"), address("::1"), address("192.0.2.1"), address("2001:db8::1"),
    ]
    var applicationAddresses: Set<IPAddress> = []
    /// On which interfaces they are; nil is the instance's own.
    var carriers: [IPAddress: Set<String?>] = [:]
    /// What the hosts file says of this instance, and which names other lines of it have.
    var named: [String: ApplicationAddresses] = [:]
    var foreignNames: Set<String> = []
    /// What is kept over reboots.
    var leases: String?
    /// Addresses that other hosts on the link have, and what these are called.
    var onLink: [IPAddress: String] = [:]
    /// What the link was asked for at once, and told of.
    var probes: [Set<IPAddress>] = []
    var announced: [IPAddress] = []
    /// The IPv6 addresses of private loopbacks that are on the interface.
    var loopbacks: Set<IPAddress> = []
    var hasIPv6 = true {
        didSet {
            guard !hasIPv6 else { return }
            hostAddresses = hostAddresses.filter { $0.family == .ipv4 }
            applicationAddresses = applicationAddresses.filter { $0.family == .ipv4 }
            loopbacks = []
        }
    }
    var resolvers: [SharedService] = []
    var interfaces: [String: UInt32] = [:]
    /// A cgroup that is there and that nobody may open.
    var openCgroupFails: String?
    /// Whether nobody can be asked for the addresses.
    var interfaceAddressesFail = false
    var sockets: [ObservedSocket] = []
    var destroyed: [ObservedSocket] = []
    var destroyIsUnsupported = false
    var foreign: [String: [ForeignSocket]] = [:]
    var strangers: [String: [UInt32]] = [:]
    var alive: Set<UInt32> = []
    var descriptors: Set<Int32> = []
    private var nextDescriptor: Int32 = 100
    private var nextCgroup: UInt64 = 1000

    func makeDescriptor() -> Int32 {
        nextDescriptor += 1
        descriptors.insert(nextDescriptor)
        return nextDescriptor
    }

    func makeCgroupID() -> UInt64 {
        nextCgroup += 1
        return nextCgroup
    }

    // MARK: The test's view

    /// The agent of a command.
    var agent: Agent { Agent(instance: "vne", dataplane: FakeDataplane(world: self), host: FakeHost(world: self)) }

    func publish(_ text: String) throws {
        _ = try agent.apply(text, source: "policy.yaml")
        nextCommand()
    }

    func record(named name: String) -> AttachedApplication? { records.values.first { $0.name == name } }

    /// What must hold whenever no command runs and none was killed.
    var leftovers: [String] {
        var found = violations
        for (id, record) in records where record.state != .attached {
            found.append("\(record.name) (\(id)) \(record.state)")
        }
        found += owners.filter { records[$0.value]?.addresses.contains($0.key) != true }
            .map { "claim of \($0.key) by \($0.value)" }
        found += hooks.filter { records[$0.key] == nil && !$0.value.isEmpty }.map { "hooks of \($0.key)" }
        found += open.keys.filter { records[$0] == nil }.map { "\($0) open without a record" }
        found += guarded.values.filter { $0.state != .attached }.map { "guard of \($0.path) \($0.state)" }
        if guardHooks != Set(guarded.keys) { found.append("the guard's hooks are not where they are recorded") }
        found += egress.filter { records[$0] == nil }.map { "egress of \($0)" }
        found += applicationAddresses.subtracting(records.values.flatMap(\.addresses.all)).map { "address \($0)" }
        found += loopbacks.subtracting(records.values.map(\.loopback.ipv6)).map { "loopback \($0)" }
        if Set(records.values.map(\.loopback)).count != records.count { found.append("a loopback that two have") }
        for (id, record) in records {
            if open[id] != record.subject { found.append("\(record.name) is not open as recorded") }
            if hooks[id] != Set(Self.allHooks) { found.append("\(record.name) lacks hooks") }
            for address in record.addresses.all
            where !applicationAddresses.contains(address) && !hostAddresses.contains(address) {
                found.append("\(record.name) lacks \(address)")
            }
            if hasIPv6, !loopbacks.contains(record.loopback.ipv6) { found.append("\(record.name) lacks its loopback") }
            if record.egress != egress.contains(id) { found.append("\(record.name) records another egress") }
        }
        if !descriptors.isEmpty { found.append("\(descriptors.count) descriptor(s)") }
        return found
    }

    /// Checks that all its addresses are on the interface of one that is about to be opened.
    func checkAddresses(of application: AttachedApplication) {
        let there = applicationAddresses.union(hostAddresses).union(loopbacks)
        let needed = application.addresses.all + (hasIPv6 ? [application.loopback.ipv6] : [])
        for address in needed where !there.contains(address) {
            violations.append("\(application.name) is opened without \(address)")
        }
    }

    /// Checks what must hold at every moment, also when a command is killed at it.
    func checkSafety(at moment: String) {
        for (id, subject) in open {
            if hooks[id] != Set(Self.allHooks) { violations.append("\(moment): \(id) open without all hooks") }
            if subject.addresses.all.contains(where: { owners[$0] != id }) {
                violations.append("\(moment): \(id) open without its claim")
            }
            guard let environment = policy?.environment(named: subject.environment) else { continue }
            for protection in environment.requires where unheld[protection] != nil {
                if records[id]?.confined == true, Protection.byConfinement.contains(protection) { continue }
                violations.append("\(moment): \(id) open without \(protection)")
            }
            if environment.needsEgress, !egress.contains(id) {
                violations.append("\(moment): \(id) open without egress")
            }
        }
        let known = Set(records.values.flatMap { $0.addresses.all + [$0.loopback.ipv6] })
        for address in applicationAddresses.union(loopbacks) where !known.contains(address) {
            violations.append("\(moment): nobody knows whose \(address) is")
        }
    }
}

func address(_ text: String) -> IPAddress {
    guard let address = IPAddress(text) else { preconditionFailure("\(text) is no address") }
    return address
}

/// Application addresses from their text, one of each family at most.
func addresses(_ texts: String...) -> ApplicationAddresses {
    guard let addresses = ApplicationAddresses(texts.map(address)) else {
        preconditionFailure("\(texts) are no application's addresses")
    }
    return addresses
}
