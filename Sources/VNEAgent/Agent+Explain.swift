import PolicyModel

extension Agent {
    /// Says what would become of a flow between an application and another end, by which rule, and where in the kernel.
    /// - Parameters:
    ///   - selector: an application that is attached, or that the policy names with an address.
    ///   - peer: the other end. Its port is the one that the flow is opened to, whoever begins.
    ///   - incoming: whether the peer begins.
    public func explain(_ selector: String, _ peer: Endpoint, incoming: Bool) throws(AgentError) -> Explanation {
        guard let (policy, _) = try publishedPolicy() else { throw .noPolicy }
        let attached = try asking { try dataplane.applications() }
        var warnings: [String] = []
        let application = try known(selector, attached: attached, policy: policy, warnings: &warnings)
        let address = try peerAddress(peer.host, attached: attached, policy: policy)
        let view = try asking {
            try host.view(interfaces: policy.addressSpaceInterfaces, excluding: Set(attached.map(\.address)))
        }
        let question = Question(
            index: PolicyIndex(policy), view: view, application: application, peer: address,
            local: attached.first { $0.address == address }, transport: peer.transport, incoming: incoming)
        if let local = question.local, local.state != .attached { warnings.append(Self.halfMade(local)) }
        return Explanation(
            application: application.name, environment: application.environment, address: application.address,
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
        if let named = policy.applications.first(where: { $0.name == selector || $0.hostname == selector }) {
            guard let address = named.address ?? policy.environment(named: named.environment)?.addresses.first?.last
            else { throw .noPolicy }
            warnings.append(
                "\(named.name) is not attached: its processes are not isolated, and this is what the policy would say"
                    + (named.address == nil ? " of an address of its environment" : ""))
            return AttachedApplication(
                state: .attached, name: named.name, environment: named.environment, address: address,
                hostname: named.hostname, cgroupPath: named.cgroup ?? "", cgroupID: 0, cgroupLevel: 0, fromPolicy: true)
        }
        throw AgentError(
            .notFound, "there is no application “\(selector)”, attached or named by the policy",
            hint: Name.nearest(to: selector, among: attached.map(\.name) + policy.applications.map(\.name)))
    }

    private func peerAddress(
        _ text: String, attached: [AttachedApplication], policy: Policy
    ) throws(AgentError) -> IPv4Address {
        if let address = IPv4Address(text) { return address }
        if let found = attached.first(where: { $0.name == text || $0.hostname == text }) { return found.address }
        if let address = policy.applications.first(where: { $0.name == text || $0.hostname == text })?.address {
            return address
        }
        throw AgentError(
            .notFound, "“\(text)” is neither an IPv4 address nor an application with one",
            hint: Name.nearest(to: text, among: attached.map(\.name) + policy.applications.map(\.name)))
    }

    private static func halfMade(_ application: AttachedApplication) -> String {
        "\(application.name) is \(application.state.rawValue): it is denied everything until the next command finishes that"
    }
}

/// One `explain`, port by port.
private struct Question {
    let index: PolicyIndex
    let view: HostView
    let application: AttachedApplication
    let peer: IPv4Address
    /// The attached application that has the peer's address.
    let local: AttachedApplication?
    let transport: TransportProtocol
    let incoming: Bool

    /// Where no real port is known: an ephemeral one, which no rule is likely to mean.
    private static let ephemeral: UInt16 = 49152

    var peerKind: String {
        if let local { return "application \(local.name) of \(local.environment)" }
        return switch index.classify(peer, on: view) {
        case .environment(let name): "environment \(name), no application of this host"
        case .unassigned: "in the address space, in no environment"
        case .loopback: "loopback"
        case .multicast: "multicast"
        case .broadcast: "broadcast"
        case .host: "the host"
        case .linkLocal: "link-local"
        case .remote: "remote"
        }
    }

    /// The answers for one port, or for every range of ports that is judged alike.
    func cases(port: UInt16?) -> [Explanation.Case] {
        if transport == .ping { return [answer(to: 0, ports: nil)] }
        if let port { return [answer(to: port, ports: "\(port)")] }
        var found: [(first: UInt16, answer: Explanation.Case)] = []
        for port in boundaries {
            let answer = answer(to: port, ports: nil)
            if found.last?.answer != answer { found.append((port, answer)) }
        }
        guard found.count > 1 else { return found.map(\.answer) }
        return found.indices.map { position in
            var answer = found[position].answer
            let first = found[position].first
            let last = position + 1 < found.count ? found[position + 1].first - 1 : UInt16.max
            answer.ports = first == last ? "\(first)" : "\(first)-\(last)"
            return answer
        }
    }

    /// Every port from which on another rule may decide.
    private var boundaries: [UInt16] {
        var environments = [application.environment]
        if case .environment(let name) = index.classify(peer, on: view) { environments.append(name) }
        var ports: Set<UInt16> = [1]
        for environment in environments.compactMap(index.environment) {
            let remotes = (environment.remoteIn.rules + environment.remoteOut.rules).filter { $0.prefix.contains(peer) }
            for rule in environment.permits.flatMap(\.ports) + remotes.flatMap(\.ports) {
                ports.insert(max(rule.ports.lowerBound, 1))
                if rule.ports.upperBound < UInt16.max { ports.insert(rule.ports.upperBound + 1) }
            }
        }
        for service in view.sharedServices where service.address == peer {
            ports.insert(service.port)
            ports.insert(service.port + 1)
        }
        return ports.sorted()
    }

    private func answer(to port: UInt16, ports: String?) -> Explanation.Case {
        var sides: [Explanation.Side] = []
        if incoming {
            if let local { sides.append(outgoing(from: local, to: application.address, port: port)) }
            sides.append(arriving(at: application, from: peer, port: port))
        } else {
            sides.append(outgoing(from: application, to: peer, port: port))
            if let local { sides.append(arriving(at: local, from: application.address, port: port)) }
        }
        return Explanation.Case(ports: ports, allowed: sides.allSatisfy(\.allowed), sides: sides)
    }

    private func outgoing(
        from application: AttachedApplication, to address: IPv4Address, port: UInt16
    ) -> Explanation.Side {
        let verdict = index.verdict(
            .outgoing(Outgoing(transport, to: address, port: port)), by: application.subject, on: view)
        let hook: Hook =
            switch (verdict.reason, transport) {
            case (.protocol, _): .create
            case (_, .tcp): .connect
            case (_, .udp): .send
            case (_, .ping): .egress
            }
        return side(verdict, at: application, hook: hook)
    }

    private func arriving(
        at application: AttachedApplication, from address: IPv4Address, port: UInt16
    ) -> Explanation.Side {
        let arrival: Incoming.Arrival
        if local != nil || address == self.application.address {
            arrival = .thisHost
        } else {
            switch index.classify(address, on: view) {
            case .host, .loopback: arrival = .thisHost
            case .environment, .unassigned: arrival = .interface(view.interfaces.values.min() ?? 0)
            default: arrival = .interface(0)
            }
        }
        let incoming = Incoming(
            transport, from: address, port: transport == .ping ? 0 : Self.ephemeral, to: application.address,
            port: port,
            arrival: arrival)
        return side(
            index.verdict(.incoming(incoming), by: application.subject, on: view), at: application, hook: .ingress)
    }

    private func side(_ verdict: Verdict, at application: AttachedApplication, hook: Hook) -> Explanation.Side {
        Explanation.Side(
            application: application.name, hook: hook.name, allowed: verdict.allowed, audited: verdict.audited,
            reason: verdict.reason.name, sentence: verdict.reason.sentence,
            file: verdict.line == nil ? nil : index.policy.source, line: verdict.line)
    }
}
