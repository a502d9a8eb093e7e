internal import FoundationEssentials

/// Which links a node probes, and when one counts as lost: what the prober of a node reads, as JSON.
///
/// A probe is an echo request of ICMP (RFC 792) through the tunnel, which the kernel at the other end answers: it says that the
/// link forwards both ways, whether or not anything else runs there.
public struct ProbePlan: Codable, Hashable, Sendable {
    /// One link: a tunnel that carries data, at one of its ends.
    public struct Link: Codable, Hashable, Sendable {
        /// BIRD's protocol for the neighbour: ``Topology/neighbour(over:tunnel:at:)``.
        public var neighbour: String
        /// The device.
        public var device: String
        /// This end's address.
        public var local: String
        /// The other end's.
        public var remote: String
        /// The largest packet that the link has to carry, in bytes; nil where the other end finds that out, as it has a
        /// device for this link alone.
        public var mtu: Int?
        /// Whether it leads on to everybody else, as a host's links to its managers do, and those between managers.
        public var leadsOn: Bool
    }

    /// Milliseconds from one probe of a link to the next.
    public var interval: Int
    /// After so many intervals without an answer a link counts as lost.
    public var multiplier: Int
    /// The links, in the order of the topology.
    public var links: [Link]

    /// How long a link may be silent.
    public var patience: Duration { .milliseconds(interval * multiplier) }
}

extension NodeCompiler {
    /// What the prober is told.
    var probeFile: NodeConfiguration.File {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        // Encoding strings and numbers does not fail.
        let text = (try? encoder.encode(probes)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return NodeConfiguration.File(path: "probes.json", text: text + "\n")
    }

    private var probes: ProbePlan {
        let detection = topology.failureDetection
        return ProbePlan(
            interval: detection.interval, multiplier: detection.multiplier,
            links: tunnels.filter(carriesData).map { tunnel in
                let sharesDevice = tunnel.kind == .spoke && node.role == .manager
                return ProbePlan.Link(
                    neighbour: topology.neighbour(over: tunnel, at: node),
                    device: topology.device(of: tunnel, at: node),
                    local: "\(topology.linkAddress(of: node, over: tunnel.underlayIndex))",
                    remote: "\(topology.linkAddress(of: tunnel.peer(of: node), over: tunnel.underlayIndex))",
                    mtu: sharesDevice ? nil : tunnel.mtu, leadsOn: tunnel.kind != .direct && !sharesDevice)
            })
    }
}
