import ArgumentParser
import Glibc
import PolicyModel
import VNEAgent
import VNEHost

struct ExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Run a program as an application of its own, for as long as it runs.",
        discussion: """
            The program is in its cgroup from its first instruction. Signals are passed on to it, and its exit status \
            is this command's; 125 if that failed before, 126 if it cannot be run, 127 if it is not found. Examples:
              vne-agent exec --vne shop -- curl http://10.10.2.1/
              vne-agent exec --vne shop --hostname job.shop -- sh -c hostname
              vne-agent exec --vne shop --confine -- nginx -g 'daemon off;'
              vne-agent exec --vne shop --drop net-raw --drop net-admin -- ./server

            --confine takes what leads past the VNE: the capabilities \(Capability.allCases.map(\.rawValue).joined(separator: ", ")); new \
            privileges by set-user-id programs; and the system calls bpf, io_uring_*, setns, ptrace, process_vm_*, \
            pidfd_getfd, new user and network namespaces, and sockets of families other than IPv4, IPv6, Unix, \
            netlink and AF_ALG, which fail with EPERM. clone3 fails with ENOSYS. Programs for another architecture \
            (32 bits) are killed. It does not keep root from root's files: run the program as another user too.
            """)

    @Option(help: "The VNE.")
    var vne: String

    @OptionGroup var addresses: AddressOptions

    @Option(help: "The name that resolves to the addresses, and that gethostname() says to the program.")
    var hostname: String?

    @Option(help: "The application's name (default: the program's).")
    var name: String?

    @Flag(help: "Take from the program what leads past the VNE: capabilities and system calls.")
    var confine = false

    @Option(
        help: ArgumentHelp(
            "A capability to take from the program; may be named again. --confine takes all of these.",
            valueName: "capability"))
    var drop: [Capability] = []

    @OptionGroup var instance: InstanceOptions

    @Argument(parsing: .postTerminator, help: "The program and its arguments, after --.")
    var command: [String]

    func run() throws {
        let status: Int32
        do {
            status = try runProgram()
        } catch {
            let told = AgentError(error)
            Console.report(told)
            Glibc.exit(ExitStatus.launchFailed.rawValue)
        }
        Glibc.exit(status)
    }

    private func runProgram() throws -> Int32 {
        // The lock is held while the application is made and cleared up, not while the program runs.
        let prepared = try prepare()
        Console.report(repairs: prepared.report.repairs, warnings: prepared.report.warnings)
        let launch = Launch(command, hostname: hostname, confinement: confinement)
        let ending: Result<CommandExit, HostError>
        do throws(HostError) {
            ending = .success(try launch.run(in: prepared.cgroup.descriptor))
        } catch {
            ending = .failure(error)
        }
        let warnings = try Session(instance, .change).agent.finish(prepared)
        Console.report(repairs: [], warnings: warnings)
        switch ending {
        case .success(let ending): return ending.status
        case .failure(let error):
            Console.report(error.report)
            return Self.status(of: error)
        }
    }

    private func prepare() throws -> PreparedExec {
        let session = try Session(instance, .change)
        return try session.agent.prepare(
            ExecRequest(
                environment: vne, addresses: try addresses.choice, hostname: hostname, name: name, command: command,
                launcher: try LinuxHost.currentLauncher(), confined: confine))
    }

    private var confinement: Confinement { confine ? .full : Confinement(dropped: Set(drop)) }

    /// As env(1) has it.
    private static func status(of error: HostError) -> Int32 {
        guard error.operation == "execute" else { return ExitStatus.launchFailed.rawValue }
        return error.code == ENOENT ? 127 : 126
    }
}
