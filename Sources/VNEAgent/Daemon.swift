/// Keeps a policy file and the kernel in line for as long as it runs: applies the file at the start and whenever it
/// changes, and mends what came apart in between.
///
/// It enforces nothing. The kernel does, with the daemon and without it; what the daemon adds is that somebody looks. A
/// policy that a command applied holds until the file changes, and what a command attached stays.
public final class Daemon {
    private let surroundings: any DaemonSurroundings
    private var agenda: Agenda
    private var journal = DaemonJournal()
    /// The text of the file when it was last taken, whether it had errors or not.
    private var taken: String?
    /// What keeps the file from being the policy that holds; nil if nothing does.
    private var problem: String?
    private var last: LastLook?
    private var nextSignOfLife: Duration
    /// Who wants to know of which application.
    private var questions: [(application: String, asker: String)] = []

    /// A daemon that has done nothing yet.
    public init(_ surroundings: any DaemonSurroundings) {
        self.surroundings = surroundings
        agenda = Agenda(at: surroundings.now)
        nextSignOfLife = surroundings.now
    }

    /// Runs until it is told to stop. What is enforced then stays enforced.
    ///
    /// Throws only at the start: if the policy file cannot be applied and no policy is published that could go on.
    public func run() throws(AgentError) {
        try start()
        while try turn() {}
        surroundings.tell(.stopping)
        surroundings.log(.info, "stopped: what is enforced stays enforced")
    }

    /// Applies the policy file for the first time.
    func start() throws(AgentError) {
        // First listen, then look: what changes in between is heard.
        try watch()
        _ = agenda.next(at: surroundings.now)
        do {
            try apply(try read())
        } catch {
            guard try isPublished() else { throw error }
            reject(error)
            // Only what the file cannot be blamed for is worth another try.
            agenda.finished(.reload, failed: error.status != .policyFile, at: surroundings.now)
            mend()
        }
        try watch()
        surroundings.tell(.ready)
        tellStatus()
    }

    /// Does what is due, then waits for the next event; false if that was to stop.
    func turn() throws(AgentError) -> Bool {
        while let work = agenda.next(at: surroundings.now) {
            switch work {
            case .read: takeFile(forced: false)
            case .reload:
                surroundings.tell(.reloading)
                takeFile(forced: true)
                surroundings.tell(.ready)
            case .mend: mend()
            }
            try watch()
            tellStatus()
        }
        // Nothing is due any more: what can be attached is.
        try answer()
        var wakeUp = agenda.wakeUp
        if let interval = surroundings.watchdogInterval {
            let now = surroundings.now
            if nextSignOfLife <= now {
                surroundings.tell(.alive)
                nextSignOfLife = now + interval / 2
            }
            wakeUp = min(wakeUp, nextSignOfLife)
        }
        let events = try asking { try surroundings.wait(until: wakeUp) }
        let now = surroundings.now
        for event in events {
            agenda.note(event, at: now)
            if case .asked(let application, let asker) = event { questions.append((application, asker)) }
        }
        return !events.contains(.stop)
    }

    // MARK: - The policy file

    private func takeFile(forced: Bool) {
        do throws(AgentError) {
            let text = try read()
            guard forced || text != taken else { return }
            try apply(text)
            agenda.finished(.reload, failed: false, at: surroundings.now)
        } catch {
            reject(error)
            // A file with errors, or none, waits for the next change of it.
            let isFiles = error.status == .policyFile || error.status == .notFound
            agenda.finished(.reload, failed: !isFiles, at: surroundings.now)
        }
    }

    private func read() throws(AgentError) -> String {
        try asking { try surroundings.readPolicy() }
    }

    private func apply(_ text: String) throws(AgentError) {
        taken = text
        let report = try withAgent { agent throws(AgentError) in
            try agent.apply(text, source: surroundings.policySource, dependencies: surroundings.dependencies)
        }
        problem = nil
        tell(report)
        // What there is to listen for now, the next look tells.
        agenda.note(.cgroups, at: surroundings.now)
    }

    /// Says loudly that the file is not what holds.
    private func reject(_ error: AgentError) {
        let first = error.details.first ?? error.message
        // A file that cannot be read may be back as it was.
        if error.status == .notFound { taken = nil }
        guard problem != first else { return }
        problem = first
        for line in error.details { surroundings.log(.error, line) }
        let hint = error.hint.map { " (\($0))" } ?? ""
        surroundings.log(.error, "\(error.message)\(hint): the policy from before still holds")
    }

    private func isPublished() throws(AgentError) -> Bool {
        try withAgent { agent throws(AgentError) in
            try agent.asking { try agent.dataplane.publishedPolicy() } != nil
        }
    }

    // MARK: - The kernel

    private func mend() {
        do throws(AgentError) {
            var known = last
            let (arrivals, report) = try withAgent { agent throws(AgentError) in
                if let arrivals = try agent.welcome(&known) { return (true, Optional(arrivals)) }
                return (false, try agent.mend(&known))
            }
            last = known
            if arrivals { agenda.note(.addresses, at: surroundings.now) }
            guard let report else {
                // Somebody unloaded the instance: the file says what is to be there.
                surroundings.log(.warning, "no policy is published any more: applying \(surroundings.policySource)")
                return takeFile(forced: true)
            }
            tell(report)
        } catch {
            tell(journal.failure(error))
            agenda.finished(.mend, failed: true, at: surroundings.now)
        }
    }

    /// Tells those who asked whether what they asked for is attached.
    private func answer() throws(AgentError) {
        for (application, asker) in questions {
            do throws(AgentError) {
                try withAgent { agent throws(AgentError) in try agent.requireAttached(application) }
                surroundings.answer(nil, to: asker)
            } catch {
                surroundings.answer(error.hint.map { "\(error.message) (\($0))" } ?? error.message, to: asker)
            }
        }
        questions = []
    }

    /// Hears of the cgroups that the policy names, and of those that are attached.
    private func watch() throws(AgentError) {
        let isNew = try asking { try surroundings.watch(cgroups: last?.cgroups ?? []) }
        if isNew { agenda.note(.cgroups, at: surroundings.now) }
    }

    private func withAgent<Answer>(
        _ body: (Agent) throws(AgentError) -> Answer
    ) throws(AgentError) -> Answer {
        try asking { try surroundings.withAgent { agent in try body(agent) } }
    }

    private func asking<Answer>(_ question: () throws -> Answer) throws(AgentError) -> Answer {
        do {
            return try question()
        } catch {
            throw AgentError(error)
        }
    }

    // MARK: - Telling

    private func tell(_ report: ApplyReport) {
        tell(journal.lines(of: report))
        let isDone = report.failures.isEmpty && !report.repairs.contains { $0.finding == .failed }
        agenda.finished(.mend, failed: !isDone, at: surroundings.now)
        // An address that another host has is to be taken over soon after that one lets go.
        let isContested =
            report.repairs.contains { $0.finding == .contested } || report.failures.contains(where: \.error.mayPass)
        if isContested { agenda.contest(at: surroundings.now) }
    }

    private func tell(_ lines: [DaemonJournal.Line]) {
        for line in lines { surroundings.log(line.priority, line.text, about: line.subject) }
    }

    private func tellStatus() {
        let status = journal.status(problem: problem)
        guard status != toldStatus else { return }
        toldStatus = status
        surroundings.tell(.status(status))
    }

    private var toldStatus: String?
}
