import FoundationEssentials
import Glibc
import VNEAgent

/// What is written where.
enum Console {
    /// Writes a line to the standard output.
    static func show(_ text: some CustomStringConvertible) {
        print(text)
    }

    /// Writes a value as JSON: keys sorted, so that two runs compare.
    static func show(json value: some Encodable) throws {
        print(try encode(value, [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]))
    }

    /// Writes a value as one line of JSON, for streams.
    static func show(jsonLine value: some Encodable) throws {
        print(try encode(value, [.sortedKeys, .withoutEscapingSlashes]))
    }

    private static func encode(_ value: some Encodable, _ formatting: JSONEncoder.OutputFormatting) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = formatting
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// Has what was written leave, also where it goes into a pipe.
    static func flush() {
        fflush(nil)
    }

    /// Writes a line to the standard error, after what was shown before it.
    static func error(_ text: String) {
        flush()
        var rest = Array((text + "\n").utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Writes an error: its details, what happened, what to do about it.
    static func report(_ error: AgentError) {
        error.details.forEach { Self.error($0) }
        Self.error("vne-agent: \(error.message)")
        if let hint = error.hint { Self.error("  \(hint)") }
    }

    /// Writes what was repaired on the way, and what the user should know.
    static func report(repairs: [Repair], warnings: [String]) {
        for repair in repairs { error("vne-agent: \(repair)") }
        for warning in warnings { error("vne-agent: warning: \(warning)") }
    }
}
