internal import FoundationEssentials
public import OverlayModel
internal import PolicyModel

/// How a node of a network runs, as it is shown.
public struct NodeStatus: Codable, Hashable, Sendable {
    /// A tunnel to another node.
    public struct Tunnel: Codable, Hashable, Sendable {
        /// The node at the other end.
        public var node: String
        /// What it goes over.
        public var underlay: String
        /// The device that has it.
        public var device: String
        /// Where the other end was heard last: an address and a port; nil if it never was.
        public var endpoint: String?
        /// When the two ends last agreed on a key, in seconds since 1970; nil if they never did.
        public var handshake: Int?
        /// Bytes that came out of the tunnel.
        public var received: Int
        /// Bytes that went into it.
        public var sent: Int
        /// What BGP says of the neighbour, as BIRD calls it: `Established`; nil where the tunnel carries no data.
        public var routing: String?
        /// What probes say of it: `good`, `narrow` (carries small packets only), `silent` or `unknown` (never heard); nil
        /// where the tunnel carries no data.
        public var link: String?
        /// Milliseconds from a probe to its answer, smoothed; nil before the first one.
        public var roundTrip: Double?
    }

    /// The network's name.
    public var network: String
    /// The node's name.
    public var node: String
    /// `manager` or `host`.
    public var role: String
    /// The node's address in the network.
    public var address: String
    /// Whether the network's namespace is there.
    public var up: Bool
    /// Whether others are asked to take other ways.
    public var draining: Bool
    /// `kernel`, `wireguard-go`, or `none`.
    public var tunnelEngine: String
    /// Whether BIRD runs.
    public var routingRuns: Bool
    /// Whether links are probed.
    public var probingRuns: Bool
    /// In the order of the topology.
    public var tunnels: [Tunnel]
    /// What of the network there is a way to, in the order of the addresses.
    public var routes: [Route]
    /// The addresses of applications that the network leads to on this host.
    public var applications: [String]
    /// Whether etcd runs; nil where this node keeps no store.
    public var storeRuns: Bool?
    /// Of a manager, all that hosts claimed and have, as it believes it; of a host, what it has. In the order of the
    /// addresses.
    public var claims: [Claim]
    /// Of a host, what it has applications at and does not get.
    public var refused: [Refusal]
    /// At a manager, nodes whose keys are used from several places by turns: somebody else may have them.
    public var usedTwice: [Sightings.Alarm]

    /// A claimed address.
    public struct Claim: Codable, Hashable, Sendable {
        /// The address.
        public var address: String
        /// The host that has it.
        public var host: String
    }

    /// An address that is not this host's.
    public struct Refusal: Codable, Hashable, Sendable {
        /// The address.
        public var address: String
        /// Why, as “bank has it”.
        public var reason: String
    }

    /// A way to a node, to a host's applications, or to one that it claimed.
    public struct Route: Codable, Hashable, Sendable {
        /// An address, or a prefix.
        public var destination: String
        /// The nodes that it leads through next, by their names.
        public var through: [String]

        /// A way.
        public init(destination: String, through: [String]) {
            self.destination = destination
            self.through = through
        }
    }

    /// Whether every tunnel that carries data carries packets of every size, and has a neighbour that routes.
    public var isWhole: Bool {
        up && routingRuns && probingRuns
            && tunnels.allSatisfy { $0.routing == nil || ($0.routing == "Established" && $0.link == "good") }
    }
}

extension NetworkNode {
    /// Looks at the node.
    public func status() async throws(ManagerError) -> NodeStatus {
        let topology = kept.topology
        var status = NodeStatus(
            network: topology.network, node: kept.node.name, role: kept.node.role.rawValue,
            address: "\(kept.node.address)", up: isUp, draining: kept.isDraining, tunnelEngine: "none",
            routingRuns: routing.process != nil, probingRuns: probing.process != nil, tunnels: [], routes: [],
            applications: [],
            storeRuns: topology.store.contains(kept.node.name) ? store.process != nil : nil, claims: try claims(),
            refused: kept.node.role == .host ? refused : [], usedTwice: alarms)
        guard status.up else { return status }
        let present = Set(try await tunnels.present())
        if !present.isEmpty { status.tunnelEngine = tunnels.processes.isEmpty ? "kernel" : "wireguard-go" }
        let neighbours = try await neighbours()
        let links = status.probingRuns ? probing.report.links : [:]
        var peers: [String: [String: WireGuardPeer]] = [:]
        for device in present { peers[device] = try await self.peers(of: device) }
        for tunnel in kept.tunnels {
            let device = topology.device(of: tunnel, at: kept.node)
            let node = tunnel.peer(of: kept.node)
            let peer = kept.keys[node.name].flatMap { peers[device]?["\($0)"] }
            let neighbour = topology.neighbour(over: tunnel, at: kept.node)
            status.tunnels.append(
                NodeStatus.Tunnel(
                    node: node.name, underlay: tunnel.underlay.name, device: device, endpoint: peer?.endpoint,
                    handshake: peer?.handshake, received: peer?.received ?? 0, sent: peer?.sent ?? 0,
                    routing: kept.carriesData(tunnel) ? neighbours[neighbour] ?? "down" : nil,
                    link: kept.carriesData(tunnel) ? (links[neighbour]?.state ?? .unknown).rawValue : nil,
                    roundTrip: links[neighbour]?.roundTrip))
        }
        status.routes = try await routes()
        status.applications = try await applications().sorted().map(\.description)
        return status
    }

    private func claims() throws(ManagerError) -> [NodeStatus.Claim] {
        if kept.node.role == .host {
            return claimed.sorted().map { NodeStatus.Claim(address: "\($0)", host: kept.node.name) }
        }
        let claims = try kept.claims
        let believed = kept.topology.hosts.flatMap { host in claims.addresses(of: host).map { ($0, host.name) } }
        return believed.sorted { $0.0 < $1.0 }.map { NodeStatus.Claim(address: "\($0.0)", host: $0.1) }
    }

    /// As ``KeyWatch`` said last.
    private var alarms: [Sightings.Alarm] {
        let text = (try? NodeFiles.text(place.alarms)) ?? ""
        return (try? JSONDecoder().decode([Sightings.Alarm].self, from: Data(text.utf8))) ?? []
    }

    private struct WireGuardPeer {
        var endpoint: String?
        var handshake: Int?
        var received: Int
        var sent: Int
    }

    /// The peers of a device by their public keys: wg(8), `show INTERFACE dump`.
    private func peers(of device: String) async throws(ManagerError) -> [String: WireGuardPeer] {
        // A device whose process was killed this moment has none.
        let shown = try await tunnels.wg(["show", device, "dump"]).finish()
        var peers: [String: WireGuardPeer] = [:]
        for line in shown.output.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard fields.count >= 7 else { continue }
            let handshake = Int(fields[4]) ?? 0
            peers[fields[0]] = WireGuardPeer(
                endpoint: handshake == 0 ? nil : fields[2], handshake: handshake == 0 ? nil : handshake,
                received: Int(fields[5]) ?? 0, sent: Int(fields[6]) ?? 0)
        }
        return peers
    }

    /// The state of each BGP protocol by its name: birdc(8), `show protocols`, whose last column it is.
    private func neighbours() async throws(ManagerError) -> [String: String] {
        // One that does not run, or not yet, has none.
        guard routing.process != nil, let shown = try? await routing.control(["show", "protocols"]) else { return [:] }
        var states: [String: String] = [:]
        for line in shown.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 1, fields[1] == "BGP" else { continue }
            states[String(fields[0])] = fields.count > 5 ? String(fields[5]) : String(fields[3])
        }
        return states
    }

    /// As the kernel of the namespace has them.
    private func routes() async throws(ManagerError) -> [NodeStatus.Route] {
        let text = try await Program(["ip", "-n", kept.place.label, "-4", "route", "show", "proto", "bird"]).run()
        var found: [IPPrefix: Set<String>] = [:]
        var destination: IPPrefix?
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            if !line.hasPrefix("\t"), let first = words.first { destination = IPPrefix(first) }
            guard let destination, let index = words.firstIndex(of: "via"), index + 1 < words.count,
                let next = IPAddress(words[index + 1]), let node = kept.topology.node(atLinkAddress: next)
            else { continue }
            found[destination, default: []].insert(node.name)
        }
        return found.sorted { $0.key < $1.key }.map {
            NodeStatus.Route(destination: "\($0.key)", through: $0.value.sorted())
        }
    }
}
