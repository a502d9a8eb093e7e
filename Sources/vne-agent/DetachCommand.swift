import ArgumentParser
import PolicyModel
import VNEAgent

struct DetachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach",
        abstract: "Make an application an ordinary cgroup again.",
        discussion: """
            Its hooks and its address go; its processes go on, unrestrained. Examples:
              vne-agent detach web
              vne-agent detach system.slice/nginx.service
            """)

    @Argument(help: "The application's name, or its cgroup.")
    var application: String

    @OptionGroup var instance: InstanceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let report = try Session(instance, .change).agent.detach(application)
        Console.report(repairs: report.repairs, warnings: report.warnings)
        if output.json {
            try Console.show(json: DetachView(report))
        } else {
            Console.show("detached \(report.application.name) (\(report.application.cgroupPath))")
        }
    }
}
