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
            let gone = old.split(separator: "\n").map(String.init).filter { !lines.contains($0) }
            try await Self(lines: gone).undo(namespace: namespace)
        }
        guard !lines.isEmpty else { return }
        // What is done in part is to be undone as well.
        if let told { try NodeFiles.write(lines.joined(separator: "\n") + "\n", to: told) }
        try await Program(["ip"] + own + ["-batch", "-"]).run(input: lines.joined(separator: "\n") + "\n")
    }

    /// Takes addresses and routes away that it put there; a setting of a link stays, and what went with its device is gone.
    func undo(namespace: String?) async throws(ManagerError) {
        for line in lines {
            let words = line.split(separator: " ").map(String.init)
            guard words.count > 1, words[1] == "replace" else { continue }
            let own = namespace.map { ["-n", $0] } ?? []
            _ = try await Program(["ip"] + own + [words[0], "delete"] + words.dropFirst(2)).finish()
        }
    }
}
