import ArgumentParser
import VNEAgent
import VNEHost

struct AwaitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "await",
        abstract: "Wait until the daemon has attached an application; fail if it does not.",
        discussion: """
            For ExecCondition= of a service whose cgroup the policy names: nothing of the service starts before its \
            cgroup is an application. The exit status is 0 or 255, which fails the service. It works inside the \
            application, too. Example:
              ExecCondition=+/usr/bin/vne-agent await nginx
            """)

    @Argument(help: "The application's name.")
    var application: String

    @Option(help: ArgumentHelp("How long to wait for the daemon and its answer: 30s, 5m.", valueName: "time"))
    // A slow boot is no reason to fail. Shorter than what systemd gives a service to start, so that it is told why.
    var timeout = TimeLimit(seconds: 80)

    @OptionGroup var instance: InstanceOptions

    func run() throws {
        do {
            try wait()
        } catch var error as AgentError {
            error.status = .notAttached
            throw error
        } catch let error as any ReportedError {
            var report = error.report
            report.status = .notAttached
            throw report
        }
    }

    private func wait() throws {
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
