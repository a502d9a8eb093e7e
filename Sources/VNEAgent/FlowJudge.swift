import PolicyModel

/// Says of each live socket of an application whether the policy would let it be made again.
struct FlowJudge {
    /// A socket's application and what the policy says of it.
    struct Judgement {
        var application: AttachedApplication
        /// The name of the application at the other end, if it is one of this host.
        var peer: String?
        /// Nil where there is no peer to judge: listening and unconnected sockets.
        var verdict: Verdict?
        /// False for what has to be closed.
        var allowed: Bool { verdict?.allowed ?? true }
    }

    /// Every socket of the instance's namespace.
    let sockets: [ObservedSocket]
    private let index: PolicyIndex
    /// The policy before this one, where a change is what is judged.
    private let previous: PolicyIndex?
    private let view: HostView
    private let applications: [AttachedApplication]
    /// Index of the application by the id of a cgroup of it.
    private let byCgroup: [UInt64: Int]
    private let holders: AddressHolders
    private let byTuple: [Tuple: ObservedSocket]
    /// Where applications listen over TCP.
    private let listeners: Set<Listener>

    private struct Listener: Hashable {
        var owner: Int
        var port: UInt16
    }

    private struct Tuple: Hashable {
        var transport: TransportProtocol
        var local: IPAddress
        var localPort: UInt16
        var remote: IPAddress
        var remotePort: UInt16
    }

    init(
        policy: Policy, previous: Policy? = nil, view: HostView, applications: [AttachedApplication],
        cgroups: [Set<UInt64>], sockets: [ObservedSocket]
    ) {
        self.sockets = sockets
        self.index = PolicyIndex(policy)
        self.previous = previous.map { PolicyIndex($0) }
        self.view = view
        self.applications = applications
        var byCgroup: [UInt64: Int] = [:]
        for (index, ids) in cgroups.enumerated() {
            for id in ids { byCgroup[id] = index }
        }
        self.byCgroup = byCgroup
        self.holders = AddressHolders(applications)
        var byTuple: [Tuple: ObservedSocket] = [:]
        for socket in sockets where socket.isConnected {
            guard let local = socket.local, let remote = socket.remote else { continue }
            let tuple = Tuple(
                transport: socket.transport, local: local, localPort: socket.localPort, remote: remote,
                remotePort: socket.remotePort)
            byTuple[tuple] = socket
        }
        self.byTuple = byTuple
        self.listeners = Set(
            sockets.filter(\.isListening).compactMap { socket in
                byCgroup[socket.cgroupID].map { Listener(owner: $0, port: socket.localPort) }
            })
    }

    /// What the policy says of a socket; nil if it is no application's.
    func judgement(of socket: ObservedSocket) -> Judgement? {
        guard let owner = byCgroup[socket.cgroupID] else { return nil }
        let application = applications[owner]
        guard socket.isConnected else { return Judgement(application: application) }
        guard let local = socket.local, let remote = socket.remote,
            application.addresses.contains(local) || application.loopback.contains(local)
        else {
            // Older than the attachment, or its address was taken away. A shared service on loopback is talked to from an
            // application address, or from the own loopback where there is none of the family.
            return Judgement(application: application, verdict: Verdict(allowed: false, reason: .foreignAddress))
        }
        let peer = holders.owner(of: remote).map { applications[$0].name }
        return Judgement(
            application: application, peer: peer,
            verdict: verdict(of: socket, local: local, remote: remote, owner: owner))
    }

    private func verdict(
        of socket: ObservedSocket, local: IPAddress, remote: IPAddress, owner: Int
    ) -> Verdict {
        let subject = applications[owner].subject
        // With its source it is judged as its packets are: the addresses are the true ones, also on the own loopback.
        let attempt = Attempt.outgoing(Outgoing(socket.transport, to: remote, port: socket.remotePort, source: local))
        let outgoing = index.verdict(attempt, by: subject, on: view)
        // Within the own loopback both ends are the application's, so that who began is of no matter.
        if subject.loopback.contains(local) || subject.loopback.contains(remote) { return outgoing }
        // A connected UDP socket is the application's own doing. A TCP one may have been accepted.
        guard socket.transport == .tcp else { return outgoing }
        let origin = origin(of: socket, owner: owner)
        let isMember = senderOwnsSource(of: socket, local: local, remote: remote)
        let attempts = arrivals(from: remote).map { arrival in
            Attempt.incoming(
                Incoming(
                    .tcp, from: remote, port: socket.remotePort, to: local, port: socket.localPort, arrival: arrival,
                    sender: isMember ? .owner : .other))
        }
        let verdicts = attempts.map { index.verdict($0, by: subject, on: view) }
        let incoming = verdicts.first(where: \.allowed) ?? verdicts.first ?? Verdict(allowed: false, reason: .forged)
        // A peer on this host that only borrows an application address is the host: what the policy says of that
        // address does not speak for it.
        if holders.application(with: remote) != nil, !isMember { return incoming }
        // The ports only hint at who began, and a program chooses its own. Where the change takes away what may have let
        // the connection out, it goes, whatever its ports look like.
        if !outgoing.allowed, previous?.verdict(attempt, by: subject, on: view).allowed == true { return outgoing }
        switch origin {
        case .connected: return outgoing
        case .accepted: return incoming
        case .unknown: return incoming.allowed && !outgoing.allowed ? incoming : outgoing
        }
    }

    /// Who began a TCP connection, as far as the ports tell: the kernel does not remember.
    private enum Origin {
        case connected
        case accepted
        case unknown
    }

    private func origin(of socket: ObservedSocket, owner: Int) -> Origin {
        if listeners.contains(Listener(owner: owner, port: socket.localPort)) { return .accepted }
        // Nobody listens there (any more): the end with a port of the usual ephemeral range connected to the other.
        let ephemeral = RecordedDenial.ephemeralPorts
        return ephemeral.contains(socket.localPort) && !ephemeral.contains(socket.remotePort) ? .connected : .unknown
    }

    /// Where packets of a peer may come in.
    private func arrivals(from remote: IPAddress) -> [Incoming.Arrival] {
        if holders.application(with: remote) != nil { return [.thisHost] }
        switch index.classify(remote, on: view) {
        case .host, .loopback: return [.thisHost]
        case .environment, .unassigned: return view.interfaces.values.sorted().map(Incoming.Arrival.interface)
        // Any interface: which one is of no matter to the decision.
        default: return [.interface(0)]
        }
    }

    /// Whether the socket at the other end belongs to the application that has its address.
    private func senderOwnsSource(of socket: ObservedSocket, local: IPAddress, remote: IPAddress) -> Bool {
        guard let holder = holders.application(with: remote) else { return true }
        let reversed = Tuple(
            transport: socket.transport, local: remote, localPort: socket.remotePort, remote: local,
            remotePort: socket.localPort)
        // No socket: the peer is closing, and what it was is not known any more. Nothing can be sent to it either.
        guard let peer = byTuple[reversed] else { return true }
        return byCgroup[peer.cgroupID] == holder
    }
}

extension Agent {
    func flowJudge(
        policy: Policy, previous: Policy? = nil, view: HostView, applications: [AttachedApplication]
    ) throws(AgentError) -> FlowJudge {
        var cgroups: [Set<UInt64>] = []
        for application in applications {
            // A cgroup that is gone has no members to find; its sockets still have its id.
            cgroups.append((try? host.cgroupIDs(below: application.cgroupPath)) ?? [application.cgroupID])
        }
        let sockets = try asking { try host.sockets() }
        try addRemovedCgroups(to: &cgroups, of: applications, sockets: sockets)
        return FlowJudge(
            policy: policy, previous: previous, view: view, applications: applications, cgroups: cgroups,
            sockets: sockets)
    }

    /// A socket outlives the child cgroup that made it. One that has an address of an application, or of its loopback, and
    /// whose cgroup is nowhere any more is that application's.
    private func addRemovedCgroups(
        to cgroups: inout [Set<UInt64>], of applications: [AttachedApplication], sockets: [ObservedSocket]
    ) throws(AgentError) {
        let known = cgroups.reduce(into: Set<UInt64>()) { $0.formUnion($1) }
        let holders = AddressHolders(applications)
        let unknown = sockets.filter { socket in
            socket.isConnected && !known.contains(socket.cgroupID)
                && socket.local.flatMap(holders.owner) != nil
        }
        guard !unknown.isEmpty else { return }
        let live = try asking { try host.allCgroupIDs() }
        for socket in unknown where !live.contains(socket.cgroupID) {
            guard let local = socket.local, let owner = holders.owner(of: local) else { continue }
            cgroups[owner].insert(socket.cgroupID)
        }
    }
}
