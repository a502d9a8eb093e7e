/// The policy file: YAML text, which becomes a ``Policy`` or the list of all that is wrong with it.
///
/// `docs/POLICY.md` describes every key. What this version does not build is an error, never ignored.
public enum PolicyFile {
    /// Reads and checks a policy.
    /// - Parameters:
    ///   - text: The file's text.
    ///   - source: The file's name, for messages.
    public static func parse(_ text: String, source: String) throws(DocumentErrors) -> Policy {
        try parse(bytes: Array(text.utf8), source: source)
    }

    /// Reads and checks a policy from the bytes of its file, which should be UTF-8: what is not is an error with its
    /// place.
    public static func parse(bytes: [UInt8], source: String) throws(DocumentErrors) -> Policy {
        try PolicyReader.parse(bytes, kind: "policy file", source: source) { $0.policy($1, source: source) }
    }
}
