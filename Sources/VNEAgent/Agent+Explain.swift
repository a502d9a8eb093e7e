import PolicyModel

extension Agent {
    /// Says what would become of a flow between an application and another end, by which rule, and where in the kernel.
    /// - Parameters:
    ///   - selector: an application that is attached, or that the policy names with an address.
    ///   - peer: the other end. Its port is the one that the flow is opened to, whoever begins. A name stands for the
    ///     application's address in the first family in which both have one.
    ///   - incoming: whether the peer begins.
    public func explain(_ selector: String, _ peer: Endpoint, incoming: Bool) throws(AgentError) -> Explanation {
        guard let (policy, _) = try publishedPolicy() else { throw .noPolicy }
        let attached = try asking { try dataplane.applications() }
        var warnings: [String] = []
        let application = try known(selector, attached: attached, policy: policy, warnings: &warnings)
        let address = try peerAddress(peer.host, of: application, attached: attached, policy: policy)
        let view = try asking {
            try host.view(interfaces: policy.addressSpaceInterfaces, excluding: Set(attached.flatMap(\.addresses.all)))
        }
        var question = FlowQuestion(
            index: PolicyIndex(policy), view: view, application: application, peer: address,
            local: attached.first { $0.addresses.contains(address) }, transport: peer.transport, incoming: incoming)
        if let loopback = question.ownLoopback, peer.transport != .ping, application.cgroupID != 0 {
            let own = try loopbackReceivers(of: application, at: loopback, transport: peer.transport)
            if peer.transport == .tcp {
                question.listeners = Set(own.map(\.localPort))
                warnings += Self.doubts(about: own, at: loopback, port: peer.port)
            } else {
                let hearsGroups = question.index.environment(named: application.environment)?.multicast == true
                question.strangers = try strangers(to: application, in: loopback.family, hearingGroups: hearsGroups)
                    .subtracting(own.map(\.localPort))
            }
        }
        if let local = question.local, local.state != .attached { warnings.append(Self.halfMade(local)) }
        return Explanation(
            application: application.name, environment: application.environment, addresses: application.addresses.all,
            transport: peer.transport, incoming: incoming, peer: address, peerKind: question.peerKind,
            cases: question.cases(port: peer.port), warnings: warnings)
    }

    private func known(
        _ selector: String, attached: [AttachedApplication], policy: Policy, warnings: inout [String]
    ) throws(AgentError) -> AttachedApplication {
        if let found = attached.first(where: { $0.name == selector || $0.hostname == selector })
            ?? (try? application(selector, among: attached))
        {
            if found.state != .attached { warnings.append(Self.halfMade(found)) }
            if !host.cgroupExists(found.cgroupPath, id: found.cgroupID) {
                warnings.append("the cgroup of \(found.name) is gone: the next command detaches it")
            }
            return found
        }
        guard let named = policy.applications.first(where: { $0.name == selector || $0.hostname == selector }) else {
            throw AgentError(
                .notFound, "there is no application “\(selector)”, attached or named by the policy",
                hint: Name.nearest(to: selector, among: attached.map(\.name) + policy.applications.map(\.name)))
        }
        let addresses = named.addresses ?? policy.environment(named: named.environment).flatMap(Self.example)
        guard let addresses else { throw .noPolicy }
        warnings.append(
            "\(named.name) is not attached: its processes are not isolated, and this is what the policy would say"
                + (named.addresses == nil ? " of an address of its environment" : ""))
        return AttachedApplication(
            state: .attached, name: named.name, environment: named.environment, addresses: addresses,
            loopback: try freeLoopback(besides: takenLoopbacks(of: attached)), hostname: named.hostname,
            cgroupPath: named.cgroup ?? "", cgroupID: 0, cgroupLevel: 0, fromPolicy: true)
    }

    /// An address of each family in which the environment has some.
    private static func example(of environment: Environment) -> ApplicationAddresses? {
        ApplicationAddresses(
            AddressFamily.allCases.compactMap { family in environment.addresses.first { $0.family == family }?.last })
    }

    private func peerAddress(
        _ text: String, of application: AttachedApplication, attached: [AttachedApplication], policy: Policy
    ) throws(AgentError) -> IPAddress {
        if let address = IPAddress(text) { return address }
        let found =
            attached.first { $0.name == text || $0.hostname == text }?.addresses
            ?? policy.applications.first { $0.name == text || $0.hostname == text }?.addresses
        guard let found else {
            throw AgentError(
                .notFound, "“\(text)” is neither an IP address nor an application with one",
                hint: Name.nearest(to: text, among: attached.map(\.name) + policy.applications.map(\.name)))
        }
        return found.all.first { application.addresses[$0.family] != nil } ?? found.all[0]
    }

    /// What of the application may take a connection or a datagram to an address of its loopback: what is bound to that
    /// very address, and what was bound to a wildcard, which stands at the application address. A wildcard of both families
    /// stands at the IPv4 one.
    private func loopbackReceivers(
        of application: AttachedApplication, at loopback: IPAddress, transport: TransportProtocol
    ) throws(AgentError) -> [ObservedSocket] {
        let cgroups = cgroups(of: application)
        return try asking { try host.sockets() }.filter { socket in
            guard socket.transport == transport, socket.isListening || transport == .udp && !socket.isConnected,
                cgroups.contains(socket.cgroupID), let local = socket.local
            else { return false }
            if local == loopback || local == application.addresses[loopback.family] { return true }
            return loopback.family == .ipv6 && local == application.addresses.ipv4 && socket.isOfIPv6
        }
    }

    /// The ports at which a datagram to the application's loopback would come to a wildcard of the host. Its own wildcards
    /// are wildcards in truth only where it hears groups, or if they are older than the attachment.
    private func strangers(
        to application: AttachedApplication, in family: AddressFamily, hearingGroups: Bool
    ) throws(AgentError) -> Set<UInt16> {
        let cgroups = cgroups(of: application)
        return Set(
            try asking { try host.sockets() }.filter { socket in
                guard socket.transport == .udp, !socket.isConnected, socket.local?.isUnspecified == true else {
                    return false
                }
                // Most wildcards of IPv6 take IPv4 as well; the kernel does not say which do not.
                let isReached = family == .ipv4 || socket.isOfIPv6
                return isReached && !(hearingGroups && cgroups.contains(socket.cgroupID))
            }.map(\.localPort))
    }

    private func cgroups(of application: AttachedApplication) -> Set<UInt64> {
        // A cgroup that is gone has no members to find; its sockets still have its id.
        (try? host.cgroupIDs(below: application.cgroupPath)) ?? [application.cgroupID]
    }

    /// The kernel tells nobody which of the listeners at an application address were bound to a wildcard: the others are not
    /// reached over loopback.
    private static func doubts(about listeners: [ObservedSocket], at loopback: IPAddress, port: UInt16?) -> [String] {
        let certain = Set(listeners.filter { $0.local == loopback }.map(\.localPort))
        let doubtful = listeners.filter { !certain.contains($0.localPort) && (port ?? $0.localPort) == $0.localPort }
        let places = Set(doubtful.compactMap { $0.local?.with(port: $0.localPort) }).sorted()
        guard !places.isEmpty else { return [] }
        return [
            "what listens at \(places.joined(separator: ", ")) takes it if it was bound to the wildcard, and not if it was "
                + "bound to that very address"
        ]
    }

    private static func halfMade(_ application: AttachedApplication) -> String {
        "\(application.name) is \(application.state.rawValue): it is denied everything until the next command finishes that"
    }
}
