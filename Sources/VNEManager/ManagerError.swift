/// Why something of a network could not be done on this node, in a sentence that says what to do where that is known.
public struct ManagerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What callers branch on.
    public enum Kind: Hashable, Sendable {
        /// It was tried, and failed.
        case failed
        /// What was named is not there.
        case missing
        /// A file has errors, which the description lists.
        case invalid
    }

    /// What kind of failure it is.
    public var kind: Kind
    /// A sentence without a full stop, or the errors of a file, one a line.
    public var description: String

    /// An error from its parts.
    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}
