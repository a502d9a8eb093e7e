internal import PolicyModel

/// A set of ports: ascending ranges that neither overlap nor touch.
struct PortSet: Hashable {
    private(set) var ranges: [ClosedRange<UInt16>]

    static let none = PortSet(ranges: [])
    static let all = PortSet(ranges: [0...UInt16.max])

    /// Adds the ports of a range; ranges that overlap or touch become one.
    mutating func insert(_ range: ClosedRange<UInt16>) {
        var lower = range.lowerBound
        var upper = range.upperBound
        var result: [ClosedRange<UInt16>] = []
        var later: [ClosedRange<UInt16>] = []
        for existing in ranges {
            if Int(existing.upperBound) + 1 < Int(lower) {
                result.append(existing)
            } else if Int(upper) + 1 < Int(existing.lowerBound) {
                later.append(existing)
            } else {
                lower = min(lower, existing.lowerBound)
                upper = max(upper, existing.upperBound)
            }
        }
        ranges = result + [lower...upper] + later
    }

    /// Takes the ports of a range away.
    mutating func remove(_ range: ClosedRange<UInt16>) {
        ranges = ranges.flatMap { existing -> [ClosedRange<UInt16>] in
            guard existing.overlaps(range) else { return [existing] }
            var rest: [ClosedRange<UInt16>] = []
            if existing.lowerBound < range.lowerBound { rest.append(existing.lowerBound...range.lowerBound - 1) }
            if existing.upperBound > range.upperBound { rest.append(range.upperBound + 1...existing.upperBound) }
            return rest
        }
    }

    /// All other ports.
    var complement: PortSet {
        ranges.reduce(into: .all) { $0.remove($1) }
    }
}

/// What flows a permit or a remote policy covers at one peer: the meaning of a list of rules, whatever its order.
struct Traffic: Hashable {
    var tcp: PortSet
    var udp: PortSet
    var ping: Bool

    static let none = Traffic(tcp: .none, udp: .none, ping: false)
    static let all = Traffic(tcp: .all, udp: .all, ping: true)

    /// Adds what a rule covers: without a protocol all of them, and ping whatever its ports.
    mutating func insert(_ rule: PortRule) {
        if rule.transport == nil || rule.transport == .tcp { tcp.insert(rule.ports) }
        if rule.transport == nil || rule.transport == .udp { udp.insert(rule.ports) }
        if rule.transport == nil || rule.transport == .ping { ping = true }
    }

    /// Takes away what a rule covers.
    mutating func remove(_ rule: PortRule) {
        if rule.transport == nil || rule.transport == .tcp { tcp.remove(rule.ports) }
        if rule.transport == nil || rule.transport == .udp { udp.remove(rule.ports) }
        if rule.transport == nil || rule.transport == .ping { ping = false }
    }

    /// Everything else.
    var complement: Traffic {
        Traffic(tcp: tcp.complement, udp: udp.complement, ping: !ping)
    }
}
