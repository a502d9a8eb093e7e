import Glibc
public import VNEAgent
public import VNEBPF
public import VNEHost

extension BPFError: ReportedError {
    /// The error with the exit status that names it; the verifier's log as details.
    public var report: AgentError {
        let details = log.map { $0.split(separator: "\n").map(String.init) } ?? []
        return AgentError(status, description, hint: hint, details: details)
    }

    private var status: ExitStatus {
        switch self {
        case .addressHeld, .nameTaken, .alreadyAttached, .denialsBusy, .notAnInstance, .foreignNamespace: .conflict
        case .notAttached: .notFound
        case .rootCgroup: .refused
        case .invalidName: .usage
        case .policy: .policyFile
        case .incompatible: .unsupported
        case .failed(_, let code, _): code == EPERM || code == ENOSYS || code == EOPNOTSUPP ? .unsupported : .failure
        default: .failure
        }
    }
}

extension HostError: ReportedError {
    /// The error with the exit status that names it.
    public var report: AgentError {
        var short = self
        short.hint = nil
        // Without an errno the hint is what happened.
        return code == 0 ? AgentError(status, description) : AgentError(status, short.description, hint: hint)
    }

    private var status: ExitStatus {
        switch kind {
        case .missing: .notFound
        case .refused: .refused
        case .unsupported: .unsupported
        case .failed: code == EPERM ? .unsupported : .failure
        }
    }
}
