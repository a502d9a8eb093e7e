import Glibc
import OverlayKeys
import Synchronization

/// Where a passphrase comes from: a terminal, a file, or the standard input. Never an argument, which everybody can read.
struct PassphraseSource {
    /// nil for the terminal, `-` for the standard input.
    let file: String?
    /// What the passphrase opens, for the prompt.
    let subject: String

    /// The passphrase of something that is sealed.
    func known() throws -> Passphrase { try passphrase(prompt: "Passphrase of \(subject): ") }

    /// A passphrase to seal something with: good enough, and typed twice.
    func chosen() throws -> Passphrase {
        let chosen = try passphrase(prompt: "New passphrase of \(subject): ")
        try Failure.explaining(subject) { () throws(KeysError) in try chosen.requireQuality() }
        guard try file != nil || passphrase(prompt: "Again: ") == chosen else {
            throw Failure.failed("the two passphrases differ")
        }
        return chosen
    }

    private func passphrase(prompt: String) throws -> Passphrase {
        // What crashes from here on leaves no copy of its memory.
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        let bytes = try file.map { try Self.line(of: $0) } ?? Terminal().ask(prompt)
        return try Failure.explaining(subject) { () throws(KeysError) in try Passphrase(bytes) }
    }

    /// The one line of a file.
    private static func line(of file: String) throws -> [UInt8] {
        guard file != "-" || isatty(STDIN_FILENO) == 0 else {
            throw Failure.failed("the standard input is a terminal, which would show it: leave --passphrase-file out")
        }
        let source =
            file == "-"
            ? OpenFile(path: "the standard input", descriptor: STDIN_FILENO) : try OpenFile(path: file)
        var status = stat()
        guard unsafe fstat(source.descriptor, &status) == 0,
            status.st_mode & S_IFMT != S_IFREG || status.st_mode & 0o077 == 0
        else { throw Failure.failed("\(source.path) has a passphrase and others may read it: chmod 600 \(file)") }
        var line = try source.read(atMost: Passphrase.maximumBytes + 2)
        if line.last == UInt8(ascii: "\n") { line.removeLast() }
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        return line
    }
}

/// The terminal that the process belongs to, whatever its standard input is.
struct Terminal {
    private static let path = "/dev/tty"
    private static let interrupting = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP]
    /// Where a signal that comes meanwhile is written to.
    private static let alarm = Atomic<Int32>(-1)

    /// What somebody did who was asked.
    private enum Answer {
        case line([UInt8])
        case signal(Int32)
        /// The terminal went away, or its end of file was typed.
        case none
    }

    /// Asks for a line that is not shown. A signal that would end or stop the process does so once the terminal shows
    /// again what is typed.
    func ask(_ prompt: String) throws -> [UInt8] {
        let descriptor = unsafe open(Self.path, O_RDWR | O_CLOEXEC | O_NOCTTY)
        var settings = termios()
        guard descriptor >= 0, unsafe tcgetattr(descriptor, &settings) == 0 else {
            throw Failure.failed("there is no terminal to ask for a passphrase: name a file, --passphrase-file")
        }
        defer { close(descriptor) }
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw Failure.failed("cannot make a pipe: \(SystemError.text)") }
        defer { for end in ends { close(end) } }
        Self.alarm.store(ends[1], ordering: .relaxed)
        let before = Self.interrupting.map { Self.handle($0) }
        var silent = settings
        silent.c_lflag &= ~tcflag_t(ECHO)
        unsafe _ = tcsetattr(descriptor, TCSAFLUSH, &silent)
        Self.write(prompt, to: descriptor)
        let answer = Self.answer(from: descriptor, alarm: ends[0])
        unsafe _ = tcsetattr(descriptor, TCSAFLUSH, &settings)
        Self.write("\n", to: descriptor)
        for (signal, var action) in zip(Self.interrupting, before) { unsafe sigaction(signal, &action, nil) }
        if case .line(let line) = answer { return line }
        if case .signal(let signal) = answer { raise(signal) }
        throw Failure.failed("no passphrase was given")
    }

    /// Lets a signal wake who waits, and returns what it did before.
    private static func handle(_ signal: Int32) -> sigaction {
        var action = sigaction()
        var before = sigaction()
        unsafe action.__sigaction_handler.sa_handler = { signal in
            var byte = UInt8(truncatingIfNeeded: signal)
            unsafe _ = Glibc.write(Terminal.alarm.load(ordering: .relaxed), &byte, 1)
        }
        unsafe sigaction(signal, &action, &before)
        return before
    }

    private static func answer(from terminal: Int32, alarm: Int32) -> Answer {
        var line: [UInt8] = []
        while line.count <= Passphrase.maximumBytes {
            var waiting = [terminal, alarm].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard unsafe poll(&waiting, 2, -1) > 0 else { continue }
            var byte: UInt8 = 0
            if waiting[1].revents != 0 {
                return unsafe read(alarm, &byte, 1) == 1 ? .signal(Int32(byte)) : .none
            }
            guard unsafe read(terminal, &byte, 1) == 1 else { return .none }
            // Without its line feed.
            if byte == UInt8(ascii: "\n") { return .line(line) }
            line.append(byte)
        }
        return .line(line)
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in _ = unsafe Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
    }
}
