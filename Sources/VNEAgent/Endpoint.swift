public import PolicyModel

/// The other end of a flow as a command line names it: `ADDRESS[:PORT][/PROTOCOL]`, or a name in place of the address. An
/// IPv6 address with a port stands in brackets: `[fd00::1]:80`; without one it may.
public struct Endpoint: Hashable, Sendable {
    /// An address without brackets, or the name or hostname of an application.
    public var host: String
    /// The port that the flow is opened to; nil for every one.
    public var port: UInt16?
    /// TCP where nothing is said.
    public var transport: TransportProtocol

    /// An end from its parts.
    public init(host: String, port: UInt16? = nil, transport: TransportProtocol = .tcp) {
        self.host = host
        self.port = port
        self.transport = transport
    }

    /// An end from its text; nil if it makes no sense.
    public init?(_ text: String) {
        var rest = text[...]
        var transport = TransportProtocol.tcp
        if let slash = rest.lastIndex(of: "/") {
            guard let named = TransportProtocol(rawValue: String(rest[rest.index(after: slash)...])) else { return nil }
            transport = named
            rest = rest[..<slash]
        }
        if IPAddress(rest) != nil {
            self.init(host: String(rest), transport: transport)
            return
        }
        var port: UInt16?
        if let colon = rest.lastIndex(of: ":"), rest.last != "]" {
            let digits = rest[rest.index(after: colon)...]
            guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }), let number = UInt16(digits),
                transport != .ping
            else { return nil }
            port = number
            rest = rest[..<colon]
        }
        if rest.first == "[" {
            rest = rest.dropFirst()
            // Colons are what brackets are for.
            guard rest.popLast() == "]", rest.contains(":"), IPAddress(rest) != nil else { return nil }
        } else {
            guard !rest.isEmpty, !rest.contains(":"), !rest.contains("/"), !rest.contains("]") else { return nil }
        }
        self.init(host: String(rest), port: port, transport: transport)
    }
}
