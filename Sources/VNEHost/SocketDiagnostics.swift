internal import CLinux
internal import Glibc
internal import PolicyModel

/// The TCP and UDP sockets of a network namespace, by `inet_diag`. See sock_diag(7).
final class SocketDiagnostics {
    private let session: NetlinkSession

    init(_ socket: any NetlinkSocket) {
        session = NetlinkSession(socket)
    }

    /// Every socket, in every state: listeners, closing ones and those that are merely bound included.
    func sockets() throws(HostError) -> [ObservedSocket] {
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
        let identity = Self.identity(of: socket)
        let isConnected = socket.remote != nil || socket.remotePort != 0
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

    /// Why no socket can be closed here; nil where they can be. Asked of a socket that cannot be: no other has port 0 at
    /// both ends and is listed.
    func obstacleToClosing() throws(HostError) -> String? {
        let nobody = ObservedSocket(
            family: UInt8(AF_INET), transport: .tcp, cookie: .max - 1, state: 1, local: nil, localPort: 0, remote: nil,
            remotePort: 0, cgroupID: 0, inode: 0, interface: 0)
        let answer = try session.exchange(
            Self.destroyRequest(family: nobody.family, nobody.transport, identity: Self.identity(of: nobody)))
        switch answer.code {
        case ENOENT:
            // Nobody there, or no handler for the protocol? Asked for sockets in no state, a handler has none to tell.
            let listed = try session.exchange(Self.dumpRequest(family: AF_INET, .tcp, states: 0))
            return listed.code == 0 ? nil : "the kernel has no tcp_diag (CONFIG_INET_TCP_DIAG)"
        case 0, ESTALE: return nil
        case EOPNOTSUPP: return "the kernel was built without CONFIG_INET_DIAG_DESTROY"
        default:
            throw .system("ask whether sockets can be closed on", "this host", code: answer.code, hint: answer.text)
        }
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
        return answer.replies.compactMap { ObservedSocket($0, transport) }
    }
}
