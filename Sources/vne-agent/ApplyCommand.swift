import ArgumentParser
import Glibc
import PolicyModel
import VNEAgent
import VNEHost

struct ApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Make a policy file hold: publish it at once, attach and detach applications, cut what it forbids.",
        discussion: """
            The plan has a line for each change: + adds, - takes away, ~ changes, ! tells. Examples:
              vne-agent apply --dry-run policy.yaml
              vne-agent apply policy.yaml
              vne-agent apply --confirm 60s policy.yaml
            With --confirm the policy from before comes back unless Enter is pressed, or vne-agent confirm is run \
            elsewhere, in time; also if the terminal closes. The exit status is 9 then.
            """)

    @Argument(help: "The policy file; - for the standard input.", completion: .file(extensions: ["yaml", "yml"]))
    var policy: String

    @Flag(help: "Print the plan and change nothing.")
    var dryRun = false

    @Option(help: ArgumentHelp("Go back unless it is confirmed in this time: 60s, 5m.", valueName: "time"))
    var confirm: TimeLimit?

    /// What apply --confirm starts, which goes on when its terminal is gone.
    @Flag(help: .hidden)
    var unattended = false

    @OptionGroup var instance: InstanceOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard confirm != nil else { return }
        guard !dryRun else { throw ValidationError("--dry-run changes nothing that could be confirmed.") }
        guard policy != "-" else {
            throw ValidationError("--confirm reads from the terminal: name a file instead of the standard input.")
        }
    }

    func run() throws {
        guard let confirm else { return try finish(try apply().report) }
        guard unattended else { try attend() }
        try Session.requireRoot()
        let confirmation = try Confirmation(instance: instance.instance)
        let (report, trial) = try apply()
        try wait(confirmation, for: confirm, trial)
        try finish(report)
    }

    private func apply() throws -> (report: ApplyReport, trial: Trial?) {
        let file = try PolicyText(reading: policy)
        // A plan reads what is there; nothing is loaded for it.
        let session = try Session(instance, dryRun ? .show : .create)
        let trial = confirm == nil ? nil : try session.agent.trial(of: file.text, source: file.source)
        let report = try session.agent.apply(
            file.text, source: file.source, dryRun: dryRun,
            dependencies: HostDependencies(resolvConf: instance.resolvConf))
        withExtendedLifetime(session) {}
        Console.report(repairs: report.repairs, warnings: report.warnings)
        if output.json {
            try Console.show(json: ApplyView(report))
        } else {
            show(report)
        }
        Console.flush()
        return (report, trial)
    }

    /// Says what could not be done, and ends with its status.
    private func finish(_ report: ApplyReport) throws {
        guard let first = report.failures.first else { return }
        for failure in report.failures {
            var error = failure.error
            error.message = "\(failure.application): \(error.message)"
            Console.report(error)
        }
        Glibc.exit(first.error.status.rawValue)
    }

    /// Has another process apply and wait, and stands between it and the terminal.
    private func attend() throws -> Never {
        let companion = try Companion(arguments: CommandLine.arguments.dropFirst() + ["--unattended"])
        switch try companion.wait() {
        case .ended(let status): Glibc.exit(status)
        case .interrupted:
            companion.hangUp()
            guard case .ended(let status) = try companion.wait() else { Glibc.exit(ExitStatus.rolledBack.rawValue) }
            Glibc.exit(status)
        }
    }

    private func wait(_ confirmation: Confirmation, for limit: TimeLimit, _ trial: Trial?) throws {
        guard let trial else { return }
        Console.error(
            "vne-agent: press Enter within \(limit.seconds) s to keep this policy, or run: vne-agent confirm"
                + (instance.instance == "vne" ? "" : " --instance \(instance.instance)"))
        let reason: String
        switch try confirmation.wait(until: HostEvents.now + .seconds(limit.seconds)) {
        case .confirmed: return Console.error("vne-agent: confirmed")
        case .abandoned: reason = "the command was ended"
        case .timeUp: reason = "nobody confirmed it in time"
        }
        guard let report = try Session(instance, .change).agent.rollBack(trial) else {
            throw AgentError(.conflict, "\(reason), and another policy was published meanwhile: that one stays")
        }
        Console.report(repairs: report.repairs, warnings: report.warnings)
        throw AgentError(.rolledBack, "\(reason): the policy from before is back (\(trial.previous.source))")
    }

    private func show(_ report: ApplyReport) {
        Console.show(report.plan)
        for attached in report.attached { AttachCommand.show(foreignSocketsOf: attached) }
        for flow in report.cutFlows { Console.show("cut \(flow)") }
        if let generation = report.generation { Console.show("published as generation \(generation)") }
    }
}
