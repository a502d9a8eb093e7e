import ArgumentParser
import VNEAgent
import VNEHost

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Keep a policy file and the kernel in line until told to stop.",
        discussion: """
            Applies the file, then again whenever it changes or SIGHUP comes; a file with errors leaves the policy from \
            before in force. Applications are attached when their cgroups come; addresses and pins that somebody removes \
            are put back. SIGTERM ends it, and what is enforced stays enforced. Other commands work meanwhile, except \
            unload. With --metrics it also answers GET /metrics with what vne-agent metrics prints. Examples:
              vne-agent run
              vne-agent run ./policy.yaml
              vne-agent run --metrics 127.0.0.1:9417
              vne-agent run --metrics unix:/run/vne/metrics.sock
            """)

    @Argument(help: "The policy file.", completion: .file(extensions: ["yaml", "yml"]))
    var policy = "/etc/vne/policy.yaml"

    @Option(
        help: ArgumentHelp(
            "Serve metrics over HTTP: at a port of 127.0.0.1 or [::1], or at a Unix socket that is root's alone.",
            valueName: "place"))
    var metrics: TextPlace?

    @OptionGroup var instance: InstanceOptions

    func run() throws {
        try Session.requireRoot()
        let process = try DaemonProcess(policy: policy, instance: instance, metrics: metrics)
        do throws(AgentError) {
            try Daemon(process).run()
        } catch {
            // Where the log takes priorities, what ends the daemon has the highest.
            for line in error.details + [error.message] + (error.hint.map { [$0] } ?? []) { process.log(.error, line) }
            throw ExitCode(error.status.rawValue)
        }
    }
}
