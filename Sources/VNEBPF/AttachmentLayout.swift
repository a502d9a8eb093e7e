internal import PolicyModel
internal import VNEPrograms

extension vne_attachment {
    /// The application addresses; nil where it denies, or has none.
    var addresses: ApplicationAddresses? { ApplicationAddresses(ipv4: identity.address4, ipv6: identity.address6) }

    /// Whether both judge the same way: all but the flows and what the programs count.
    func judges(as other: vne_attachment) -> Bool {
        state == other.state && environment == other.environment && addresses == other.addresses
            && identity.loopback4 == other.identity.loopback4
            && IPAddress(identity.loopback6) == IPAddress(other.identity.loopback6)
    }
}

/// Where the arrays of the flow table lie in `struct vne_attachment`, in bytes.
enum FlowOffset {
    static let remotes = offset(\.flow_remotes)
    static let ports = offset(\.flow_ports)
    static let stamps = offset(\.flow_stamps)

    private static func offset(_ field: PartialKeyPath<vne_attachment>) -> Int {
        guard let offset = MemoryLayout<vne_attachment>.offset(of: field) else {
            preconditionFailure("a field of a C structure has an offset")
        }
        return offset
    }
}
