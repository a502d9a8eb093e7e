import ArgumentParser
import PolicyModel
import VNEAgent

struct AttachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach",
        abstract: "Make a cgroup an application: give it addresses of a VNE and keep it apart.",
        discussion: """
            Processes may run in the cgroup already. Sockets that they made while in it are covered; those that they \
            brought in from outside are listed, and are not. Examples:
              vne-agent attach web shop --address 10.10.2.1 --address fd00:10:10:2::1
              vne-agent attach jobs/one shop --name job --hostname job.shop
              vne-agent attach system.slice/redis.service shop --require-clean
              vne-agent attach system.slice/redis.service shop --clean close
              vne-agent attach --application web
            """)

    @Argument(help: "The cgroup: relative to the cgroup2 mount, or absolute below it.")
    var cgroup: String?

    @Argument(help: "The VNE.")
    var vne: String?

    @OptionGroup var addresses: AddressOptions

    @Option(help: "The name that resolves to the addresses.")
    var hostname: String?

    @Option(help: "The application's name (default: the last part of the cgroup's path).")
    var name: String?

    @Option(help: "Attach the application that the policy has under this name, with all that the policy says of it.")
    var application: String?

    @Option(
        help: ArgumentHelp(
            "What becomes of sockets that a process of the cgroup brought in from outside: refuse the cgroup, or close its TCP "
                + "sockets and refuse for others (default: tell them).",
            valueName: "refuse|close"))
    var clean: Cleaning?

    @Flag(help: "The same as --clean refuse.")
    var requireClean = false

    @OptionGroup var instance: InstanceOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if application != nil {
            guard cgroup == nil, vne == nil, addresses.address.isEmpty, hostname == nil, name == nil else {
                throw ValidationError("--application takes all from the policy: name nothing else.")
            }
        } else if cgroup == nil || vne == nil {
            throw ValidationError("Name a cgroup and a VNE, or an --application of the policy.")
        }
        guard !requireClean || clean != .close else {
            throw ValidationError("--require-clean refuses what --clean close would close: name one of them.")
        }
    }

    func run() throws {
        let session = try Session(instance, .change)
        let report: AttachReport
        let clean = requireClean ? .refuse : self.clean
        if let application {
            report = try session.agent.attach(applicationNamed: application, clean: clean)
        } else {
            report = try session.agent.attach(
                AttachRequest(
                    cgroup: cgroup ?? "", environment: vne ?? "", addresses: try addresses.choice, hostname: hostname,
                    name: name, clean: clean))
        }
        Console.report(repairs: report.repairs, warnings: report.warnings)
        if output.json {
            try Console.show(json: AttachView(report))
            return
        }
        let attached = report.application
        Console.show(
            "attached \(attached.name) to \(attached.environment) as \(attached.addresses) (\(attached.cgroupPath))")
        if report.closedSockets > 0 {
            Console.show("closed \(report.closedSockets) connection(s) that had another local address")
        }
        for socket in report.closedForeignSockets { Console.show("closed \(Self.line(of: socket))") }
        if !report.closedForeignSockets.isEmpty {
            Console.show(
                "  A process that keeps a closed descriptor can use it anew, uncovered: restart what is not trusted.")
        }
        Self.show(foreignSocketsOf: report)
    }

    /// Says what the isolator does not cover.
    static func show(foreignSocketsOf report: AttachReport) {
        guard !report.foreignSockets.isEmpty else { return }
        Console.show("NOT covered: sockets that were made outside the cgroup keep what they could do before.")
        for socket in report.foreignSockets {
            Console.show("  \(line(of: socket))")
        }
        Console.show("  Restart these processes inside the cgroup, or refuse such cgroups with --require-clean.")
    }

    private static func line(of socket: ForeignSocket) -> String {
        "\(socket.command.printable) (\(socket.process)), descriptor \(socket.descriptor): \(socket.summary)"
    }
}
