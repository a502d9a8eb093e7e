/// Where a text is served: a loopback address and port, or the path of a Unix socket. Nobody beyond this host gets there.
public enum TextPlace: Hashable, Sendable {
    /// 127.0.0.1 or ::1, as text, and a port.
    case loopback(address: String, port: UInt16)
    /// The absolute path of a Unix socket.
    case unix(path: String)

    /// `127.0.0.1:9417`, `[::1]:9417` or `unix:/run/vne/metrics.sock`; nil for anything else.
    public init?(_ text: String) {
        if text.hasPrefix("unix:/") {
            self = .unix(path: String(text.dropFirst(5)))
            return
        }
        for (host, address) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] where text.hasPrefix("\(host):") {
            let digits = text.dropFirst(host.count + 1)
            guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(digits), port > 0 else {
                continue
            }
            self = .loopback(address: address, port: port)
            return
        }
        return nil
    }
}

extension TextPlace: CustomStringConvertible {
    /// As it was given.
    public var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .loopback(let address, let port): address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
        }
    }
}
