import ArgumentParser
import Glibc
import VNEAgent

/// `vne-agent`: the commands, and how the process ends.
@main
struct VNEAgentCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vne-agent",
        abstract: "Virtual Network Environments: applications kept apart in the kernel, each with its own address.",
        discussion: """
            An application is a cgroup. Example:
              vne-agent apply policy.yaml
              vne-agent attach system.slice/nginx.service shop --name web
              vne-agent explain web 10.10.3.1:5432

            Exit statuses:
              0    done; explain: allowed
              1    failed
              2    the command line makes no sense
              3    the policy file has errors
              4    no such application, environment, cgroup or policy
              5    an address, a name or a cgroup is taken
              6    this kernel or this user cannot do it, or does not hold what
                   an environment requires
              7    explain: denied
              8    refused for safety's sake
              9    apply --confirm: not confirmed, the policy from before is back
              125  exec: failed before the program ran; 126 and 127: it cannot be
                   run, is not found; otherwise the program's own status
              255  await: the application is not attached
            """,
        version: Version.text,
        subcommands: [
            ApplyCommand.self, ConfirmCommand.self, RunCommand.self, AwaitCommand.self, AttachCommand.self,
            DetachCommand.self, MoveCommand.self, ExecCommand.self, StatusCommand.self, ListCommand.self,
            ExplainCommand.self,
            FlowsCommand.self, SuggestCommand.self, TopCommand.self, MetricsCommand.self,
            DumpCommand.self, CheckCommand.self, UnloadCommand.self,
        ])

    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let error as AgentError {
            finish(error)
        } catch let error as any ReportedError {
            finish(error.report)
        } catch {
            let status = exitCode(for: error)
            // Help and version are no errors; what is wrong with the command line is the parser's to tell.
            if status == .validationFailure {
                Console.error(fullMessage(for: error))
                Glibc.exit(isExec ? ExitStatus.launchFailed.rawValue : ExitStatus.usage.rawValue)
            }
            exit(withError: error)
        }
    }

    private static func finish(_ error: AgentError) -> Never {
        Console.report(error)
        Glibc.exit(error.status.rawValue)
    }

    /// As with env(1), what goes wrong before the program runs must not look like the program's own status.
    private static var isExec: Bool {
        CommandLine.arguments.dropFirst().first { !$0.hasPrefix("-") } == "exec"
    }
}

/// What this build is.
enum Version {
    static let number = "0.1.0"
    static let text = "vne-agent \(number)"
}
