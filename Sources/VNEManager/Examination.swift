internal import FoundationEssentials
internal import Glibc
internal import OverlayKeys
internal import OverlayModel
internal import PolicyModel

/// What was found when a node was looked at for what is wrong with it, and what to do about that.
public struct Examination: Codable, Hashable, Sendable {
    /// How it is.
    public enum Grade: String, Codable, Hashable, Sendable {
        /// As it should be.
        case right
        /// Worth knowing, and no fault of the node.
        case notice
        /// The node does not do all that it should.
        case wrong
    }

    /// One thing that was looked at.
    public struct Finding: Codable, Hashable, Sendable {
        /// What, as `tunnel to paris`.
        public var subject: String
        /// How it is.
        public var grade: Grade
        /// What is so: a sentence without a full stop.
        public var what: String
        /// What to do about it; nil where there is nothing to do.
        public var remedy: String?
    }

    /// The network's name.
    public var network: String
    /// The node's name.
    public var node: String
    /// In the order in which things depend on each other: what comes first may be why of what follows.
    public private(set) var findings: [Finding] = []

    /// Whether nothing is wrong.
    public var isSound: Bool { !findings.contains { $0.grade == .wrong } }

    fileprivate mutating func add(_ subject: String, _ grade: Grade, _ what: String, _ remedy: String? = nil) {
        findings.append(Finding(subject: subject, grade: grade, what: what, remedy: remedy))
    }
}

extension NetworkNode {
    /// Looks for what is wrong with this node. It changes nothing.
    public func examine() async throws(ManagerError) -> Examination {
        var examination = Examination(network: kept.topology.network, node: kept.node.name)
        examinePrograms(&examination)
        examineCredential(&examination)
        guard !kept.isDown else {
            examination.add("node", .wrong, "it was taken down", "vne-manager up")
            return examination
        }
        let status = try await status()
        guard status.up else {
            examination.add(
                "node", .wrong, "the network's namespace \(place.label) is not there",
                "have “vne-manager run” run (systemctl enable --now vne-network@\(place.network)), or vne-manager up")
            return examination
        }
        try await examineEngines(status, &examination)
        examineTunnels(status, &examination)
        if kept.topology.store.contains(kept.node.name) { try await examineStore(&examination) }
        if kept.node.role == .host { try await examineApplications(status, &examination) }
        for alarm in status.usedTwice {
            examination.add(
                "key of \(alarm.node)", .wrong, "it is used from \(alarm.places.joined(separator: " and "))",
                "somebody else may have it: vne-manager revoke \(alarm.node)")
        }
        return examination
    }

    /// What a node runs, and the packages of Debian that have it.
    private var neededPrograms: [(program: String, package: String)] {
        var needed = [("ip", "iproute2"), ("nft", "nftables"), ("wg", "wireguard-tools"), ("bird", "bird2")]
        if kept.topology.store.contains(kept.node.name) { needed.append(("etcd", "etcd-server")) }
        if kept.node.role == .manager, !kept.topology.store.isEmpty { needed.append(("etcdctl", "etcd-client")) }
        return needed
    }

    private func examinePrograms(_ examination: inout Examination) {
        let missing = neededPrograms.filter { ProgramPath.find($0.program) == nil }
        for (program, package) in missing {
            examination.add("programs", .wrong, "there is no \(program)", "apt-get install \(package)")
        }
        if missing.isEmpty { examination.add("programs", .right, "all that the node runs are there") }
        if kept.node.role == .host, !kept.isApart, ProgramPath.find("ethtool") == nil {
            examination.add(
                "programs", .notice,
                "there is no ethtool: packets from userspace tunnels are not put together, which costs throughput",
                "apt-get install ethtool")
        }
    }

    /// From when on the end of a credential is told of.
    private static let notice: Int64 = 14 * 24 * 3600

    private func examineCredential(_ examination: inout Examination) {
        guard let roster = kept.roster, let own = roster.members.first(where: { $0.node == kept.node.name }) else {
            return
        }
        let left = own.expires.seconds - Timestamp.now.seconds
        if left <= 0 {
            examination.add(
                "credential", .wrong, "it ended at \(own.expires): others give this node nothing but their own talk",
                "at the manager that issues rosters, \(roster.issuer): vne-manager invite \(kept.node.name) --replace")
        } else if left < Self.notice {
            examination.add(
                "credential", .notice, "it ends at \(own.expires)",
                "at the manager that issues rosters, \(roster.issuer): vne-manager invite \(kept.node.name) --replace")
        } else {
            examination.add("credential", .right, "it is valid until \(own.expires)")
        }
    }

    private func examineEngines(_ status: NodeStatus, _ examination: inout Examination) async throws(ManagerError) {
        let mend = "vne-manager up mends it; “vne-manager run” does so by itself: does it run?"
        let present = try await tunnels.present()
        let devices = Set(kept.tunnels.map { kept.topology.device(of: $0, at: kept.node) })
        let missing = devices.subtracting(present).sorted()
        if !missing.isEmpty {
            examination.add("engines", .wrong, "there is no tunnel device \(missing.joined(separator: ", "))", mend)
        }
        let engines = [
            ("BIRD", status.routingRuns), ("the prober", status.probingRuns), ("etcd", status.storeRuns ?? true),
        ]
        let dead = engines.filter { !$0.1 }.map(\.0)
        if !dead.isEmpty {
            examination.add(
                "engines", .wrong, "\(dead.joined(separator: ", ")) \(dead.count > 1 ? "do" : "does") not run", mend)
        }
        if missing.isEmpty, dead.isEmpty {
            examination.add("engines", .right, "tunnels by \(status.tunnelEngine), and all others run")
        }
        if status.draining {
            examination.add(
                "node", .notice, "it is drained: others take other ways where there are any", "vne-manager drain --undo"
            )
        }
    }

    private func examineTunnels(_ status: NodeStatus, _ examination: inout Examination) {
        for tunnel in kept.tunnels {
            let peer = tunnel.peer(of: kept.node)
            guard
                let seen = status.tunnels.first(where: {
                    $0.node == peer.name && $0.underlay == tunnel.underlay.name
                })
            else { continue }
            let subject = "tunnel to \(peer.name) over \(tunnel.underlay.name)"
            guard let heard = seen.handshake else {
                examination.add(subject, .wrong, "\(peer.name) was never heard", wayTo(peer, by: tunnel))
                continue
            }
            switch (seen.link, seen.routing) {
            case ("silent"?, _):
                examination.add(
                    subject, .wrong,
                    "it forwards nothing; the ends last agreed on a key \(Timestamp.now.seconds - Int64(heard)) s ago",
                    wayTo(peer, by: tunnel))
            case ("narrow"?, _):
                examination.add(
                    subject, .wrong, "it loses packets of \(tunnel.mtu) bytes and carries small ones",
                    "say in the topology what the underlay takes: underlays.\(tunnel.underlay.name).mtu, now \(tunnel.underlay.mtu)"
                )
            case (_, let routing?) where routing != "Established" && status.routingRuns:
                examination.add(
                    subject, .wrong, "the link is \(seen.link ?? "unknown"), and BGP is \(routing)",
                    "a link that was lost is spoken over again after it was good for a while; else look at BIRD of \(peer.name): "
                        + "vne-manager status there")
            default:
                let time = seen.roundTrip.map { ", \(($0 * 10).rounded() / 10) ms" } ?? ""
                examination.add(subject, .right, "\(seen.link ?? "it carries no data")\(time)")
            }
        }
    }

    /// What has to let a tunnel's packets through.
    private func wayTo(_ peer: Node, by tunnel: Tunnel) -> String {
        let topology = kept.topology
        func place(_ node: Node) -> String? {
            guard case .address(let address) = node.endpoints[tunnel.underlay.name] else { return nil }
            return "\(address), UDP port \(topology.port(of: tunnel, at: node))"
        }
        let places = [place(peer), place(kept.node)].compactMap { $0 }
        return "is \(peer.name) up (vne-manager doctor there), and does every firewall between let this through: "
            + places.joined(separator: "; and ")
    }

    /// How much has to be left for the store; etcd stops where it cannot write.
    private static let room: UInt64 = 256 << 20

    private func examineStore(_ examination: inout Examination) async throws(ManagerError) {
        for endpoint in kept.topology.storeEndpoints(for: kept.node) {
            do throws(ManagerError) {
                _ = try await StoreClient(place: place, endpoints: [endpoint]).read()
                examination.add("store at \(endpoint)", .right, "it answers, and agrees with most others")
            } catch {
                examination.add(
                    "store at \(endpoint)", .wrong, error.description,
                    "is that manager up, and are most of them? Nothing is claimed or given up without most of: "
                        + kept.topology.store.joined(separator: ", "))
            }
        }
        var disk = statvfs()
        guard unsafe statvfs(place.kept, &disk) == 0 else { return }
        let left = UInt64(disk.f_bavail) * UInt64(disk.f_frsize)
        guard left < Self.room else { return }
        examination.add(
            "store", .wrong, "\(left >> 20) MB are left at \(place.store), and etcd stops where it cannot write",
            "make room there")
    }

    private func examineApplications(_ status: NodeStatus, _ examination: inout Examination) async throws(ManagerError)
    {
        let handing = try handing
        for (address, host) in handing.sorted(by: { $0.key < $1.key }) {
            examination.add(
                address, .wrong, "it was handed over to \(host), and no manager has said what became of that",
                "managers are asked until one answers, as long as “vne-manager run” runs")
        }
        let refusals = Dictionary(status.refused.map { ($0.address, $0.reason) }) { first, _ in first }
        let had = Set(status.claims.map(\.address)).union(handing.keys)
        for address in try await wanted().sorted().map(\.description) where !had.contains(address) {
            if let reason = refusals[address] {
                examination.add(
                    address, .notice, reason,
                    "it becomes this host's once the other one gives it up, or hands it over: vne-manager move there")
            } else {
                examination.add(
                    address, .wrong, "an application has it here, and no manager has said whose it is",
                    "does “vne-manager run” run here, and do managers and their store answer? See vne-manager doctor there"
                )
            }
        }
        let count = status.applications.count
        if count > 0 {
            examination.add("applications", .right, "the network leads to \(count) here")
        } else {
            examination.add(
                "applications", .notice, "none of this host's addresses is one of an application",
                "see vne-agent attach --help; what the network gives to this host: \(place.policy)")
        }
    }
}
