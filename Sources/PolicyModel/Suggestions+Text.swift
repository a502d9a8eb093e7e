extension Suggestions {
    /// The suggestions as a part of a policy file, with what is to be said of them in comments.
    /// - Parameter notes: further sentences for the beginning, a comment line each.
    public func yaml(notes: [String] = []) -> String {
        var lines: [String] = []
        if environments.isEmpty {
            lines.append("# Nothing to add to the policy.")
        } else {
            lines += [
                "# Permits are added to those that an environment has. Every other key takes the place of its present one."
            ]
        }
        if allowedNow > 0 { lines.append("# \(Self.count(allowedNow)) of what the policy allows by now.") }
        if enforced > 0 { lines.append("# \(Self.count(enforced)) left out, as they were enforced: see --enforced.") }
        lines += notes.map { "# \(Self.comment($0))" }
        if !environments.isEmpty {
            lines.append("environments:")
            for environment in environments { lines += Self.lines(of: environment) }
        }
        if !unallowable.isEmpty { lines.append("# No rule allows:") }
        lines += unallowable.map { "# - \(Self.comment($0.description))" }
        return lines.joined(separator: "\n")
    }

    private static func lines(of suggestion: EnvironmentSuggestion) -> [String] {
        var lines = ["  \(suggestion.environment):"]
        if !suggestion.permits.isEmpty { lines.append("    permits:") }
        lines += suggestion.permits.map { permit in
            "      - {to: \(permit.permit.target), ports: [\(words(permit.permit.ports, ", "))]}"
                + "  # \(comment(permit.remark))"
        }
        if let remote = suggestion.remote {
            lines.append("    remote:" + (remote.line.map { "  # in place of what line \($0) says" } ?? ""))
            lines += self.lines(of: remote.remoteIn, key: "in", remarks: remote.entriesIn)
            lines += self.lines(of: remote.remoteOut, key: "out", remarks: remote.entriesOut)
        }
        lines += suggestion.switches.map {
            "    \($0.key.rawValue)  # \(comment($0.evidence.description)); allows \($0.key.effect)"
        }
        return lines
    }

    /// One direction of `remote`.
    private static func lines(
        of policy: RemotePolicy, key: String, remarks: [SuggestedRemote.Entry]
    ) -> [String] {
        policy.lines(key: key, indentation: 6) { rule in
            // The new ones are the only ones that come from no line.
            let entry = rule.line == 0 ? remarks.first { IPPrefix($0.address) == rule.prefix } : nil
            return entry.map { comment($0.evidence.description) }
        }
    }

    private static func words(_ ports: [PortRule], _ separator: String) -> String {
        ports.map(\.description).joined(separator: separator)
    }

    /// What may stand in a comment: whatever somebody put into a record, the line ends where it should.
    private static func comment(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { (0x20...0x7e).contains($0.value) ? $0 : "?" }))
    }

    fileprivate static func count(_ number: Int) -> String { number == 1 ? "1 denial" : "\(number) denials" }
}

extension Permit {
    /// `ENVIRONMENT` or `ENVIRONMENT/APPLICATION`, as the policy file writes it.
    public var target: String { environment + (application.map { "/\($0)" } ?? "") }
}

extension Evidence: CustomStringConvertible {
    /// `3 denials of db, web`.
    public var description: String {
        let shown = applications.prefix(4).joined(separator: ", ") + (applications.count > 4 ? " and others" : "")
        return "\(Suggestions.count(denials)) of \(shown)"
    }
}

extension SuggestedPermit {
    /// What it comes from, and why it is as wide as it is.
    var remark: String {
        guard !addresses.isEmpty else { return evidence.description }
        let shown = addresses.prefix(4).map(\.description).joined(separator: ", ") + (addresses.count > 4 ? " …" : "")
        return "\(evidence); to all, as the file gives \(shown) to no application"
    }
}

extension UnallowableDenial: CustomStringConvertible {
    /// `web: 3 denials, such as connect tcp to 10.10.9.9 port 80: the address is …`.
    public var description: String {
        let isArriving = example.hook == .ingress
        // The port that was called, as far as that is to be seen here.
        let port = isArriving ? example.localPort : example.remotePort
        let peer = example.remote.map { (isArriving ? " from " : " to ") + $0.description } ?? ""
        let called = port == 0 || example.transport == .ping ? "" : (isArriving ? " to port" : " port") + " \(port)"
        let transport = example.transport.map { " \($0.rawValue)" } ?? ""
        return "\(example.application): \(Suggestions.count(denials)), such as \(example.hook.name)\(transport)"
            + "\(peer)\(called): \(why)"
    }
}
