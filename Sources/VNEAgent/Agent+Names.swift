import PolicyModel

extension Agent {
    /// Has the hosts file say what the attached applications are called, and nothing else.
    ///
    /// A name that does not resolve keeps nobody apart and lets nobody through, so whatever is wrong is only told.
    /// - Parameter known: the applications, where the caller just read them.
    func tellNames(of known: [AttachedApplication]? = nil, warnings: inout [String]) {
        do throws(AgentError) {
            var hosts: [NamedHost] = []
            if try asking({ try dataplane.publishedIdentity() }).resolvesHostnames {
                let applications = if let known { known } else { try asking { try dataplane.applications() } }
                for application in applications where application.state == .attached {
                    guard let hostname = application.hostname else { continue }
                    hosts.append(NamedHost(name: hostname.lowercased(), addresses: application.addresses))
                }
            }
            let taken = try asking { try host.name(hosts.sorted { $0.name < $1.name }) }
            for name in taken.sorted() {
                warnings.append("the hosts file has other lines for \(name): who asks for it may get their address")
            }
        } catch {
            warnings.append(
                "hostnames of applications are not as they should be: \(error.message)"
                    + (error.hint.map { " (\($0))" } ?? ""))
        }
    }
}
