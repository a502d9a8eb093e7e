import Glibc
import PolicyModel
import VNEAgent

extension HostDependencies {
    /// Reads `/proc/net/route` and a resolv.conf(5); what cannot be read is left out, as `check` only warns of it.
    init(resolvConf: String) {
        let routes = Self.lines(of: "/proc/net/route").dropFirst()
        let gateways = routes.compactMap { line -> IPv4Address? in
            // Interface, destination, gateway: the address's bytes as a number of this machine.
            let fields = line.split(whereSeparator: \.isWhitespace)
            guard fields.count > 2, let number = UInt32(fields[2], radix: 16), number != 0 else { return nil }
            return IPv4Address(rawValue: UInt32(bigEndian: number))
        }
        let resolvers = Self.lines(of: resolvConf).compactMap { line -> IPv4Address? in
            let fields = line.split(whereSeparator: \.isWhitespace)
            guard fields.count > 1, fields[0] == "nameserver" else { return nil }
            return IPv4Address(fields[1])
        }
        self.init(gateways: Set(gateways), resolvers: Set(resolvers))
    }

    private static func lines(of path: String) -> [Substring] {
        ((try? PolicyText(reading: path))?.text ?? "").split(separator: "\n")
    }
}
