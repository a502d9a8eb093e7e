extension RemotePolicy {
    /// Whether a new flow is allowed, and the line of the file that says so.
    ///
    /// Of the rules whose prefix holds the address and one of whose ports covers the flow the longest prefix decides;
    /// of equal ones, a denial; without any, ``otherwise``.
    public func decide(
        _ address: IPAddress, _ transport: TransportProtocol, _ port: UInt16
    ) -> (allows: Bool, line: Int?) {
        var best: RemoteRule?
        for rule in rules
        where rule.prefix.contains(address) && rule.ports.contains(where: { $0.covers(transport, port) }) {
            guard let previous = best else {
                best = rule
                continue
            }
            if rule.prefix.length > previous.prefix.length
                || (rule.prefix.length == previous.prefix.length && previous.allows && !rule.allows)
            {
                best = rule
            }
        }
        return best.map { ($0.allows, $0.line) } ?? (otherwise, otherwiseLine)
    }

    /// Whether there is no new flow that is denied.
    public var allowsEverything: Bool { otherwise && rules.allSatisfy(\.allows) }

    /// Whether a new flow is allowed.
    public func allows(_ address: IPAddress, _ transport: TransportProtocol, _ port: UInt16) -> Bool {
        decide(address, transport, port).allows
    }
}
