extension PortRule {
    /// A rule as the policy file writes it: `tcp/5432`, `udp/5000-5010`, `tcp`, `ping`; nil if `text` is none.
    public init?(_ text: some StringProtocol) {
        guard let rule = try? Self(parsing: String(text)) else { return nil }
        self = rule
    }

    /// Why a text is no rule.
    struct Problem: Error {
        var message: String
        var suggestion: String?
    }

    init(parsing text: String) throws(Problem) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let word = parts.first.map(String.init) ?? ""
        guard let transport = TransportProtocol(rawValue: word) else {
            throw Self.unknownProtocol(word, in: text)
        }
        guard parts.count == 2 else {
            self.init(transport)
            return
        }
        guard transport != .ping else {
            throw Problem(message: "ping has no ports; found \(text.quoted)", suggestion: "ping")
        }
        let bounds = parts[1].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let numbers = bounds.compactMap { Self.port($0) }
        guard let first = numbers.first, let last = numbers.last, numbers.count == bounds.count else {
            throw Problem(
                message: "expected a port from 1 to 65535 or a range such as 5000-5010 after \(word.quoted); "
                    + "found \(text.quoted)")
        }
        guard first <= last else {
            throw Problem(
                message: "the range begins after its end in \(text.quoted)", suggestion: "\(word)/\(last)-\(first)")
        }
        self.init(transport, first...last)
    }

    private static func unknownProtocol(_ word: String, in text: String) -> Problem {
        if ["raw", "udplite"].contains(word) {
            return Problem(message: "\(word.quoted) is not built in this version, which has tcp, udp and ping")
        }
        let range = text.split(separator: "-", omittingEmptySubsequences: false)
        if range.count <= 2, range.allSatisfy({ port($0) != nil }) {
            return Problem(
                message: "expected a protocol before the port; found \(text.quoted)", suggestion: "tcp/\(text)")
        }
        var nearest = NearestWord()
        let words = TransportProtocol.allCases.map(\.rawValue)
        let suggestion = nearest.find(word, in: words).map { $0 + text.dropFirst(word.count) }
        return Problem(
            message: "expected tcp, udp or ping, with ports as in tcp/5432 or udp/5000-5010; found \(text.quoted)",
            suggestion: suggestion)
    }

    /// A port number without sign or leading zeros.
    private static func port(_ text: some StringProtocol) -> UInt16? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }),
            text.utf8.first != 48
        else { return nil }
        return UInt16(text)
    }
}

extension PortRule: CustomStringConvertible {
    /// As the policy file writes it; `any` for a rule without a protocol, which a file says by naming no ports.
    public var description: String {
        let word = transport?.rawValue ?? "any"
        guard transport != .ping, ports != 0...65535 else { return word }
        return ports.count == 1 ? "\(word)/\(ports.lowerBound)" : "\(word)/\(ports.lowerBound)-\(ports.upperBound)"
    }
}
