/// One thing that is wrong with a policy or topology file.
public struct DocumentError: Error, Hashable, Sendable {
    /// From 1.
    public var line: Int
    /// In characters, from 1.
    public var column: Int
    /// What was expected and what was found, without a full stop.
    public var message: String
    /// The nearest thing that would be right, if something is near.
    public var suggestion: String?

    /// An error from its parts.
    public init(line: Int, column: Int, message: String, suggestion: String? = nil) {
        self.line = line
        self.column = column
        self.message = message
        self.suggestion = suggestion
    }

    package init(at mark: YAMLMark, _ message: String, suggestion: String? = nil) {
        self.init(line: mark.line, column: mark.column, message: message, suggestion: suggestion)
    }
}

extension DocumentError: CustomStringConvertible {
    /// `12:9: message; did you mean “x”?`
    public var description: String {
        "\(line):\(column): \(message)" + (suggestion.map { "; did you mean \($0.quoted)?" } ?? "")
    }
}

/// All that is wrong with a policy or topology file.
public struct DocumentErrors: Error, Hashable, Sendable {
    /// The file's name as it was given.
    public var source: String
    /// In the order of the file; never empty.
    public var errors: [DocumentError]

    /// Errors of a file.
    public init(source: String, errors: [DocumentError]) {
        self.source = source
        self.errors = errors
    }
}

extension DocumentErrors: CustomStringConvertible {
    /// One error a line, as compilers write them: `policy.yaml:12:9: message; did you mean “x”?`
    public var description: String {
        errors.map { "\(source):\($0)" }.joined(separator: "\n")
    }
}
