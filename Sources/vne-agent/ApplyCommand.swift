import ArgumentParser
import Glibc
import VNEAgent

struct ApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Make a policy file hold: publish it at once, attach and detach applications, cut what it forbids.",
        discussion: """
            The plan has a line for each change: + adds, - takes away, ~ changes, ! tells. Examples:
              vne-agent apply --dry-run policy.yaml
              vne-agent apply policy.yaml
            """)

    @Argument(help: "The policy file; - for the standard input.", completion: .file(extensions: ["yaml", "yml"]))
    var policy: String

    @Flag(help: "Print the plan and change nothing.")
    var dryRun = false

    @OptionGroup var instance: InstanceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let file = try PolicyText(reading: policy)
        // A plan reads what is there; nothing is loaded for it.
        let session = try Session(instance, dryRun ? .show : .create)
        let report = try session.agent.apply(file.text, source: file.source, dryRun: dryRun)
        Console.report(repairs: report.repairs, warnings: report.warnings)
        if output.json {
            try Console.show(json: ApplyView(report))
        } else {
            show(report)
        }
        guard let first = report.failures.first else { return }
        for failure in report.failures {
            var error = failure.error
            error.message = "\(failure.application): \(error.message)"
            Console.report(error)
        }
        Glibc.exit(first.error.status.rawValue)
    }

    private func show(_ report: ApplyReport) {
        Console.show(report.plan)
        for attached in report.attached { AttachCommand.show(foreignSocketsOf: attached) }
        for flow in report.cutFlows { Console.show("cut \(flow)") }
        if let generation = report.generation { Console.show("published as generation \(generation)") }
    }
}
