public import PolicyModel

internal import CLinux
internal import Glibc

/// Addresses, by rtnetlink.
extension LinuxHost {
    /// Adds a /32 to the instance's interface, which is made where it can be; false if it was there already.
    ///
    /// The interface is a dummy of the instance's own, `vne0` for `vne`, or `lo` where the kernel has no dummies.
    public func addAddress(_ address: IPv4Address) throws(HostError) -> Bool {
        let interface = try interface()
        let answer = try interface.add(address.networkBytes)
        guard answer.code != EEXIST else { return false }
        try interface.check(answer, "add the address", "\(address)")
        return true
    }

    /// Removes a /32 from the instance's interface; nothing if it is not there. A dummy goes with its last address.
    public func removeAddress(_ address: IPv4Address) throws(HostError) {
        try interface().remove(address.networkBytes, subject: "\(address)")
    }

    /// Which address has to be shown to be free before it is used: addresses on any interface of the namespace.
    public func interfaceAddresses() throws(HostError) -> Set<IPv4Address> {
        Set(try rtnetlink().addresses(family: AF_INET).compactMap { IPv4Address(networkBytes: $0.bytes) })
    }

    /// The host's other addresses, broadcasts, loopback resolvers and the indexes of the named interfaces.
    /// - Parameter excluding: application addresses, which are not the host's.
    public func view(interfaces: [String], excluding: Set<IPv4Address>) throws(HostError) -> HostView {
        var view = HostView()
        for entry in try rtnetlink().addresses(family: AF_INET) {
            guard let address = IPv4Address(networkBytes: entry.bytes), address.rawValue >> 24 != 127 else { continue }
            if !excluding.contains(address) { view.addresses.insert(address) }
            if let broadcast = entry.broadcast.flatMap({ IPv4Address(networkBytes: $0) }) {
                view.broadcasts.insert(broadcast)
            }
            // The kernel routes a network's last address as a broadcast also where the interface has none set.
            if entry.prefixLength < 31, let network = IPv4Address(networkBytes: entry.prefixBytes) {
                view.broadcasts.insert(IPv4Prefix(holding: network, length: Int(entry.prefixLength)).last)
            }
        }
        for name in interfaces {
            if let link = try rtnetlink().link(named: name) { view.interfaces[name] = link.index }
        }
        view.sharedServices = try sharedServices()
        return view
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

extension IPv4Address {
    /// The address in network byte order.
    var networkBytes: [UInt8] {
        [UInt8(rawValue >> 24), UInt8(rawValue >> 16 & 255), UInt8(rawValue >> 8 & 255), UInt8(rawValue & 255)]
    }

    /// From four bytes in network byte order.
    init?(networkBytes bytes: [UInt8]) {
        guard bytes.count == 4 else { return nil }
        self.init(rawValue: bytes.reduce(0) { $0 << 8 | UInt32($1) })
    }
}
