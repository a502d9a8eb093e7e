internal import CLinux
internal import Glibc

/// Tells the service manager that started this process how it is, as sd_notify(3) does.
public struct ServiceManager: Sendable {
    /// Where it listens; nil if nobody asked to be told.
    private let socket: String?
    /// How often it wants to hear `WATCHDOG=1`; nil if it has no watchdog on this process.
    public let watchdogInterval: Duration?

    /// From the environment that the service manager gave: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
    init(environment: [String: String], process: Int32) {
        socket = environment["NOTIFY_SOCKET"]
        let isOurs = environment["WATCHDOG_PID"].map { $0 == "\(process)" } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap { Int64($0) } ?? 0
        watchdogInterval = isOurs && microseconds > 0 ? .microseconds(microseconds) : nil
    }

    /// From this process's own environment.
    public static var own: ServiceManager {
        var environment: [String: String] = [:]
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            if let value = unsafe getenv(name) { environment[name] = unsafe String(cString: value) }
        }
        return ServiceManager(environment: environment, process: getpid())
    }

    /// Sends assignments, as `READY=1`, in one datagram; nothing where nobody asked to be told.
    ///
    /// A line break in a value would begin another assignment: it is sent as a blank.
    public func notify(_ assignments: String...) throws(HostError) {
        guard let socket else { return }
        let text = assignments.map { $0.replacing("\n", with: " ") }.joined(separator: "\n")
        let sender = try LocalDatagramSocket()
        try sender.send(Array(text.utf8), to: socket)
    }

    /// The clock that `RELOADING=1` goes with: microseconds of CLOCK_MONOTONIC.
    public static var monotonicMicroseconds: Int64 {
        let now = HostEvents.now.components
        return now.seconds * 1_000_000 + now.attoseconds / 1_000_000_000_000
    }

    /// Whether the standard error goes to the journal: JOURNAL_STREAM names its device and inode then.
    public static var logsToJournal: Bool {
        guard let stream = unsafe getenv("JOURNAL_STREAM") else { return false }
        return leadsToJournal(STDERR_FILENO, stream: unsafe String(cString: stream))
    }

    /// Whether a descriptor is the stream that `DEVICE:INODE` names.
    static func leadsToJournal(_ descriptor: Int32, stream: String) -> Bool {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return false }
        return stream == "\(status.st_dev):\(status.st_ino)"
    }
}
