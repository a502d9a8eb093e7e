/// Why an operation of the agent did not go through.
public struct AgentError: Error, Hashable, Sendable {
    /// What kind of failure it is, as the exit status that names it.
    public var status: ExitStatus
    /// One sentence without a full stop.
    public var message: String
    /// What the user can do about it.
    public var hint: String?
    /// Lines that belong before the message, such as each error of a policy file.
    public var details: [String]
    /// Whether it passes once somebody else lets go, so that the same may be tried again.
    public var mayPass: Bool

    /// An error from its parts.
    public init(
        _ status: ExitStatus, _ message: String, hint: String? = nil, details: [String] = [], mayPass: Bool = false
    ) {
        self.status = status
        self.message = message
        self.hint = hint
        self.details = details
        self.mayPass = mayPass
    }

    /// Any error as one of the agent's: itself, what it reports, or a plain failure with its description.
    public init(_ error: any Error) {
        switch error {
        case let error as AgentError: self = error
        case let error as any ReportedError: self = error.report
        default: self.init(.failure, "\(error)")
        }
    }
}

extension AgentError: CustomStringConvertible {
    /// The message alone.
    public var description: String { message }
}

/// An error of another module that knows how it wants to be told to the user.
///
/// The agent knows neither the BPF side nor the host's errors; the executable, which knows both, conforms them.
public protocol ReportedError: Error {
    /// The error in the agent's terms.
    var report: AgentError { get }
}
