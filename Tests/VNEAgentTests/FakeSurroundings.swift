import PolicyModel
import VNEAgent

/// The process of a daemon under test: a file in memory, a clock that the test moves, and events that it sends.
final class FakeSurroundings: DaemonSurroundings {
    let world: FakeWorld
    /// The policy file's text; nil if it is not there.
    var file: String?
    var now: Duration = .zero
    var watchdogInterval: Duration?
    let policySource = "policy.yaml"
    var dependencies = HostDependencies()

    /// What is sent at which moment, in this order.
    var script: [(at: Duration, event: DaemonEvent, effect: () -> Void)] = []
    private(set) var told: [DaemonState] = []
    private(set) var lines: [(priority: LogPriority, text: String)] = []
    /// The applications that lines are about, as often as they are.
    private(set) var namedApplications: [String] = []
    private(set) var watched: [Set<String>] = []
    /// How often the instance was locked.
    private(set) var looks = 0

    init(_ world: FakeWorld, file: String?) {
        self.world = world
        self.file = file
    }

    func send(_ event: DaemonEvent, at time: Duration, _ effect: @escaping () -> Void = {}) {
        script.append((time, event, effect))
    }

    func readPolicy() throws -> String {
        guard let file else { throw AgentError(.notFound, "cannot read policy.yaml: No such file or directory") }
        return file
    }

    func withAgent<Answer>(_ body: (Agent) throws -> Answer) throws -> Answer {
        looks += 1
        world.nextCommand()
        return try body(world.agent)
    }

    func watch(cgroups: Set<String>) -> Bool {
        let isNew = watched.last.map { !cgroups.isSubset(of: $0) } ?? true
        if watched.last != cgroups { watched.append(cgroups) }
        return isNew
    }

    /// Time passes without waiting. Whoever waits beyond the script is told to stop.
    func wait(until time: Duration) -> Set<DaemonEvent> {
        guard let next = script.first else { return [.stop] }
        guard next.at <= time else {
            now = max(now, time)
            return []
        }
        script.removeFirst()
        now = max(now, next.at)
        next.effect()
        return [next.event]
    }

    /// What was answered to whom; nil for no problem.
    private(set) var answers: [(problem: String?, asker: String)] = []

    func answer(_ problem: String?, to asker: String) { answers.append((problem, asker)) }

    func tell(_ state: DaemonState) { told.append(state) }

    func log(_ priority: LogPriority, _ message: String, about subject: LogSubject) {
        lines.append((priority, message))
        if let application = subject.application { namedApplications.append(application) }
    }

    var statuses: [String] {
        told.compactMap { if case .status(let text) = $0 { text } else { nil } }
    }

    func count(of text: String) -> Int { lines.count { $0.text.contains(text) } }
}
