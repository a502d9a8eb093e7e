import PolicyModel

extension Agent {
    /// Has the hosts file say what the attached applications are called, those that run elsewhere if the policy wants
    /// it, and nothing else.
    ///
    /// A name that does not resolve keeps nobody apart and lets nobody through, so whatever is wrong is only told.
    /// - Parameter known: the applications, where the caller just read them.
    func tellNames(of known: [AttachedApplication]? = nil, warnings: inout [String]) {
        do throws(AgentError) {
            let scope = try asking { try dataplane.publishedIdentity() }.hostnames
            var hosts: [String: ApplicationAddresses] = scope == .all ? try publishedNames() : [:]
            if scope != .none {
                let applications = if let known { known } else { try asking { try dataplane.applications() } }
                for application in applications where application.state == .attached {
                    guard let hostname = application.hostname else { continue }
                    // What the policy calls so is called so on every host.
                    hosts[hostname.lowercased()] = hosts[hostname.lowercased()] ?? application.addresses
                }
            }
            let named = hosts.map { NamedHost(name: $0.key, addresses: $0.value) }.sorted { $0.name < $1.name }
            let taken = try asking { try host.name(named) }
            for name in taken.sorted() {
                warnings.append("the hosts file has other lines for \(name): who asks for it may get their address")
            }
        } catch {
            warnings.append(
                "hostnames of applications are not as they should be: \(error.message)"
                    + (error.hint.map { " (\($0))" } ?? ""))
        }
    }

    /// What the published policy calls the addresses that it gives to applications, wherever these run; in lower case.
    private func publishedNames() throws(AgentError) -> [String: ApplicationAddresses] {
        guard let published = try asking({ try dataplane.publishedPolicy() }) else { return [:] }
        var names: [String: ApplicationAddresses] = [:]
        for application in try Self.parse(published.text, source: published.source).applications {
            guard let hostname = application.hostname, let addresses = application.addresses else { continue }
            names[hostname.lowercased()] = addresses
        }
        return names
    }
}
