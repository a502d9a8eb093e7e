import ArgumentParser
import VNEAgent
import VNEHost

struct AwaitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "await",
        abstract: "Wait until the daemon has attached an application; fail if it does not.",
        discussion: """
            For ExecStartPre= of a service whose cgroup the policy names: the service's own program starts only once its \
            cgroup is an application. It works inside the application, too. Example:
              ExecStartPre=+/usr/bin/vne-agent await nginx
            """)

    @Argument(help: "The application's name.")
    var application: String

    @Option(help: ArgumentHelp("How long to wait for the daemon and its answer: 30s, 5m.", valueName: "time"))
    // A slow boot is no reason to fail. Shorter than what systemd gives a service to start, so that it is told why.
    var timeout = TimeLimit(seconds: 80)

    @OptionGroup var instance: InstanceOptions

    func run() throws {
        try Session.requireRoot()
        let end = HostEvents.now + .seconds(timeout.seconds)
        guard let problem = try RequestSocket.ask(application, instance: instance.instance, until: end) else {
            throw AgentError(
                .failure, "the daemon did not answer within \(timeout.seconds) s",
                hint: "start it: systemctl start vne-agent")
        }
        guard problem.isEmpty else { throw AgentError(.failure, problem) }
    }
}
