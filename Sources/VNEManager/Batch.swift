/// What `ip -batch` is to do, a line each.
struct Batch {
    let lines: [String]

    init(_ text: String) {
        lines = text.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") }
    }

    private init(lines: [String]) {
        self.lines = lines
    }

    /// The lines that keep a namespace closed, which need nothing else to be there.
    var closed: Batch { Batch(lines: lines.filter { $0.hasPrefix("route replace unreachable") }) }

    /// Does it in a namespace; nil for the caller's.
    /// - Parameter told: the file of what was done there last; what is no more in it is undone first.
    func apply(namespace: String?, told: String? = nil) async throws(ManagerError) {
        let own = namespace.map { ["-n", $0] } ?? []
        if let told, let old = try NodeFiles.text(told) {
            for line in old.split(separator: "\n").map(String.init) where !lines.contains(line) {
                // It may have gone with its device.
                _ = try await Program(["ip"] + own + Self.undoing(line)).finish()
            }
        }
        guard !lines.isEmpty else { return }
        try await Program(["ip"] + own + ["-batch", "-"]).run(input: lines.joined(separator: "\n") + "\n")
        if let told { try NodeFiles.write(lines.joined(separator: "\n") + "\n", to: told) }
    }

    /// The arguments that undo a line: an address or a route is deleted, and a setting of a link stays.
    static func undoing(_ line: String) -> [String] {
        let words = line.split(separator: " ").map(String.init)
        guard words.count > 1, words[1] == "replace" else { return ["link", "show", "lo"] }
        return [words[0], "delete"] + words.dropFirst(2)
    }
}
