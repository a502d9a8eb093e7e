public import PolicyModel

internal import CLinux
internal import Glibc

/// Addresses, by rtnetlink.
extension LinuxHost {
    /// Adds a /32 or /128 to an interface; false if it was there already. It can be used at once, and nobody picks it as a
    /// source unasked. Whether somebody else has it is the caller's to ask: ``holders(of:on:)``.
    /// - Parameter carrier: nil for the instance's own interface, which is made where it can be: a dummy, `vne0` for
    ///   `vne`, or `lo` where the kernel has no dummies.
    public func addAddress(_ address: IPAddress, on carrier: String?) throws(HostError) -> Bool {
        switch try interface().add(address, on: carrier) {
        case .added: return true
        case .present: return false
        case .withoutIPv6(let error): throw error
        }
    }

    /// Removes a /32 or /128 from whichever interface has it; nothing if none has. A dummy of the instance's goes with its
    /// last address.
    public func removeAddress(_ address: IPAddress) throws(HostError) {
        try interface().remove(address)
    }

    /// Removes a /32 or /128 that is on the carrier from every other interface.
    public func removeAddress(_ address: IPAddress, besides carrier: String?) throws(HostError) {
        try interface().remove(address, besides: carrier)
    }

    /// Which address has to be shown to be free before it is used: those of both families on any interface of the
    /// namespace, application addresses and private loopbacks included.
    public func interfaceAddresses() throws(HostError) -> Set<IPAddress> {
        Set(try rtnetlink().addresses().map(\.address))
    }

    /// Those of ``interfaceAddresses()``, and which of them are on the interface for application addresses.
    /// - Parameter carrier: as ``addAddress(_:on:)`` takes it.
    public func addresses(
        carrier: String?
    ) throws(HostError) -> (all: Set<IPAddress>, carried: Set<IPAddress>) {
        let carriers = try interface().carriers(carrier)
        let entries = try rtnetlink().addresses()
        return (
            Set(entries.lazy.map(\.address)),
            Set(entries.lazy.filter { carriers.contains($0.link) }.map(\.address))
        )
    }

    /// The host's other addresses of both families, its broadcasts, its loopback resolvers and the indexes of the named
    /// interfaces.
    ///
    /// Loopback, IPv6's link-local addresses, which are judged as such, and the private loopbacks of every instance are
    /// not among them.
    /// - Parameter excluding: application addresses, which are not the host's.
    public func view(interfaces: [String], excluding: Set<IPAddress>) throws(HostError) -> HostView {
        var view = HostView()
        for entry in try rtnetlink().addresses() where !Self.isSpecial(entry.address) {
            if !excluding.contains(entry.address) { view.addresses.insert(entry.address) }
            guard entry.prefix.family == .ipv4 else { continue }
            if let broadcast = entry.broadcast { view.broadcasts.insert(broadcast) }
            // The kernel routes a network's last address as a broadcast also where the interface has none set.
            if entry.prefix.length < 31 { view.broadcasts.insert(entry.prefix.last) }
        }
        // A router answers on the first address of its networks too (RFC 4291, 2.6.1), and no interface shows it.
        let anycast = try rtnetlink().anycastAddresses().filter { !Self.isSpecial($0) && !excluding.contains($0) }
        view.addresses.formUnion(anycast)
        for name in interfaces {
            if let link = try rtnetlink().link(named: name) { view.interfaces[name] = link.index }
        }
        view.sharedServices = try sharedServices()
        return view
    }

    /// Whether an address of an interface is something else than the host's.
    private static func isSpecial(_ address: IPAddress) -> Bool {
        address.isLoopback || IPPrefix.linkLocal6.contains(address) || IPPrefix.privateLoopbacks.contains(address)
    }

    /// The resolvers on loopback. A host without the file has none; an unreadable one is an error.
    private func sharedServices() throws(HostError) -> [SharedService] {
        do throws(HostError) {
            return ResolverConfiguration(parsing: try textFile(resolvConf)).sharedServices
        } catch {
            guard error.kind == .missing else { throw error }
            return []
        }
    }
}

extension IPAddress {
    /// Whether it is in 127.0.0.0/8, or ::1.
    var isLoopback: Bool {
        ipv4.map { $0 >> 24 == 127 } ?? (rawValue == 1)
    }
}

extension IPPrefix {
    /// fe80::/10.
    static let linkLocal6 = IPPrefix(holding: IPAddress(high: 0xfe80_0000_0000_0000, low: 0), length: 10)
}
