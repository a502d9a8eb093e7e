internal import Glibc

/// What the host refused, and what to do about it.
public struct HostError: Error, Hashable, Sendable {
    /// What callers branch on.
    public enum Kind: Hashable, Sendable {
        /// A system call failed.
        case failed
        /// What was named does not exist.
        case missing
        /// What was asked for is against the rules of this module: the root cgroup, a path that leads out of the tree.
        case refused
        /// This kernel cannot do it.
        case unsupported
    }

    /// What kind of failure it is.
    public var kind: Kind
    /// What was tried, as it follows "cannot": `open the cgroup`.
    public var operation: String
    /// The path, address or process that it was tried on.
    public var subject: String
    /// The `errno` of the system call; 0 where none failed.
    public var code: Int32
    /// A sentence on the cause or the cure.
    public var hint: String?

    /// An error from its parts.
    public init(_ kind: Kind, _ operation: String, _ subject: String, code: Int32 = 0, hint: String? = nil) {
        self.kind = kind
        self.operation = operation
        self.subject = subject
        self.code = code
        self.hint = hint
    }

    /// A system call that failed; ENOENT is ``Kind/missing``.
    static func system(_ operation: String, _ subject: String, code: Int32 = errno, hint: String? = nil) -> Self {
        Self(code == ENOENT ? .missing : .failed, operation, subject, code: code, hint: hint)
    }

    /// Something that this kernel was not built with or is too old for.
    static func unsupported(_ operation: String, _ subject: String, code: Int32 = 0, hint: String) -> Self {
        Self(.unsupported, operation, subject, code: code, hint: hint)
    }
}

extension HostError: CustomStringConvertible {
    /// One line: `cannot open the cgroup a/b: No such file or directory. It must exist …`.
    public var description: String {
        var text = "cannot \(operation)"
        if !subject.isEmpty { text += " \(subject)" }
        if code != 0 { text += ": \(unsafe String(cString: strerror(code)))" }
        if let hint { text += code == 0 ? ": \(hint)" : ". \(hint)" }
        return text
    }
}
