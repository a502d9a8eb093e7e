internal import PolicyModel
internal import VNEPrograms

/// The rule table of an image while it is built: lists of `struct vne_rule`, each kept once.
struct RuleTable {
    /// The bits of one `struct vne_rule`.
    struct Rule: Hashable {
        var match: UInt32
        var ports: UInt32

        init(_ transport: TransportProtocol?, _ ports: ClosedRange<UInt16>, allows: Bool) {
            self.match = UInt32(transport?.number ?? 0) | (allows ? VNE_RULE_ALLOW : 0)
            self.ports = UInt32(ports.lowerBound) | UInt32(ports.upperBound) << 16
        }
    }

    /// The two lists that every image starts with, then all others.
    private(set) var rules: [Rule]
    private var known: [Traffic: UInt32] = [.none: VNE_RULES_DENY_ALL, .all: VNE_RULES_ALLOW_ALL]

    init() {
        rules = [Rule(nil, 0...UInt16.max, allows: false), Rule(nil, 0...UInt16.max, allows: true)]
        for index in rules.indices { rules[index].match |= VNE_RULE_LAST }
    }

    /// The index of the list that allows just this traffic.
    /// - Parameters:
    ///   - source: the policy file's name, for the error.
    ///   - line: its line that the traffic comes from.
    mutating func list(_ traffic: Traffic, source: String, line: Int?) throws(PolicyImageError) -> UInt32 {
        if let index = known[traffic] { return index }
        // What is allowed, or everything but what is denied: the shorter one.
        let allowing = Self.rules(matching: traffic, allows: true)
        let denying =
            Self.rules(matching: traffic.complement, allows: false) + [Rule(nil, 0...UInt16.max, allows: true)]
        var list = denying.count < allowing.count ? denying : allowing
        guard list.count <= Int(VNE_RULES_MAX) else {
            throw PolicyImageError(
                source: source, line: line, problem: .rules(count: list.count, most: Int(VNE_RULES_MAX)))
        }
        list[list.count - 1].match |= VNE_RULE_LAST
        let index = UInt32(rules.count)
        rules += list
        known[traffic] = index
        return index
    }

    /// Rules that together match just this traffic, which is neither nothing nor everything.
    private static func rules(matching traffic: Traffic, allows: Bool) -> [Rule] {
        // A range of both TCP and UDP is one rule without a protocol, unless that would match ping too, whose port is 0.
        let udp = Set(traffic.udp.ranges)
        let common = traffic.tcp.ranges.filter { udp.contains($0) && ($0.lowerBound > 0 || traffic.ping) }
        let ping = traffic.ping ? [Rule(.ping, 0...UInt16.max, allows: allows)] : []
        return common.map { Rule(nil, $0, allows: allows) }
            + traffic.tcp.ranges.filter { !common.contains($0) }.map { Rule(.tcp, $0, allows: allows) }
            + traffic.udp.ranges.filter { !common.contains($0) }.map { Rule(.udp, $0, allows: allows) } + ping
    }
}
