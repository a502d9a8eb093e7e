import ArgumentParser
import VNEAgent
import VNEHost

struct MetricsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics",
        abstract: "Print what the hooks have counted in Prometheus's text format.",
        discussion: """
            With --textfile the text becomes that of a file, at once, for node_exporter's textfile collector; its name \
            has to end in .prom there. vne-agent run --metrics serves the same over HTTP. Examples:
              vne-agent metrics
              vne-agent metrics --textfile /var/lib/prometheus/node-exporter/vne.prom
            """)

    @Option(
        help: ArgumentHelp("Write to this file in place of the standard output.", valueName: "path"),
        completion: .file(extensions: ["prom"]))
    var textfile: String?

    @OptionGroup var instance: InstanceOptions

    func run() throws {
        let text = try Self.text(instance)
        guard let textfile else {
            Console.show(text.dropLast())
            return
        }
        try TextFile.replace(textfile, with: text)
    }

    /// The metrics of an instance, also of one that is not loaded.
    static func text(_ options: InstanceOptions) throws -> String {
        "\(Metrics(try Session(options, .show).agent.reading(), version: Version.number))"
    }
}
