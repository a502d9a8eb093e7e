internal import CLinux
internal import Glibc

/// Takes a launcher's signals through a descriptor, so that they can be passed on to its command.
///
/// Held back are all that a process can be sent to tell it something; those that report a fault of the process itself
/// keep their meaning. The mask is the calling thread's.
final class SignalForwarding {
    /// One signal that came.
    struct Arrived: Hashable {
        var number: Int32
        /// SI_KERNEL for one of the terminal.
        var origin: Int32
        /// Who sent it.
        var sender: pid_t
    }

    /// A descriptor that is readable while a signal waits.
    let descriptor: Descriptor
    /// The mask from before.
    private let previousMask: sigset_t

    /// Faults, and what cannot be held back.
    private static let excluded = [
        SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPIPE,
    ]

    /// Blocks the signals for the calling thread.
    init() throws(HostError) {
        // A parent that ignores SIGCHLD would have the kernel reap the command before its status is read.
        _ = signal(SIGCHLD, SIG_DFL)
        var mask = sigset_t()
        unsafe sigfillset(&mask)
        for number in Self.excluded { unsafe sigdelset(&mask, number) }
        var previous = sigset_t()
        let code = unsafe pthread_sigmask(SIG_BLOCK, &mask, &previous)
        guard code == 0 else { throw .system("hold back", "signals", code: code) }
        previousMask = previous
        let number = unsafe signalfd(-1, &mask, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
        guard number >= 0 else {
            let code = errno
            unsafe pthread_sigmask(SIG_SETMASK, &previous, nil)
            throw .system("hold back", "signals", code: code)
        }
        descriptor = Descriptor.adopting(number)
    }

    /// Lets the signals through again. To be called on the thread that made this.
    func restore() {
        var mask = previousMask
        unsafe _ = pthread_sigmask(SIG_SETMASK, &mask, nil)
    }

    /// The signals that wait, none if there is none.
    func pending() -> [Arrived] {
        var arrived: [Arrived] = []
        var information = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        let number = descriptor.number
        while restarting({ unsafe read(number, &information, size) }) == size {
            arrived.append(
                Arrived(
                    number: Int32(information.ssi_signo), origin: information.ssi_code,
                    sender: pid_t(information.ssi_pid)))
        }
        return arrived
    }
}
