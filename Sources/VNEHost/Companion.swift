internal import CLinux
internal import Glibc

/// A second process of this program, which goes on whatever becomes of the first and of its terminal.
///
/// The two are joined by a pipe: the companion reads a byte that means yes, or the end that means that nobody is left who
/// could say it.
public final class Companion {
    /// What ended the wait of the one that has the terminal.
    public enum Outcome: Hashable, Sendable {
        /// The companion ended, with this status.
        case ended(Int32)
        /// This process was told to end.
        case interrupted
    }

    private let process: pid_t
    private let pidfd: Descriptor
    private let signals: SignalWatch
    /// The pipe's end, until nobody is to say anything any more.
    private var pipe: Descriptor?

    /// Starts this program once more, with these arguments after its name and no environment.
    public init(arguments: [String]) throws(HostError) {
        // Before the start: what comes after it is heard.
        signals = try SignalWatch([SIGINT, SIGTERM, SIGHUP])
        _ = signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [-1, -1]
        guard unsafe vne_pipe(&ends) == 0 else { throw .system(Self.operation, "the roll-back") }
        let reading = Descriptor.adopting(ends[0])
        pipe = Descriptor.adopting(ends[1])
        process = try Self.start(["vne-agent"] + arguments, reading: reading)
        let number = vne_pidfd_open(process)
        guard number >= 0 else { throw .system(Self.operation, "the roll-back") }
        pidfd = Descriptor.adopting(number)
    }

    /// Passes a line on the terminal on as yes, until the companion ends or a signal comes.
    public func wait() throws(HostError) -> Outcome {
        var listens = isatty(STDIN_FILENO) == 1
        while true {
            var watched = [
                pollfd(fd: pidfd.number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals.descriptor.number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: listens ? STDIN_FILENO : -1, events: Int16(POLLIN), revents: 0),
            ]
            let ready = restarting { unsafe poll(&watched, nfds_t(watched.count), -1) }
            guard ready >= 0 else { throw .system("wait for", "the roll-back") }
            if watched[0].revents != 0 { return .ended(status()) }
            if watched[1].revents != 0, !signals.pending().isEmpty { return .interrupted }
            if watched[2].revents != 0 {
                listens = false
                var buffer = [UInt8](repeating: 0, count: 256)
                guard unsafe read(STDIN_FILENO, &buffer, buffer.count) > 0 else { return .interrupted }
                say("y")
            }
        }
    }

    /// Lets the companion know that nobody will say yes.
    public func hangUp() {
        pipe = nil
    }

    private func say(_ word: String) {
        switch pipe {
        case .some(let pipe): unsafe _ = write(pipe.number, word, word.utf8.count)
        case nil: break
        }
    }

    private static let operation = "start a process of its own for"

    /// Starts this program with arguments and no environment; it reads from `reading`.
    private static func start(_ arguments: [String], reading: borrowing Descriptor) throws(HostError) -> pid_t {
        let (strings, variables) = (CStringArray(arguments), CStringArray([]))
        defer { withExtendedLifetime((strings, variables)) {} }
        var process: pid_t = 0
        var code = EINVAL
        if let arguments = unsafe strings.pointers.baseAddress, let variables = unsafe variables.pointers.baseAddress {
            var actions = unsafe posix_spawn_file_actions_t()
            unsafe posix_spawn_file_actions_init(&actions)
            unsafe posix_spawn_file_actions_adddup2(&actions, reading.number, STDIN_FILENO)
            code = unsafe posix_spawn(&process, "/proc/self/exe", &actions, nil, arguments, variables)
            unsafe posix_spawn_file_actions_destroy(&actions)
        }
        guard code == 0 else { throw .system(operation, "the roll-back", code: code) }
        return process
    }

    private func status() -> Int32 {
        var status: Int32 = 0
        let process = process
        _ = restarting { unsafe waitpid(process, &status, 0) }
        return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + (status & 0x7f)
    }
}
