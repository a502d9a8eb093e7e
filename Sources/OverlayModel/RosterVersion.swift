/// Which of two rosters of a network counts: the one of the later term, and of one term the one of the higher revision.
///
/// A term begins when another manager takes over issuing, so that what the one before still issued, where nobody heard of
/// that, does not count.
public struct RosterVersion: Codable, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// From 1; 0 before the first roster.
    public var term: UInt64
    /// Grows from each roster to the next, over all terms.
    public var revision: UInt64

    /// A version.
    public init(term: UInt64 = 0, revision: UInt64 = 0) {
        self.term = term
        self.revision = revision
    }

    /// A version from ``description``; nil if it is none.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let term = UInt64(parts[0]), let revision = UInt64(parts[1]) else { return nil }
        self.init(term: term, revision: revision)
        guard description == text else { return nil }
    }

    /// As `2.17`.
    public var description: String { "\(term).\(revision)" }

    /// The older one first.
    public static func < (one: RosterVersion, other: RosterVersion) -> Bool {
        (one.term, one.revision) < (other.term, other.revision)
    }
}
