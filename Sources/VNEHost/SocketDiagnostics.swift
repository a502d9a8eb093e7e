internal import CLinux
internal import Glibc
internal import PolicyModel

/// The TCP and UDP sockets of a network namespace, by `inet_diag`. See sock_diag(7).
final class SocketDiagnostics {
    private let session: NetlinkSession
    /// `struct inet_diag_sockid` of the IPv6 sockets seen, by cookie: ``ObservedSocket`` has no room for their addresses.
    private var identities: [UInt64: [UInt8]] = [:]

    init(_ socket: any NetlinkSocket) {
        session = NetlinkSession(socket)
    }

    /// Every socket, in every state: listeners, closing ones and those that are merely bound included.
    func sockets() throws(HostError) -> [ObservedSocket] {
        identities = [:]
        var sockets: [ObservedSocket] = []
        for family in [AF_INET, AF_INET6] {
            for transport in [TransportProtocol.tcp, .udp] {
                sockets += try dump(family: family, transport)
            }
        }
        return sockets
    }

    /// Closes a socket with ECONNABORTED; nothing if it is gone.
    ///
    /// A datagram socket gets the error once and loses its peer; one that its process bound to a port stays bound.
    ///
    /// The kernel finds the socket by its addresses and then compares the cookie. Of several sockets with SO_REUSEPORT
    /// it finds the one that the peer's address and port hash to, so ports are tried until it is the right one.
    func destroy(_ socket: ObservedSocket) throws(HostError) {
        guard let identity = try identity(of: socket) else { return }
        let isConnected = identity[20..<36].contains { $0 != 0 } || identity[2] != 0 || identity[3] != 0
        for port in 0..<(isConnected ? 1 : 1024) {
            var variant = identity
            if port != 0 { variant.replaceSubrange(2..<4, with: UInt16(port).bigEndian.nativeBytes) }
            let answer = try session.exchange(
                Self.destroyRequest(family: socket.family, socket.transport, identity: variant))
            switch answer.code {
            case 0: return
            case ENOENT, ESTALE: break
            case EOPNOTSUPP:
                // Older kernels do not abort a connection in TIME_WAIT; no process holds it any more.
                if socket.state == UInt8(TCP_TIME_WAIT) { return }
                throw .unsupported(
                    "close the socket", socket.summary, code: answer.code,
                    hint: "The kernel was built without CONFIG_INET_DIAG_DESTROY: restart its process instead.")
            case EPERM:
                throw .system(
                    "close the socket", socket.summary, code: EPERM, hint: "It needs CAP_NET_ADMIN: run as root.")
            default:
                throw .system("close the socket", socket.summary, code: answer.code, hint: answer.text)
            }
            // Gone, or hidden behind another one? A look decides, and once is enough.
            if port == 0 {
                let present = try dump(family: Int32(socket.family), socket.transport)
                guard present.contains(where: { $0.cookie == socket.cookie }) else { return }
            }
        }
        throw .unsupported(
            "close the socket", socket.summary,
            hint:
                "Another socket with the same addresses hides it from the kernel's search: restart its process instead."
        )
    }

    private func dump(family: Int32, _ transport: TransportProtocol) throws(HostError) -> [ObservedSocket] {
        let answer = try session.exchange(Self.dumpRequest(family: family, transport))
        if answer.code == ENOENT {
            // No handler: the module is missing. Without IPv6 there is nothing to list.
            if family == AF_INET6 { return [] }
            throw .unsupported(
                "list", "\(transport.rawValue) sockets", code: ENOENT,
                hint: "The kernel has no \(transport.rawValue)_diag (CONFIG_INET_DIAG, CONFIG_INET_UDP_DIAG).")
        }
        guard answer.code == 0 else {
            throw .system("list", "\(transport.rawValue) sockets", code: answer.code, hint: answer.text)
        }
        return answer.replies.compactMap { reply in
            guard let socket = ObservedSocket(reply, transport) else { return nil }
            if family == AF_INET6 { identities[socket.cookie] = Array(reply.payload.dropFirst(4).prefix(48)) }
            return socket
        }
    }

    /// `struct inet_diag_sockid`: made from what is known of an IPv4 socket, remembered or looked up for an IPv6 one.
    private func identity(of socket: ObservedSocket) throws(HostError) -> [UInt8]? {
        guard Int32(socket.family) == AF_INET6 else { return Self.identity(ofIPv4: socket) }
        if let identity = identities[socket.cookie] { return identity }
        _ = try dump(family: AF_INET6, socket.transport)
        return identities[socket.cookie]
    }
}
