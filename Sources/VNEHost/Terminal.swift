internal import CLinux
internal import Glibc

/// The terminal of a command that fills the screen: it is as it was before when this value goes.
public final class Terminal {
    private let before: termios

    /// Whether the standard input and output are a terminal.
    public static var isThere: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 }

    /// Takes the other screen, hides the cursor, and has keys come one by one and unseen. Ctrl-C still is a signal.
    public init() throws(HostError) {
        var settings = termios()
        guard unsafe tcgetattr(STDIN_FILENO, &settings) == 0 else { throw .system("use", "the terminal") }
        before = settings
        settings.c_lflag &= ~tcflag_t(ICANON | ECHO)
        guard unsafe tcsetattr(STDIN_FILENO, TCSANOW, &settings) == 0 else { throw .system("use", "the terminal") }
        write("\u{1b}[?1049h\u{1b}[?25l")
    }

    deinit {
        write("\u{1b}[?25h\u{1b}[?1049l")
        var settings = before
        unsafe _ = tcsetattr(STDIN_FILENO, TCSANOW, &settings)
    }

    /// What ``CommandEvents`` waits for.
    public var input: Int32 { STDIN_FILENO }

    /// The key that was pressed, as its first byte; nil at the end of the input.
    public func key() -> UInt8? {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = restarting {
            unsafe bytes.withUnsafeMutableBytes { unsafe read(STDIN_FILENO, $0.baseAddress, $0.count) }
        }
        return count > 0 ? bytes[0] : nil
    }

    /// Columns and rows; 80 and 24 where the terminal does not say.
    public var size: (columns: Int, rows: Int) {
        var size = winsize()
        let result = unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size)
        guard result == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Shows lines, each cut at the edge; those that find no room are left out.
    public func show(_ lines: [String]) {
        let (columns, rows) = size
        let shown = lines.prefix(rows).map { "\($0.prefix(columns))\u{1b}[K" }
        write("\u{1b}[H" + shown.joined(separator: "\n") + "\u{1b}[J")
    }

    private func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = restarting {
                unsafe rest.withUnsafeBytes { unsafe Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
