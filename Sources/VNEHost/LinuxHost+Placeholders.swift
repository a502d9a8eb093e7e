public import PolicyModel

internal import Glibc

/// Placeholders: local IPv6 addresses that nothing is received on.
///
/// A server that binds `::` with IPV6_V6ONLY must succeed although its application has no IPv6 address. It is bound to
/// the application's placeholder, and what arrives there is dropped.
extension LinuxHost {
    /// The placeholder of an application address: `fd56:4e45`, the 32-bit FNV-1a hash of the instance's name, 32 zero
    /// bits, and the address. Network byte order, 16 bytes.
    public static func placeholder6(instance: String, address: IPv4Address) -> [UInt8] {
        let hash = IPv4Address(rawValue: fnv1a(instance)).networkBytes
        return [0xfd, 0x56, 0x4e, 0x45] + hash + [0, 0, 0, 0] + address.networkBytes
    }

    /// Adds the local IPv6 address that the application of this address binds `::` to; nothing is received on it. False on
    /// a host without IPv6.
    public func addPlaceholder(for address: IPv4Address) throws(HostError) -> Bool {
        try addPlaceholder(Self.placeholder6(instance: instance, address: address))
    }

    /// Removes what ``addPlaceholder(for:)`` added; nothing if it is not there.
    public func removePlaceholder(for address: IPv4Address) throws(HostError) {
        try removePlaceholder(Self.placeholder6(instance: instance, address: address))
    }

    /// Adds a placeholder as /128 to the instance's interface, without duplicate address detection and never preferred as
    /// a source. True if it is there now, false if this host has IPv6 disabled.
    public func addPlaceholder(_ bytes: [UInt8]) throws(HostError) -> Bool {
        let interface = try interface()
        let answer = try interface.add(bytes)
        switch answer.code {
        case EEXIST: return true
        // Disabled on the interface; not in the kernel, or `ipv6.disable=1`.
        case EACCES, EOPNOTSUPP, EAFNOSUPPORT: return false
        default:
            try interface.check(answer, "add the placeholder", Self.hexadecimal(bytes))
            return true
        }
    }

    /// Removes a placeholder; nothing if it is not there, or IPv6 is disabled.
    public func removePlaceholder(_ bytes: [UInt8]) throws(HostError) {
        do throws(HostError) {
            try interface().remove(bytes, subject: Self.hexadecimal(bytes))
        } catch {
            guard [EOPNOTSUPP, EAFNOSUPPORT, EACCES].contains(error.code) else { throw error }
        }
    }

    /// An IPv6 address in its long form.
    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        stride(from: 0, to: bytes.count - 1, by: 2)
            .map { String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16) }.joined(separator: ":")
    }
}
