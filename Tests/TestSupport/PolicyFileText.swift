public import PolicyModel

extension Policy {
    /// A policy file that says about the same, and what it says. Entries that a file may not have are left out: those of
    /// port 0, or of no peer that they could be about. So are a guard, protections and Unix sockets.
    public func written() throws(DocumentErrors) -> (text: String, policy: Policy) {
        var text = fileText
        for _ in 0..<4 {
            guard let errors = PolicyFile.errors(in: text) else { break }
            let wrong = Set(errors.map(\.line))
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            text = lines.enumerated().filter { !wrong.contains($0.offset + 1) }.map(\.element).joined(separator: "\n")
        }
        return (text, try PolicyFile.parse(text, source: source))
    }

    private var fileText: String {
        var lines = ["addressSpace: \(Self.list(addressSpace.map { "\($0)" }))"]
        lines.append("addressSpaceInterfaces: \(Self.list(addressSpaceInterfaces))")
        if !loopbackShared.isEmpty {
            let services = loopbackShared.map {
                $0.address.family == .ipv4 ? "\($0.address):\($0.port)" : "[\($0.address)]:\($0.port)"
            }
            lines += ["loopback:", "  shared: \(Self.list(services))"]
        }
        lines.append("environments:")
        lines += environments.flatMap { ["  \($0.name):"] + $0.fileLines.map { "    \($0)" } }
        lines.append("applications:")
        for application in applications {
            let addresses = application.addresses.map { Self.list($0.all.map { "\($0)" }) } ?? "auto"
            lines.append("  \(application.name): {environment: \(application.environment), address: \(addresses)}")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    fileprivate static func list(_ items: [String]) -> String {
        "[" + items.map { "\"\($0)\"" }.joined(separator: ", ") + "]"
    }

    /// Rules that together cover what these do; none if that is nothing but port 0.
    fileprivate static func list(_ rules: [PortRule], speaking protocols: Set<TransportProtocol>) -> String? {
        let texts = rules.flatMap { rule in
            protocols.filter { rule.transport == nil || rule.transport == $0 }.sorted { $0.rawValue < $1.rawValue }
                .compactMap { transport -> String? in
                    if transport == .ping { return "ping" }
                    guard rule.ports.upperBound > 0 else { return nil }
                    return "\(PortRule(transport, max(1, rule.ports.lowerBound)...rule.ports.upperBound))"
                }
        }
        return texts.isEmpty ? nil : list(texts)
    }
}

extension Environment {
    fileprivate var fileLines: [String] {
        var lines = [
            "addresses: \(Policy.list(addresses.map { "\($0)" }))", "host: \(Self.word(host))",
            "linkLocal: \(linkLocal)", "multicast: \(multicast)",
            "protocols: \(Policy.list(protocols.map(\.rawValue).sorted()))", "strict: \(strict)",
            "mode: \(mode.rawValue)", "remote:",
        ]
        lines += remoteIn.fileLines("in", speaking: protocols) + remoteOut.fileLines("out", speaking: protocols)
        let permits = permits.compactMap { permit in
            Policy.list(permit.ports, speaking: protocols).map { ports in
                "  - {to: \(permit.environment)\(permit.application.map { "/\($0)" } ?? ""), ports: \(ports)}"
            }
        }
        return lines + (permits.isEmpty ? [] : ["permits:"] + permits)
    }

    fileprivate static func word(_ allows: Bool) -> String { allows ? "allow" : "deny" }
}

extension RemotePolicy {
    fileprivate func fileLines(_ direction: String, speaking protocols: Set<TransportProtocol>) -> [String] {
        guard !rules.isEmpty else { return ["  \(direction): \(Environment.word(otherwise))"] }
        var lines = ["  \(direction):"]
        for allows in [true, false] {
            var entries = rules.filter { $0.allows == allows }.compactMap { rule in
                Policy.list(rule.ports, speaking: protocols).map {
                    "      - {prefix: \"\(rule.prefix)\", ports: \($0)}"
                }
            }
            // A file with a list of what is allowed denies the rest.
            if allows, otherwise { entries += ["      - 0.0.0.0/0", "      - \"::/0\""] }
            if !entries.isEmpty { lines += ["    \(Environment.word(allows)):"] + entries }
        }
        return lines.count == 1 ? ["  \(direction): \(Environment.word(otherwise))"] : lines
    }
}

extension PolicyFile {
    fileprivate static func errors(in text: String) -> [DocumentError]? {
        do throws(DocumentErrors) {
            _ = try parse(text, source: "")
            return nil
        } catch {
            return error.errors
        }
    }
}
