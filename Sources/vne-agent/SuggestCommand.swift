import ArgumentParser
import VNEAgent

struct SuggestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "suggest",
        abstract: "Print the permits and rules that would have allowed what audit mode let through.",
        discussion: """
            Learns from denials until Ctrl-C or for a time, and prints what the published policy lacks, as YAML to paste \
            into it: permits to the ports that were called, entries of remote, and the other keys that would allow it. \
            What no rule allows is a comment. The kernel records 64 denials a second of each application at most, and \
            keeps them until somebody reads them: the output says where more was denied than recorded. Examples:
              vne-agent suggest --for 60s
              vne-agent flows --follow --json > denials.json
              vne-agent suggest --from denials.json
            """)

    @Option(name: .customLong("for"), help: ArgumentHelp("Learn for this time: 60s, 5m.", valueName: "time"))
    var limit: TimeLimit?

    @Option(
        help: ArgumentHelp(
            "Learn from denials that flows --follow --json wrote; - for the standard input.", valueName: "file"),
        completion: .file())
    var from: String?

    @Flag(help: "Learn from denials that were enforced, too: somebody wanted those flows refused.")
    var enforced = false

    @OptionGroup var instance: InstanceOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard from == nil || limit == nil else { throw ValidationError("--from reads what is there: leave out --for.") }
    }

    func run() throws {
        var denials = LearntDenials(enforced: enforced)
        if let from {
            try Session.learn(from: DenialFile(reading: from).records, instance, into: &denials)
        } else {
            if limit == nil { Console.error("vne-agent: learning from denials until Ctrl-C") }
            try Session.learn(for: limit.map { .seconds($0.seconds) }, instance, into: &denials)
        }
        let report = try Session(instance, .show).agent.suggestions(from: denials)
        if output.json { try Console.show(json: report) } else { Console.show(report) }
    }
}
