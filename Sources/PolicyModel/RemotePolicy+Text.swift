extension RemotePolicy {
    /// The value of `in`, `out` or `remote` as lines of a policy file.
    /// - Parameters:
    ///   - key: what stands before it.
    ///   - indentation: spaces before the key.
    ///   - remark: a comment behind an entry of what is allowed.
    func lines(
        key: String, indentation: Int, remark: (RemoteRule) -> String? = { _ in nil }
    ) -> [String] {
        let margin = String(repeating: " ", count: indentation)
        let allowed = rules.filter(\.allows)
        let denied = rules.filter { !$0.allows }
        guard !rules.isEmpty, !allowed.isEmpty || otherwise else {
            return ["\(margin)\(key): \(otherwise ? "allow" : "deny")"]
        }
        var lines = ["\(margin)\(key):"]
        if !allowed.isEmpty {
            lines.append("\(margin)  allow:")
            // A list of what is allowed denies the rest: what is allowed without one has to be said.
            if otherwise { lines += ["\(margin)    - 0.0.0.0/0", "\(margin)    - \"::/0\""] }
            lines += allowed.map { rule in
                "\(margin)    - \(rule.entry)" + (remark(rule).map { "  # \($0)" } ?? "")
            }
        }
        if !denied.isEmpty { lines += ["\(margin)  deny:"] + denied.map { "\(margin)    - \($0.entry)" } }
        return lines
    }
}

extension RemoteRule {
    /// `192.0.2.9 tcp/443`; in quotes where YAML may take it for something else.
    fileprivate var entry: String {
        let isWhole = ports.contains { $0.transport == nil }
        let text = isWhole ? "\(prefix)" : "\(prefix) \(ports.map(\.description).joined(separator: " "))"
        return prefix.family == .ipv6 ? "\"\(text)\"" : text
    }
}
