public import PolicyModel

/// What `exec` is asked to do.
public struct ExecRequest: Hashable, Sendable {
    /// The environment's name.
    public var environment: String
    /// The application addresses.
    public var addresses: AddressChoice
    /// The name that resolves to the application addresses, and that the program's own UTS namespace has.
    public var hostname: String?
    /// The application's name; nil for the program's, with a number where that is taken.
    public var name: String?
    /// The program and its arguments.
    public var command: [String]
    /// This process: the attachment ends with it.
    public var launcher: AttachedApplication.Launcher
    /// Whether the launch takes capabilities away and filters system calls.
    public var confined: Bool

    /// A request from its parts.
    public init(
        environment: String, addresses: AddressChoice = .auto, hostname: String? = nil, name: String? = nil,
        command: [String], launcher: AttachedApplication.Launcher, confined: Bool = false
    ) {
        self.environment = environment
        self.addresses = addresses
        self.hostname = hostname
        self.name = name
        self.command = command
        self.launcher = launcher
        self.confined = confined
    }
}

/// An application that waits for its program: attached, open and empty.
public struct PreparedExec: Hashable, Sendable {
    /// What attaching did.
    public var report: AttachReport
    /// The cgroup to start the program in; its descriptor stays open until ``Agent/finish(_:)``.
    public var cgroup: OpenCgroup
}

extension Agent {
    /// Makes a cgroup for a program and attaches it, so that the program is an application from its first instruction.
    ///
    /// The caller launches the program in it without holding the instance's lock, and then calls ``finish(_:)``.
    public func prepare(_ request: ExecRequest) throws(AgentError) -> PreparedExec {
        let ground = try settle()
        let name = request.name ?? freeName(for: request.command.first ?? "", among: ground.applications)
        try Name.check(name)
        let path = "\(execRoot)/\(name)"
        let cgroup = try asking { try host.makeCgroup(path) }
        do throws(AgentError) {
            guard !host.isPopulated(path) else {
                throw AgentError(
                    .conflict, "the cgroup \(path) is in use", hint: "choose another name with --name")
            }
            let attach = AttachRequest(
                cgroup: path, environment: request.environment, addresses: request.addresses,
                hostname: request.hostname, name: request.name)
            let report = introduced(
                try self.attach(
                    attach, named: name, cgroup: cgroup, ground: ground, launcher: request.launcher,
                    confined: request.confined))
            return PreparedExec(report: report, cgroup: cgroup)
        } catch {
            host.close(cgroup)
            // Gone already if attaching had begun and was undone; another application's is in use and stays.
            if !ground.applications.contains(where: { $0.cgroupID == cgroup.id }) { _ = removeExecCgroup(path) }
            throw error
        }
    }

    /// Clears up after the program: detaches, and removes the addresses and the cgroup.
    ///
    /// Where the program left processes behind they stay an application, and the first command after their end clears up.
    /// - Returns: warnings.
    public func finish(_ prepared: PreparedExec) throws(AgentError) -> [String] {
        host.close(prepared.cgroup)
        let application = prepared.report.application
        // The kernel removes no cgroup that a process lives in.
        guard removeExecCgroup(application.cgroupPath) else {
            return [
                "\(application.name) left processes or cgroups behind in \(application.cgroupPath); they stay isolated, "
                    + "and the first command after their end clears up"
            ]
        }
        // None, if it was detached by hand meanwhile.
        if let current = try asking({ try dataplane.application(cgroupID: application.cgroupID) }) {
            try takeAway(current)
        }
        var warnings: [String] = []
        if application.hostname != nil { tellNames(warnings: &warnings) }
        return warnings
    }

    /// The cgroup that this instance's `exec` cgroups are made in.
    var execRoot: String { "vne.\(instance)" }

    /// Removes a cgroup that `exec` made, and the one around it with the last of them; says whether it is gone.
    func removeExecCgroup(_ path: String) -> Bool {
        guard path.hasPrefix(execRoot + "/"), host.removeCgroup(path) else { return false }
        // Fails as long as another exec's cgroup is in it.
        _ = host.removeCgroup(execRoot)
        return true
    }

    private func freeName(for command: String, among applications: [AttachedApplication]) -> String {
        let base = Name.suggested(for: command)
        let taken = Set(applications.map(\.name))
        guard taken.contains(base) else { return base }
        let stem = base.utf8.count > 56 ? String(decoding: base.utf8.prefix(56), as: UTF8.self) : base
        var number = 2
        while taken.contains("\(stem)-\(number)") { number += 1 }
        return "\(stem)-\(number)"
    }
}
