extension SharedService {
    /// A service from `127.0.0.1:53` or `[::1]:53`; nil if `text` is none. The port is 1 to 65535, without leading
    /// zeros.
    ///
    /// Whether the address is on loopback is not looked at.
    public init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":"), let port = Self.port(text[text.index(after: colon)...]) else {
            return nil
        }
        let host = text[..<colon]
        let isBracketed = host.first == "[" && host.last == "]"
        guard isBracketed == host.contains(":"),
            let address = isBracketed ? IPAddress(host.dropFirst().dropLast()) : IPAddress(host)
        else { return nil }
        self.init(address: address, port: port)
    }

    private static func port(_ text: some StringProtocol) -> UInt16? {
        guard text.utf8.allSatisfy({ (48...57).contains($0) }), text.utf8.first != 48 else { return nil }
        return UInt16(text)
    }
}

extension SharedService: CustomStringConvertible {
    /// `127.0.0.1:53`, or `[::1]:53`.
    public var description: String {
        address.family == .ipv6 ? "[\(address)]:\(port)" : "\(address):\(port)"
    }
}
