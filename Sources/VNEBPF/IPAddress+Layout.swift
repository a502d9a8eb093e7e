internal import PolicyModel
internal import VNEPrograms

/// Between `struct vne_address` and ``PolicyModel/IPAddress``.
extension IPAddress {
    /// The address as the kernel half has it; all zero where there is none.
    init(_ layout: vne_address) {
        self.init(high: layout.high, low: layout.low)
    }

    /// The address, or nil where the structure says that there is none.
    static func present(_ layout: vne_address) -> IPAddress? {
        let address = IPAddress(layout)
        return address.rawValue == 0 ? nil : address
    }

    /// The address as the kernel half has it.
    var layout: vne_address { vne_address(high: high, low: low) }
}

extension ApplicationAddresses {
    /// The addresses of a record, where 0 and all zero mean that there is none; nil if there is neither.
    init?(ipv4: UInt32, ipv6: vne_address) {
        self.init(ipv4: ipv4 == 0 ? nil : IPAddress(ipv4: ipv4), ipv6: IPAddress.present(ipv6))
    }

    /// The IPv4 address, host byte order; 0 if there is none.
    var layout4: UInt32 { ipv4?.ipv4 ?? 0 }

    /// The IPv6 address; all zero if there is none.
    var layout6: vne_address { ipv6?.layout ?? vne_address() }
}

extension PrivateLoopback {
    /// The loopback of a record.
    init(ipv4: UInt32, ipv6: vne_address) {
        self.init(ipv4: IPAddress(ipv4: ipv4), ipv6: IPAddress(ipv6))
    }
}
