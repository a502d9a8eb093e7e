internal import CLinux
internal import Glibc
public import PolicyModel

/// Routes to single IPv4 addresses in a network namespace, which change at once: by rtnetlink(7), without a program.
public final class SingleRoutes {
    private let session: NetlinkSession
    private let rtnetlink: Rtnetlink
    private let number: UInt8
    private let namespace: String

    /// - Parameters:
    ///   - namespace: a file that names it, as `ip netns add` leaves them.
    ///   - number: what the routes are known by: their protocol.
    public init(in namespace: String, protocol number: UInt8) throws(HostError) {
        let socket = try KernelNetlinkSocket(family: NETLINK_ROUTE, in: namespace)
        session = NetlinkSession(socket)
        rtnetlink = Rtnetlink(socket)
        self.number = number
        self.namespace = namespace
    }

    /// Leads to an address from now on, in place of whatever was there.
    /// - Parameter gateway: nil where the address is on the link itself.
    public func lead(to address: IPAddress, via gateway: IPAddress?, over link: String) throws(HostError) {
        guard let found = try rtnetlink.link(named: link) else {
            throw .system("find the interface", "\(link) of \(namespace)", code: ENODEV)
        }
        try replace(address, (gateway, found.index))
    }

    /// Lets nothing through to an address from now on, in place of whatever was there, and says nothing to who sends.
    public func close(_ address: IPAddress) throws(HostError) {
        try replace(address, nil)
    }

    private func replace(_ address: IPAddress, _ way: (gateway: IPAddress?, link: UInt32)?) throws(HostError) {
        let answer = try session.exchange(Rtnetlink.singleRouteRequest(to: address, way, protocol: number))
        try rtnetlink.check(answer, "change the route to", "\(address)")
    }
}
