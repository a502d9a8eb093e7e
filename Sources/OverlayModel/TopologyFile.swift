public import PolicyModel

/// The topology file: YAML text, which becomes a ``Topology`` or the list of all that is wrong with it.
///
/// `docs/OVERLAY.md` describes every key. What this version does not build is an error, never ignored.
public enum TopologyFile {
    /// Reads and checks a topology from the bytes of its file, which should be UTF-8: what is not is an error with its
    /// place.
    /// - Parameter source: the file's name, for messages.
    public static func parse(bytes: [UInt8], source: String) throws(DocumentErrors) -> Topology {
        try TopologyReader.parse(bytes, kind: "topology file", source: source) { $0.topology($1, source: source) }
    }

    /// The same from a text.
    public static func parse(_ text: String, source: String) throws(DocumentErrors) -> Topology {
        try parse(bytes: Array(text.utf8), source: source)
    }
}
