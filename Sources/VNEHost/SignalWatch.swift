internal import CLinux
internal import Glibc

/// Takes some signals of this process through a descriptor. They stay blocked for as long as the process lives.
final class SignalWatch {
    /// A descriptor that is readable while a signal waits.
    let descriptor: Descriptor

    /// Blocks the signals for the calling thread, which has to be the only one.
    init(_ signals: [Int32]) throws(HostError) {
        var mask = sigset_t()
        unsafe sigemptyset(&mask)
        for number in signals { unsafe sigaddset(&mask, number) }
        let code = unsafe pthread_sigmask(SIG_BLOCK, &mask, nil)
        guard code == 0 else { throw .system("hold back", "signals", code: code) }
        let number = unsafe signalfd(-1, &mask, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
        guard number >= 0 else { throw .system("hold back", "signals") }
        descriptor = Descriptor.adopting(number)
    }

    /// The signals that wait; each once.
    func pending() -> Set<Int32> {
        var arrived: Set<Int32> = []
        var information = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        let number = descriptor.number
        while restarting({ unsafe read(number, &information, size) }) == size {
            arrived.insert(Int32(information.ssi_signo))
        }
        return arrived
    }
}
