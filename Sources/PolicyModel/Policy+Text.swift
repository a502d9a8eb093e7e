extension Policy {
    /// The policy as the text of a policy file. Read again it is the same policy, but for the places of what it says.
    public var yaml: String {
        var lines = ["addressSpace: \(Self.list(addressSpace))"]
        if !addressSpaceInterfaces.isEmpty {
            lines.append(
                "addressSpaceInterfaces: [\(addressSpaceInterfaces.map(\.quotedForYAML).joined(separator: ", "))]")
        }
        if let interface { lines.append("interface: \(interface.quotedForYAML)") }
        switch hostnames {
        case .none: lines.append("resolveHostnames: false")
        case .attached: break
        case .all: lines.append("resolveHostnames: all")
        }
        if !loopbackShared.isEmpty {
            let services = loopbackShared.map { "\($0)".quotedForYAML }
            lines += ["loopback:", "  shared: [\(services.joined(separator: ", "))]"]
        }
        if let hostGuard {
            let cgroups = hostGuard.cgroups.map(\.quotedForYAML)
            lines += ["guard:", "  cgroups: [\(cgroups.joined(separator: ", "))]"]
            if let addresses = hostGuard.addresses { lines.append("  addresses: \(Self.list(addresses.all))") }
        }
        lines.append(environments.isEmpty ? "environments: {}" : "environments:")
        lines += environments.flatMap(\.lines)
        if !applications.isEmpty { lines.append("applications:") }
        lines += applications.map(\.entry)
        return lines.joined(separator: "\n") + "\n"
    }

    fileprivate static func list(_ prefixes: [IPPrefix]) -> String {
        "[\(prefixes.map { $0.family == .ipv6 ? "\($0)".quotedForYAML : "\($0)" }.joined(separator: ", "))]"
    }

    fileprivate static func list(_ addresses: [IPAddress]) -> String { list(addresses.map { IPPrefix($0) }) }
}

extension Environment {
    fileprivate var lines: [String] {
        let rest = self.rest
        guard !rest.isEmpty else { return ["  \(name): {addresses: \(Policy.list(addresses))}"] }
        return ["  \(name):", "    addresses: \(Policy.list(addresses))"] + rest
    }

    /// What is not the default.
    private var rest: [String] {
        let standard = Environment(name: name, addresses: addresses)
        var lines = remote
        if host != standard.host { lines.append("    host: \(host ? "allow" : "deny")") }
        if linkLocal != standard.linkLocal { lines.append("    linkLocal: \(linkLocal)") }
        if !permits.isEmpty { lines.append("    permits:") }
        lines += permits.map { permit in
            let isWhole = permit.ports.contains { $0.transport == nil }
            let ports = isWhole ? "" : ", ports: [\(permit.ports.map(\.description).joined(separator: ", "))]"
            return "      - {to: \(permit.target)\(ports)}"
        }
        if protocols != standard.protocols {
            let words = TransportProtocol.allCases.filter(protocols.contains).map(\.rawValue)
            lines.append("    protocols: [\(words.joined(separator: ", "))]")
        }
        if strict != standard.strict { lines.append("    strict: \(strict)") }
        if mode != standard.mode { lines.append("    mode: \(mode.rawValue)") }
        if multicast != standard.multicast { lines.append("    multicast: \(multicast)") }
        if unixPrivate != standard.unixPrivate { lines.append("    unix: \(unixPrivate ? "private" : "shared")") }
        if !requires.isEmpty {
            let words = Protection.allCases.filter(requires.contains).map(\.rawValue)
            lines.append("    require: [\(words.joined(separator: ", "))]")
        }
        return lines
    }

    private var remote: [String] {
        guard !remoteIn.isEverything || !remoteOut.isEverything else { return [] }
        return ["    remote:"] + remoteIn.lines(key: "in", indentation: 6)
            + remoteOut.lines(key: "out", indentation: 6)
    }
}

extension RemotePolicy {
    /// What an environment has that says nothing of remotes.
    fileprivate var isEverything: Bool { otherwise && rules.isEmpty }
}

extension Application {
    fileprivate var entry: String {
        let address = addresses.map { Policy.list($0.all) } ?? "auto"
        let hostname = hostname.map { ", hostname: \($0)" } ?? ""
        let cgroup = cgroup.map { ", cgroup: \($0.quotedForYAML)" } ?? ""
        return "  \(name): {environment: \(environment), address: \(address)\(hostname)\(cgroup)}"
    }
}
