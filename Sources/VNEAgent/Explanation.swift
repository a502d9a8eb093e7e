public import PolicyModel

/// What the isolator would do about a flow, and why: the reference decision, run for both of its ends.
public struct Explanation: Hashable, Sendable, Codable {
    /// The decision at one end of the flow.
    public struct Side: Hashable, Sendable, Codable {
        /// The application whose hook decides.
        public var application: String
        /// The family of hooks that decides, by the word that counters and denials have: `connect`.
        public var hook: String
        /// The hook itself, as `bpftool` and libbpf call it: `cgroup/connect4`. A call for IPv4 from an IPv6 socket comes by
        /// the hook of IPv6, and one on a connected datagram socket by that of `connect`: they decide alike.
        public var attachPoint: String
        /// Whether it is let through.
        public var allowed: Bool
        /// Whether only audit mode lets it through.
        public var audited: Bool
        /// The reason's word, such as `other-environment`.
        public var reason: String
        /// Why, in plain English.
        public var sentence: String
        /// The policy file, where a line of it decided.
        public var file: String?
        /// The line of it.
        public var line: Int?
    }

    /// A range of ports for which the answer is the same.
    public struct Case: Hashable, Sendable, Codable {
        /// `80` or `1-1023`; nil where there are no ports, or where the answer is the same for all of them.
        public var ports: String?
        /// Whether the flow gets through: every end lets it.
        public var allowed: Bool
        /// The ends that decide, in the order in which the flow meets them.
        public var sides: [Side]
    }

    /// The application that was asked about.
    public var application: String
    /// Its environment.
    public var environment: String
    /// Its addresses, IPv4 first; one of each family at most.
    public var addresses: [IPAddress]
    /// `tcp`, `udp` or `ping`.
    public var transport: TransportProtocol
    /// Whether the peer begins.
    public var incoming: Bool
    /// The other end's address.
    public var peer: IPAddress
    /// What that address is: `application payments-db of payments`, `the host`, `its own loopback, 127.1.0.1`, …
    public var peerKind: String
    /// One for each range of ports that is judged alike.
    public var cases: [Case]
    /// What makes the kernel's answer another one than the policy's.
    public var warnings: [String]

    /// Whether the flow gets through, whatever the port.
    public var allowed: Bool { cases.allSatisfy(\.allowed) }
}

extension Explanation: CustomStringConvertible {
    /// For people: a line about the flow, and for each case a verdict with the reasons below it.
    public var description: String {
        // The address that has to do with this flow; all of them where none is of its family.
        let matching = addresses.filter { $0.family == peer.family }
        let shown = (matching.isEmpty ? addresses : matching).map(\.description).joined(separator: ", ")
        let own = "\(application) (\(environment), \(shown))"
        let other = "\(peer) (\(peerKind))"
        var lines = ["\(transport.rawValue): " + (incoming ? "\(other) to \(own)" : "\(own) to \(other)")]
        for answer in cases {
            let ports = answer.ports.map { ", port \($0)" } ?? (transport == .ping ? "" : ", any port")
            lines.append("\(answer.allowed ? "ALLOWED" : "DENIED")\(ports)")
            for side in answer.sides {
                let word = side.audited ? "denied, but audit mode lets it through" : side.allowed ? "allowed" : "denied"
                var line =
                    "  \(side.hook) (\(side.attachPoint)) at \(side.application): \(word): \(side.sentence) "
                    + "[\(side.reason)]"
                if let file = side.file, let number = side.line { line += "  \(file):\(number)" }
                lines.append(line)
            }
        }
        return (lines + warnings.map { "note: \($0)" }).joined(separator: "\n")
    }
}
