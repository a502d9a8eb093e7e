public import PolicyModel

internal import Glibc

/// Private loopbacks: what 127.0.0.1 and ::1 are to an application.
///
/// The IPv4 half needs nothing from the host, as all of 127.0.0.0/8 is local. The IPv6 half is an address on the
/// instance's interface.
extension LinuxHost {
    /// How many private loopbacks an instance can give out: the /24s from 127.1.0.0 to 127.254.255.0.
    public static let loopbackBlocks: UInt32 = 254 << 8

    /// The private loopback with a number: 127.1.0.0 and `fd56:4e45:INSTANCE::` for 0, 127.1.1.0 and
    /// `fd56:4e45:INSTANCE::1` for 1, and so on, where INSTANCE is the hash of the instance's name.
    /// - Parameter block: below ``loopbackBlocks``.
    public func privateLoopback(block: UInt32) -> PrivateLoopback {
        precondition(block < Self.loopbackBlocks)
        let prefix = IPPrefix.privateLoopbacks(of: instance)
        return PrivateLoopback(
            ipv4: IPAddress(ipv4: 0x7f01_0000 + block << 8),
            ipv6: IPAddress(rawValue: prefix.network.rawValue | UInt128(block)))
    }

    /// Adds the /128 of a private loopback to the instance's interface; 127.0.0.0/8 is local everywhere. False if it was
    /// there already, and on a host without IPv6, where nobody can ask for it.
    public func addLoopback(_ loopback: PrivateLoopback) throws(HostError) -> Bool {
        switch try interface().add(loopback.ipv6, on: nil) {
        case .added: true
        case .present, .withoutIPv6: false
        }
    }

    /// Removes what ``addLoopback(_:)`` added; nothing if it is not there. A dummy goes with its last address.
    public func removeLoopback(_ loopback: PrivateLoopback) throws(HostError) {
        try interface().remove(loopback.ipv6)
    }
}

extension IPPrefix {
    /// `fd56:4e45::/32`, which holds the IPv6 halves of all private loopbacks: a prefix of RFC 4193 that no policy may
    /// give out.
    static let privateLoopbacks = IPPrefix(holding: IPAddress(high: 0xfd56_4e45_0000_0000, low: 0), length: 32)

    /// Those of one instance: `fd56:4e45`, then the 32-bit FNV-1a hash of its name.
    static func privateLoopbacks(of instance: String) -> IPPrefix {
        let high = 0xfd56_4e45_0000_0000 | UInt64(fnv1a(instance))
        return IPPrefix(holding: IPAddress(high: high, low: 0), length: 64)
    }
}
