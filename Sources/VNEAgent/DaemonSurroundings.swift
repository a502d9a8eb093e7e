/// What can happen that a daemon answers.
public enum DaemonEvent: Hashable, Sendable {
    /// Something changed in a directory that leads to the policy file.
    case policyFile
    /// Somebody asks for the policy file to be applied again.
    case reload
    /// A cgroup that matters came or went.
    case cgroups
    /// An address of the namespace came or went.
    case addresses
    /// A pin of the instance came or went.
    case pins
    /// Somebody wants to know when an application is attached.
    case asked(application: String, by: String)
    /// The daemon is to end.
    case stop
}

/// What a daemon says of itself to whoever started it.
public enum DaemonState: Hashable, Sendable {
    /// It reads its policy file again.
    case reloading
    /// The policy was applied, and events are answered.
    case ready
    /// It lives: said over and over for the watchdog, and only from where events are answered.
    case alive
    /// It ends; what is enforced stays.
    case stopping
    /// One sentence on how things are.
    case status(String)
}

/// How much a line of a daemon's log matters. Raw values are those of syslog(3).
public enum LogPriority: Int, Hashable, Sendable {
    case error = 3
    case warning = 4
    case notice = 5
    case info = 6
}

/// What a line of a daemon's log is about, for whoever searches the log by it.
public struct LogSubject: Hashable, Sendable {
    /// An application's name.
    public var application: String?
    /// The generation that was published.
    public var generation: UInt32?

    /// A subject; nothing in particular unless said otherwise.
    public init(application: String? = nil, generation: UInt32? = nil) {
        self.application = application
        self.generation = generation
    }
}

/// What a daemon asks of the process that it is. The executable brings the real one, tests their own.
public protocol DaemonSurroundings: AnyObject {
    /// Time since some moment that stays the same.
    var now: Duration { get }

    /// How often the watchdog wants to hear that the daemon lives; nil if there is none.
    var watchdogInterval: Duration? { get }

    /// What the policy file is called, for messages.
    var policySource: String { get }

    /// What this host needs and must not lie in the address space.
    var dependencies: HostDependencies { get }

    /// The policy file's text.
    func readPolicy() throws -> String

    /// Hands over an agent that holds the instance's lock until `body` returns. An instance that is not there is loaded.
    func withAgent<Answer>(_ body: (Agent) throws -> Answer) throws -> Answer

    /// From now on the coming and going of these cgroups is heard, and of what leads to the policy file and to the pins.
    ///
    /// True if something is heard that was not before: it may have changed unheard, so it has to be looked at again.
    func watch(cgroups: Set<String>) throws -> Bool

    /// Waits until something happens, or this time has come.
    func wait(until time: Duration) throws -> Set<DaemonEvent>

    /// Tells who asked for an application that it is attached, or why it is not.
    func answer(_ problem: String?, to asker: String)

    /// Says how the daemon is.
    func tell(_ state: DaemonState)

    /// Writes a line to the log.
    func log(_ priority: LogPriority, _ message: String, about subject: LogSubject)
}

extension DaemonSurroundings {
    /// Writes a line to the log that is about nothing in particular.
    public func log(_ priority: LogPriority, _ message: String) { log(priority, message, about: LogSubject()) }
}
