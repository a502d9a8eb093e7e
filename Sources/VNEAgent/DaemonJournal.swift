import PolicyModel

/// What a daemon has to write down of what it did, each thing once: what goes on being wrong is not told again and again.
struct DaemonJournal {
    /// A line of the log.
    struct Line: Hashable {
        var priority: LogPriority
        var text: String
        var subject = LogSubject()

        init(_ priority: LogPriority, _ text: String, about application: String? = nil) {
            self.priority = priority
            self.text = text
            subject.application = application
        }
    }

    /// What was wrong, or waited for, at the last look.
    private var standing: Set<Line> = []
    private var waiting = 0
    private var failing = 0
    private var generation: UInt32?

    /// The lines for what was planned and done.
    mutating func lines(of report: ApplyReport) -> [Line] {
        var lines = report.repairs.filter { ![.failed, .contested].contains($0.finding) }
            .map { Line(.notice, $0.description, about: $0.application) }
        let contested = report.repairs.filter { $0.finding == .contested }
        let broken = report.repairs.filter { $0.finding == .failed }
        let failed = Set(report.failures.map(\.application))
        lines += report.plan.changes.filter { $0.acts && !failed.contains($0.application ?? "") }
            .map { Line(.info, $0.description, about: $0.application) }
        for attached in report.attached where !attached.foreignSockets.isEmpty {
            lines += attached.foreignSockets.map {
                Line(
                    .warning, "\(attached.application.name): not covered: \($0.description)",
                    about: attached.application.name)
            }
        }
        lines += report.cutFlows.map { Line(.notice, "cut \($0)") }
        if let generation = report.generation {
            self.generation = generation
            var line = Line(.info, "published as generation \(generation)")
            line.subject.generation = generation
            lines.append(line)
        }
        var standing = report.plan.changes.filter { !$0.acts }
            .map { Line(.notice, $0.description, about: $0.application) }
        standing += contested.map { Line(.warning, $0.description, about: $0.application) }
        standing += broken.map { Line(.error, $0.description, about: $0.application) }
        standing += report.warnings.map { Line(.warning, $0) }
        for attached in report.attached {
            standing += attached.warnings.map { Line(.warning, $0, about: attached.application.name) }
        }
        standing += report.failures.map {
            Line(.error, "\($0.application): \(Self.text(of: $0.error))", about: $0.application)
        }
        lines += news(standing)
        waiting = report.plan.changes.count { !$0.acts } + contested.count
        failing = report.failures.count + broken.count
        return lines
    }

    /// The lines for a look that failed as a whole.
    mutating func failure(_ error: AgentError) -> [Line] {
        failing = max(failing, 1)
        return news((error.details + [Self.text(of: error)]).map { Line(.error, $0) })
    }

    /// One sentence for `systemctl status`.
    func status(problem: String?) -> String {
        if let problem { return "The policy file is not in force: \(problem); the policy from before holds" }
        var text = generation.map { "Policy in force, generation \($0)" } ?? "Policy in force"
        if waiting > 0 { text += "; \(waiting) waiting" }
        if failing > 0 { text += "; \(failing) failed: see the log" }
        return text
    }

    /// What was not told at the last look.
    private mutating func news(_ lines: [Line]) -> [Line] {
        let new = lines.filter { !standing.contains($0) }
        standing = Set(lines)
        return new
    }

    private static func text(of error: AgentError) -> String {
        error.hint.map { "\(error.message) (\($0))" } ?? error.message
    }
}

extension Change {
    /// The application that it is about, if it is about one.
    fileprivate var application: String? {
        switch self {
        case .attach(let application): application.name
        case .detach(let name, _), .move(let name, _, _), .setEgress(let name, _), .waiting(let name, _),
            .stranded(let name, _):
            name
        default: nil
        }
    }
}
