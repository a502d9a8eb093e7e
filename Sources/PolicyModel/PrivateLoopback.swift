/// The application's own loopback: what its loopback addresses are in truth, so that two applications may both listen
/// on `127.0.0.1:6379` and cannot reach each other.
///
/// 127.0.b.n, b 0 or 1 and n 1 to 126, is `ipv4 + 128 * b + n`, and ::1 is `ipv6`; an application has no other loopback
/// address. (127.0.1.1 is what Debian gives the host's own name.) The kernel half has the same in `vne_abi.h`.
public struct PrivateLoopback: Hashable, Sendable {
    /// The first address of its /24: 127.1.0.0 to 127.254.255.0.
    public var ipv4: IPAddress
    /// What ::1 is: an address of its own on the instance's interface, in fd56:4e45::/32.
    public var ipv6: IPAddress

    /// A loopback from its two ends.
    public init(ipv4: IPAddress, ipv6: IPAddress) {
        self.ipv4 = ipv4
        self.ipv6 = ipv6
    }

    /// What an address that a program asks for is in truth; nil where the application has no such loopback address.
    ///
    /// The wildcards are loopback to a connect: 0.0.0.0 is as 127.0.0.1, :: as ::1.
    public func own(_ asked: IPAddress) -> IPAddress? {
        if asked.isUnspecified { return own(asked.family == .ipv4 ? .loopback4 : .loopback6) }
        if asked == .loopback6 { return ipv6 }
        guard let number = asked.ipv4, let base = ipv4.ipv4 else { return nil }
        let (third, host) = (number >> 8 & 0xff, number & 0xff)
        guard number >> 16 == 0x7f00, third <= 1, Self.hosts.contains(host) else { return nil }
        return IPAddress(ipv4: base & 0xffff_ff00 | third << 7 | host)
    }

    /// What 127.0.0.1 and ::1 are in truth.
    public var localhosts: [IPAddress] { [own(.loopback4), ipv6].compactMap(\.self) }

    /// What a program calls an address of this loopback; nil for any other address.
    public func asked(_ own: IPAddress) -> IPAddress? {
        if own == ipv6 { return .loopback6 }
        guard let number = own.ipv4, let base = ipv4.ipv4, number >> 8 == base >> 8, Self.hosts.contains(number & 127)
        else { return nil }
        return IPAddress(ipv4: 0x7f00_0000 | (number >> 7 & 1) << 8 | number & 127)
    }

    /// Whether the address is one of the application's own, as it is in truth.
    public func contains(_ address: IPAddress) -> Bool {
        asked(address) != nil
    }

    /// Where the /24s of applications are: VNE_LOOPBACK_FIRST to the end of VNE_LOOPBACK_LAST of `vne_abi.h`.
    static let blocks = IPAddress(ipv4: 0x7f01_0000)...IPAddress(ipv4: 0x7ffe_ffff)

    /// n of 127.0.b.n.
    private static let hosts: ClosedRange<UInt32> = 1...126
}
