internal import CLinux
internal import Glibc
internal import PolicyModel

/// The requests, as pure values.
extension SocketDiagnostics {
    /// A dump of some states, all unless they are named. The cgroup's id comes unasked.
    static func dumpRequest(
        family: Int32, _ transport: TransportProtocol, states: UInt32 = .max
    ) -> NetlinkMessage {
        request(
            Int(SOCK_DIAG_BY_FAMILY), flags: NLM_F_DUMP, family: UInt8(family), transport, states: states,
            identity: [UInt8](repeating: 0, count: 48))
    }

    /// SOCK_DESTROY of one socket.
    static func destroyRequest(family: UInt8, _ transport: TransportProtocol, identity: [UInt8]) -> NetlinkMessage {
        request(Int(SOCK_DESTROY), flags: NLM_F_ACK, family: family, transport, states: .max, identity: identity)
    }

    /// `struct inet_diag_sockid`: ports and addresses in network byte order, the rest in the host's.
    static func identity(of socket: ObservedSocket) -> [UInt8] {
        socket.localPort.bigEndian.nativeBytes + socket.remotePort.bigEndian.nativeBytes
            + field(socket.local, family: socket.family) + field(socket.remote, family: socket.family)
            + socket.interface.nativeBytes
            + UInt32(truncatingIfNeeded: socket.cookie).nativeBytes
            + UInt32(truncatingIfNeeded: socket.cookie >> 32).nativeBytes
    }

    /// An address in 16 bytes: an IPv4 socket's in the first four, an IPv6 socket's IPv4 address in its mapped form.
    private static func field(_ address: IPAddress?, family: UInt8) -> [UInt8] {
        guard let address else { return [UInt8](repeating: 0, count: 16) }
        if Int32(family) == AF_INET { return address.networkBytes + [UInt8](repeating: 0, count: 12) }
        return address.high.bigEndian.nativeBytes + address.low.bigEndian.nativeBytes
    }

    /// struct inet_diag_req_v2.
    private static func request(
        _ type: Int, flags: Int32, family: UInt8, _ transport: TransportProtocol, states: UInt32, identity: [UInt8]
    ) -> NetlinkMessage {
        var message = NetlinkMessage(type: type, flags: flags)
        message.append([family, transport.number, 0, 0])
        message.append(states)
        message.append(identity)
        return message
    }
}

extension ObservedSocket {
    /// From a `struct inet_diag_msg` and its attributes; nil if it is cut short.
    init?(_ reply: NetlinkReply, _ transport: TransportProtocol) {
        let payload = reply.payload
        guard payload.count >= 72, let localPort = payload.bigEndian(at: 4, as: UInt16.self),
            let remotePort = payload.bigEndian(at: 6, as: UInt16.self),
            let interface = payload.number(at: 40, as: UInt32.self),
            let cookieLow = payload.number(at: 44, as: UInt32.self),
            let cookieHigh = payload.number(at: 48, as: UInt32.self),
            let inode = payload.number(at: 68, as: UInt32.self)
        else { return nil }
        let family = payload[payload.startIndex]
        let remote = Self.address(payload, at: 24, family)
        self.init(
            family: family, transport: transport, cookie: UInt64(cookieHigh) << 32 | UInt64(cookieLow),
            state: payload[payload.startIndex + 1], local: Self.address(payload, at: 8, family), localPort: localPort,
            // The unspecified address is no remote one.
            remote: remote?.isUnspecified == true ? nil : remote, remotePort: remotePort,
            cgroupID: reply.attributes(after: 72)[Int(INET_DIAG_CGROUP_ID)]?.number(at: 0, as: UInt64.self) ?? 0,
            inode: UInt64(inode), interface: interface)
    }

    /// The address in one of the two 16-byte fields; an IPv4 socket's lies in the first four bytes.
    private static func address(_ payload: ArraySlice<UInt8>, at offset: Int, _ family: UInt8) -> IPAddress? {
        IPAddress(networkBytes: payload.dropFirst(offset).prefix(Int32(family) == AF_INET ? 4 : 16))
    }

    /// `tcp 10.0.0.1:80 -> 10.0.0.2:4000` or `udp [fd00::1]:53`, for messages.
    var summary: String {
        let near = "\(transport.rawValue) \(Self.text(local, localPort))"
        guard remote != nil || remotePort != 0 else {
            return transport == .tcp && state == UInt8(TCP_LISTEN) ? near + " listening" : near
        }
        return "\(near) -> \(Self.text(remote, remotePort))"
    }

    private static func text(_ address: IPAddress?, _ port: UInt16) -> String {
        guard let address else { return "*:\(port)" }
        return address.family == .ipv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }
}
