/// The protocols that a policy can name.
public enum TransportProtocol: String, CaseIterable, Hashable, Sendable, Codable {
    /// TCP, and MPTCP, which is TCP on the wire.
    case tcp
    /// UDP.
    case udp
    /// ICMP echo through ping sockets (`SOCK_DGRAM`, `IPPROTO_ICMP` and `IPPROTO_ICMPV6`).
    case ping

    /// `IPPROTO_…` in the packet's header; for ping IPPROTO_ICMP, which stands for IPPROTO_ICMPV6 (58) as well.
    public var number: UInt8 {
        switch self {
        case .tcp: 6
        case .udp: 17
        case .ping: 1
        }
    }
}

/// A protocol and a range of ports: `tcp/5432`, `udp/5000-5010`, `tcp`, or everything.
public struct PortRule: Hashable, Sendable {
    /// The protocol; nil for any.
    public var transport: TransportProtocol?
    /// Destination ports of new flows. `0...65535` where the rule names none; of no meaning for ping.
    public var ports: ClosedRange<UInt16>

    /// A rule for one protocol, or any, and a range of ports.
    public init(_ transport: TransportProtocol?, _ ports: ClosedRange<UInt16> = 0...65535) {
        self.transport = transport
        self.ports = ports
    }

    /// Whether a flow of `transport` to `port` is covered. Ping has no ports: a rule for ping covers it whole.
    public func covers(_ transport: TransportProtocol, _ port: UInt16) -> Bool {
        guard self.transport == nil || self.transport == transport else { return false }
        return transport == .ping || ports.contains(port)
    }
}
