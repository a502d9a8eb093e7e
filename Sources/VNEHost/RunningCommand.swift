internal import CLinux
internal import Glibc

/// A command that ``Launch`` started, and that its starter has to wait for.
public final class RunningCommand {
    /// The command's process id.
    public var process: UInt32 { UInt32(child) }

    private let child: pid_t
    private let pidfd: Descriptor
    private let signals: SignalForwarding

    init(process: pid_t, pidfd: consuming Descriptor, signals: SignalForwarding) {
        child = process
        self.pidfd = pidfd
        self.signals = signals
    }

    /// Waits for the command's end and passes on the signals that this process gets meanwhile.
    ///
    /// A signal of the terminal (^C, ^\, a new window size) has reached the command already, as it is in the same process
    /// group; neither that nor one that the command itself sent is passed on. When the command stops on a terminal this
    /// process stops too, so that the shell sees the job stopped, and `fg` continues both.
    public func wait() throws(HostError) -> CommandExit {
        defer { signals.restore() }
        while true {
            for signal in signals.pending() where signal.number != SIGCHLD {
                if shouldForward(signal) { _ = kill(child, signal.number) }
            }
            // Signals first: a SIGCONT must reach a command that is stopped before that is looked at.
            if let exit = try status() { return exit }
            var watched = [
                pollfd(fd: pidfd.number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals.descriptor.number, events: Int16(POLLIN), revents: 0),
            ]
            let ready = restarting { unsafe poll(&watched, nfds_t(watched.count), -1) }
            guard ready >= 0 else { throw .system("wait for", "the command, process \(child)") }
        }
    }

    /// Reaps a child that never became the command.
    func reap() {
        var status: Int32 = 0
        let child = child
        _ = restarting { unsafe waitpid(child, &status, 0) }
    }

    private func shouldForward(_ signal: SignalForwarding.Arrived) -> Bool {
        guard signal.sender != child else { return false }
        let isTerminals = signal.origin == siKernel
        return !isTerminals || getpgid(child) != getpgrp()
    }

    /// How the command ended; nil if it has not. Stops this process with a command that stopped on a terminal.
    private func status() throws(HostError) -> CommandExit? {
        while true {
            var status: Int32 = 0
            let child = child
            let found = restarting { unsafe waitpid(child, &status, WNOHANG | WUNTRACED) }
            guard found >= 0 else { throw .system("wait for", "the command, process \(child)") }
            guard found != 0 else { return nil }
            // wait(2): the lower seven bits are the signal, 0x7f for a stop; the second byte is the status.
            switch status & 0x7f {
            case 0: return .exited(status >> 8 & 0xff)
            case 0x7f: stop()
            case let signal: return .signaled(signal)
            }
        }
    }

    /// Without a terminal there is no shell that would continue this process again: then it goes on waiting.
    private func stop() {
        let terminal = unsafe open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)
        guard terminal >= 0 else { return }
        _ = close(terminal)
        _ = raise(SIGSTOP)
        _ = kill(child, SIGCONT)
    }

    /// SI_KERNEL of asm-generic/siginfo.h: the origin of signals that a terminal sends.
    private var siKernel: Int32 { 0x80 }
}
