import ArgumentParser
import PolicyModel
import VNEAgent
import VNEBPF
import VNEHost

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the policy, the applications with what their hooks have judged, and what is wrong.",
        discussion: """
            Examples:
              vne-agent status
              vne-agent status web
            """)

    @Argument(help: "One application: what its hooks have judged, by hook and reason.")
    var application: String?

    @OptionGroup var instance: InstanceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let agent = try Session(instance, .show).agent
        if let application {
            let status = try agent.status(of: application)
            if output.json { try Console.show(json: status) } else { Console.show(status) }
        } else {
            let status = try agent.status()
            if output.json { try Console.show(json: status) } else { Console.show(status) }
        }
    }
}

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the attached applications and, without --json, the guarded cgroups.",
        discussion: """
            Example:
              vne-agent list --json
            """)

    @OptionGroup var instance: InstanceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let agent = try Session(instance, .show).agent
        let applications = try agent.list()
        guard !output.json else { return try Console.show(json: applications) }
        Console.show(applications.table)
        let guards = try agent.guards()
        if !guards.isEmpty { Console.show("\n\(guards.table)") }
    }
}

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say what becomes of a flow, by which rule, and where in the kernel.",
        discussion: """
            Each end that decides has a line: the hook, in the words of status and of the kernel, the verdict, the \
            reason, and the line of the policy file. UDP is explained for a socket that is not connected; one that is \
            comes by the hook of connect, which decides alike.
            The port is the one that the flow is opened to, whoever begins; without one, every port is asked for. The \
            exit status is 0 if the flow is allowed (whatever the port) and 7 if it is denied. A name stands for an \
            address of a family that both have. Examples:
              vne-agent explain web 10.10.3.1:5432
              vne-agent explain web '[fd00:10:10:3::1]:5432'
              vne-agent explain web db:53/udp
              vne-agent explain web 127.0.0.1:6379
              vne-agent explain web 192.0.2.9:80 --incoming
            """)

    @Argument(help: "The application, attached or named by the policy.")
    var application: String

    @Argument(
        help:
            "The other end: an address (IPv6 in brackets before a port) or an application, [:PORT], [/tcp, /udp or /ping]."
    )
    var peer: Endpoint

    @Flag(help: "The other end begins.")
    var incoming = false

    @OptionGroup var instance: InstanceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let answer = try Session(instance, .show).agent.explain(application, peer, incoming: incoming)
        if output.json { try Console.show(json: answer) } else { Console.show(answer) }
        if !answer.allowed { throw ExitCode(ExitStatus.denied.rawValue) }
    }
}

struct FlowsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flows",
        abstract: "Show the applications' flows, or the denials as they happen.",
        discussion: """
            Without options: sockets and recorded datagram flows, with what the policy says of them. With --denied: \
            those that it forbids, and the denials since the last look, as each is shown once. With --follow, \
            whatever else: denials as they happen, also those that audit mode lets through, a line each, until Ctrl-C. Times are of the \
            monotonic clock, as those of journalctl -o short-monotonic. At most 64 a second are recorded of each \
            application, while status counts all of them. One command at a time can read them: what it has read is gone. \
            Examples:
              vne-agent flows
              vne-agent flows --denied
              vne-agent flows --follow --json
            """)

    @Flag(help: "Show denials as they happen, also those that audit mode lets through.")
    var follow = false

    @Flag(help: "Show only what is denied.")
    var denied = false

    @OptionGroup var instance: InstanceOptions
    @OptionGroup var output: OutputOptions

    /// What `--denied` shows.
    private struct Denied: Encodable {
        var flows: [LiveFlow]
        var denials: [DenialRecord]
    }

    func run() throws {
        if follow { return try followDenials() }
        let session = try Session(instance, .show)
        let flows = try session.agent.flows(deniedOnly: denied)
        guard denied else {
            if output.json { try Console.show(json: flows) } else { Console.show(flows.table) }
            return
        }
        let denials = try session.agent.denialRecords(of: session.recentDenials())
        if output.json { return try Console.show(json: Denied(flows: flows, denials: denials)) }
        if !flows.isEmpty { Console.show(flows.table) }
        denials.forEach { Console.show($0) }
    }

    private func followDenials() throws {
        try Session.follow(instance) { records in
            for record in records {
                if output.json { try Console.show(jsonLine: record) } else { Console.show(record) }
            }
            Console.flush()
        }
    }
}

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Say which protections hold on this host, or what of a policy file does not fit it.",
        discussion: """
            Without a file: the kernel, and which protections hold for every application, by what, or why not. With one: \
            reads it as apply would. The exit status is 0 if that was said, also of protections that do not hold; 3 if \
            the file has errors; 6 if no cgroup2 hierarchy is mounted, or the file requires what does not hold for an \
            application that apply would attach. Only root can ask for all protections. Examples:
              vne-agent check
              vne-agent check --json
              vne-agent check policy.yaml
            """)

    @Argument(help: "The policy file; - for the standard input.", completion: .file(extensions: ["yaml", "yml"]))
    var policy: String?

    @OptionGroup var instance: InstanceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        guard let policy else { return try checkHost() }
        let file = try PolicyText(reading: policy)
        let check = try Session.unprivileged(instance).check(
            file.text, source: file.source, dependencies: HostDependencies(resolvConf: instance.resolvConf))
        if output.json { try Console.show(json: check) } else { Console.show(check) }
        if !check.unmet.isEmpty { throw ExitCode(ExitStatus.unsupported.rawValue) }
    }

    private func checkHost() throws {
        let facts = HostFacts(
            kernelRelease: LinuxHost.kernelRelease,
            cgroupMount: try? LinuxHost(instance: instance.instance).cgroupMount(), bpfFileSystem: Instance.fileSystem)
        let check = try Session.unprivileged(instance).check(host: facts)
        if output.json { try Console.show(json: check) } else { Console.show(check) }
        if check.cgroupMount == nil { throw ExitCode(ExitStatus.unsupported.rawValue) }
    }
}

struct UnloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unload",
        abstract: "Detach every application and take the instance out of the kernel.",
        discussion: """
            Nothing is kept apart afterwards. Example:
              vne-agent unload
            """)

    @OptionGroup var instance: InstanceOptions

    func run() throws {
        for name in try Session.unload(instance) { Console.show("detached \(name)") }
        Console.show("unloaded \(instance.instance)")
    }
}
