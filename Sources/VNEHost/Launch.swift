internal import CLinux
internal import Glibc

/// A command that is to be started in a cgroup.
///
/// The command is in its cgroup before its first instruction (`clone3` with CLONE_INTO_CGROUP, Linux 5.7), so there is
/// no moment, and no socket, that the cgroup's programs do not cover. It stays in the caller's process group and keeps
/// the caller's terminal, inheritable descriptors, working directory and ignored signals; it blocks no signal and handles
/// none.
///
/// It has no parent-death signal: when the launcher is killed, the command goes on in its cgroup, and stays isolated,
/// since what isolates it is pinned and does not end with any process.
public struct Launch: Hashable, Sendable {
    /// The command, looked up in PATH, and its arguments.
    public var arguments: [String]
    /// `NAME=value` strings; nil for the caller's environment.
    public var environment: [String]?
    /// What `gethostname` says to the command, in a UTS namespace of its own; nil for the host's name. At most 64 bytes.
    public var hostname: String?
    /// What is taken from the command.
    public var confinement: Confinement

    /// A launch of a command.
    public init(
        _ arguments: [String], environment: [String]? = nil, hostname: String? = nil,
        confinement: Confinement = Confinement()
    ) {
        self.arguments = arguments
        self.environment = environment
        self.hostname = hostname
        self.confinement = confinement
    }

    /// Starts the command in a cgroup, waits for its end, and passes on every signal meanwhile.
    /// - Parameter cgroup: a file descriptor of the cgroup's directory.
    public func run(in cgroup: Int32) throws(HostError) -> CommandExit {
        let command = try start(in: cgroup)
        return try command.wait()
    }

    /// Starts the command in a cgroup and returns once it runs. An error tells why it does not: nothing is left then.
    ///
    /// From here on the calling thread blocks the signals that are passed on, until ``RunningCommand/wait()`` returns on
    /// the same thread. In a process of several threads the others should block them too.
    /// - Parameter cgroup: a file descriptor of the cgroup's directory.
    public func start(in cgroup: Int32) throws(HostError) -> RunningCommand {
        guard let command = arguments.first, !command.isEmpty else {
            throw HostError(.refused, Self.operation, "''", hint: "There is no command to start.")
        }
        let strings = arguments + (environment ?? []) + (hostname.map { [$0] } ?? [])
        guard !strings.contains(where: { $0.utf8.contains(0) }) else {
            throw HostError(.refused, Self.operation, command, hint: "An argument has a zero byte.")
        }
        if let hostname, hostname.utf8.count > 64 || hostname.isEmpty {
            throw HostError(
                .refused, "set the hostname", hostname, hint: "The kernel takes names of 1 to 64 bytes.")
        }

        let signals = try SignalForwarding()
        do throws(HostError) {
            var ends: [Int32] = [-1, -1]
            guard unsafe vne_pipe(&ends) == 0 else { throw .system(Self.operation, "\(command): no pipe") }
            let report = Descriptor.adopting(ends[0])
            var pidfd: Int32 = -1
            let process = try spawn(
                command, in: cgroup, reporting: Descriptor.adopting(ends[1]), pidfd: &pidfd)
            let running = RunningCommand(process: process, pidfd: Descriptor.adopting(pidfd), signals: signals)
            if let failure = try Self.failure(from: report) {
                running.reap()
                throw Self.error(failure, command, hostname)
            }
            return running
        } catch {
            signals.restore()
            throw error
        }
    }

    private static let operation = "start"

    /// Makes the child. The write end of the pipe is closed here before anyone reads the other.
    private func spawn(
        _ command: String, in cgroup: Int32, reporting: consuming Descriptor, pidfd: inout Int32
    ) throws(HostError) -> pid_t {
        let arguments = CStringArray(arguments)
        let variables = environment.map { CStringArray($0) }
        let name = hostname.map { CStringArray([$0]) }
        var request = unsafe vne_spawn()
        unsafe request.cgroup = cgroup
        unsafe request.report = reporting.number
        unsafe request.hostname = name.flatMap { unsafe $0.pointers[0].map { unsafe UnsafePointer($0) } }
        unsafe request.arguments = unsafe UnsafePointer(arguments.pointers.baseAddress)
        unsafe request.environment = variables.flatMap { unsafe UnsafePointer($0.pointers.baseAddress) }
        unsafe request.dropped_capabilities = confinement.mask
        unsafe request.filter_calls = confinement.filtersCalls ? 1 : 0
        let process = unsafe vne_spawn(&request, &pidfd)
        let code = errno
        withExtendedLifetime((arguments, variables, name)) {}
        guard process > 0 else {
            throw .system(Self.operation, command, code: code, hint: Self.hint(code, hostname: hostname))
        }
        return process
    }

    private static func hint(_ code: Int32, hostname: String?) -> String? {
        switch code {
        case EBUSY:
            "The cgroup hands controllers down to its children (cgroup.subtree_control) and can hold no process."
        case EOPNOTSUPP: "The cgroup is of a type that can hold no process (cgroup.type)."
        case ENODEV, ENOENT: "The cgroup is gone."
        case ENOSYS, E2BIG, EINVAL: "Starting a command in a cgroup needs Linux 5.7."
        case EPERM where hostname != nil: "A hostname of its own needs CAP_SYS_ADMIN: run as root."
        case EPERM, EACCES: "Putting a process into the cgroup needs the right to write its cgroup.procs: run as root."
        default: nil
        }
    }

    /// Waits until the child became the command, which closes the pipe, or says why it could not.
    private static func failure(from report: borrowing Descriptor) throws(HostError) -> vne_spawn_failure? {
        let bytes = try report.contents(of: "the report of the started process")[...]
        guard let step = bytes.number(at: 0, as: UInt32.self), let error = bytes.number(at: 4, as: Int32.self) else {
            return nil
        }
        return vne_spawn_failure(step: step, error: error)
    }

    private static func error(_ failure: vne_spawn_failure, _ command: String, _ hostname: String?) -> HostError {
        switch failure.step {
        case VNE_SPAWN_HOSTNAME.rawValue:
            return .system("set the hostname", hostname ?? "", code: failure.error)
        case VNE_SPAWN_CAPABILITIES.rawValue:
            return .system("take capabilities from", command, code: failure.error, hint: "It needs CAP_SETPCAP.")
        case VNE_SPAWN_FILTER.rawValue:
            return .system(
                "filter the system calls of", command, code: failure.error, hint: "It needs CONFIG_SECCOMP_FILTER.")
        default: break
        }
        let hint: String? =
            switch failure.error {
            case ENOENT where !command.utf8.contains(UInt8(ascii: "/")): "No directory of PATH has it."
            case ENOENT: "It, or the interpreter that its first line names, does not exist."
            case EACCES: "It is no file that may be executed."
            case E2BIG: "The arguments and the environment are too long together."
            default: nil
            }
        return .system("execute", command, code: failure.error, hint: hint)
    }
}

/// How a command ended.
public enum CommandExit: Hashable, Sendable {
    /// It exited with this status, 0 to 255.
    case exited(Int32)
    /// This signal ended it.
    case signaled(Int32)

    /// The status as shells have it: the command's own, or 128 and the signal's number.
    public var status: Int32 {
        switch self {
        case .exited(let status): status
        case .signaled(let signal): 128 + signal
        }
    }
}
