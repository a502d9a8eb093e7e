public import PolicyModel

extension IPAddress {
    /// The address with a port as it is written: `10.0.0.1:80`, `[fd00::1]:80`.
    public func with(port: UInt16) -> String {
        switch family {
        case .ipv4: "\(self):\(port)"
        case .ipv6: "[\(self)]:\(port)"
        }
    }
}
