import PolicyModel

extension Agent {
    /// The applications' sockets and recorded datagram flows, with what the published policy says of them.
    /// - Parameter deniedOnly: only what the policy forbids: left over from before it, or about to be cut.
    public func flows(deniedOnly: Bool = false) throws(AgentError) -> [LiveFlow] {
        guard let (policy, _) = try publishedPolicy() else { return [] }
        let applications = try asking { try dataplane.applications() }.sorted { $0.name < $1.name }
        let view = try asking {
            try host.view(
                interfaces: policy.addressSpaceInterfaces, excluding: Set(applications.flatMap(\.addresses.all)))
        }
        let judge = try flowJudge(policy: policy, view: view, applications: applications)
        var flows: [LiveFlow] = judge.sockets.compactMap { socket in
            guard let judgement = judge.judgement(of: socket) else { return nil }
            return LiveFlow(
                application: judgement.application.name, record: .socket, transport: socket.transport,
                state: socket.stateName, local: socket.local, localPort: socket.localPort,
                remote: socket.isConnected ? socket.remote : nil, remotePort: socket.remotePort, peer: judgement.peer,
                allowed: judgement.verdict?.allowed, reason: judgement.verdict?.reason.name,
                line: judgement.verdict?.line, idle: nil)
        }
        let holders = AddressHolders(applications)
        for application in applications {
            for flow in try asking({ try dataplane.flows(of: application) }) {
                flows.append(
                    LiveFlow(
                        application: application.name, record: .datagrams, transport: nil,
                        state: flow.incoming ? "let in" : "let out", local: application.addresses[flow.remote.family],
                        localPort: flow.localPort, remote: flow.remote, remotePort: flow.remotePort,
                        peer: holders.owner(of: flow.remote).map { applications[$0].name }, allowed: nil, reason: nil,
                        line: nil, idle: flow.idle))
            }
        }
        if deniedOnly { flows.removeAll { $0.allowed != false } }
        return flows.sorted {
            ($0.application, $0.localPort, $0.remotePort) < ($1.application, $1.localPort, $1.remotePort)
        }
    }
}
