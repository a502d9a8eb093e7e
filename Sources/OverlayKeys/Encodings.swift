// The one file that uses Foundation, for what it has as text: base64 and dates. No clock is asked.
import FoundationEssentials

/// Bytes as text: RFC 4648, section 4, with padding.
enum Base64 {
    static func text(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }

    /// nil for what ``text(_:)`` does not write.
    static func bytes(_ text: String) -> [UInt8]? {
        guard let data = Data(base64Encoded: text) else { return nil }
        let bytes = Array(data)
        return self.text(bytes) == text ? bytes : nil
    }
}

/// A second of Coordinated Universal Time.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Since 1970, without leap seconds.
    public var seconds: Int64

    /// A time from its seconds since 1970.
    public init(seconds: Int64) {
        self.seconds = seconds
    }

    /// A time from its text; nil for what ``description`` does not write.
    public init?(_ text: String) {
        guard let date = try? Date(text, strategy: .iso8601) else { return nil }
        self.init(seconds: Int64(date.timeIntervalSince1970))
        guard description == text else { return nil }
    }

    /// The earlier one first.
    public static func < (one: Timestamp, other: Timestamp) -> Bool { one.seconds < other.seconds }
}

extension Timestamp: CustomStringConvertible {
    /// ISO 8601, as 2026-01-31T12:00:00Z.
    public var description: String { Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601) }
}
