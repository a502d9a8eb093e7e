public import PolicyModel

/// The file of the nodes' public keys: YAML, a key by the name of its node.
public enum PublicKeysFile {
    /// Reads the keys of a topology's nodes.
    /// - Parameters:
    ///   - bytes: the file, which should be UTF-8.
    ///   - source: the file's name, for messages.
    ///   - topology: whose nodes they are.
    public static func parse(
        bytes: [UInt8], source: String, of topology: Topology
    ) throws(DocumentErrors) -> [String: WireGuardKey] {
        try PublicKeysReader.parse(bytes, kind: "file of public keys", source: source) { $0.keys($1, of: topology) }
    }
}

private struct PublicKeysReader: DocumentReader {
    var errors: [DocumentError] = []
    var nearest = NearestWord()

    static let unbuiltKeys: [String] = []

    mutating func keys(_ root: YAMLNode?, of topology: Topology) -> [String: WireGuardKey] {
        let what = "public keys by the name of a node"
        guard let root else {
            if errors.isEmpty { report(YAMLMark(line: 1, column: 1), "expected \(what); found nothing") }
            return [:]
        }
        let names = topology.nodes.map(\.name)
        var keys: [String: WireGuardKey] = [:]
        var lines: [WireGuardKey: Int] = [:]
        for (name, value) in entries(root, expected: what) ?? [] {
            guard names.contains(name.value) else {
                report(
                    name.mark, "the topology has no node \(name.value.quoted)",
                    suggestion: nearest.find(name.value, in: names))
                continue
            }
            let what = "a public key of WireGuard: 44 characters, as “wg pubkey” prints them"
            guard let text = text(value, expected: what) else { continue }
            guard let key = WireGuardKey(text) else {
                expected(what, at: value)
                continue
            }
            if let line = lines[key] {
                report(value.mark, "the key of \(name.value.quoted) is the one of line \(line)")
            }
            lines[key] = value.mark.line
            keys[name.value] = key
        }
        return keys
    }
}
