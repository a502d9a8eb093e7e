import Glibc
import PolicyModel
import VNEAgent

extension HostDependencies {
    /// Reads `/proc/net/route`, `/proc/net/ipv6_route` and a resolv.conf(5); what cannot be read is left out, as `check`
    /// only warns of it.
    init(resolvConf: String) {
        let gateways4 = Self.fields(of: "/proc/net/route").dropFirst().compactMap { fields -> IPAddress? in
            // Interface, destination, gateway: the address's bytes as a number of this machine.
            guard fields.count > 2, let number = UInt32(fields[2], radix: 16) else { return nil }
            return IPAddress(ipv4: UInt32(bigEndian: number))
        }
        let gateways6 = Self.fields(of: "/proc/net/ipv6_route").compactMap { fields -> IPAddress? in
            // Destination, its length, source, its length, next hop: sixteen bytes as they are sent.
            guard fields.count > 4, fields[4].utf8.count == 32, let number = UInt128(fields[4], radix: 16) else {
                return nil
            }
            return IPAddress(rawValue: number)
        }
        let resolvers = Self.fields(of: resolvConf).compactMap { fields -> IPAddress? in
            // One with a zone is link-local, and in no address space.
            guard fields.count > 1, fields[0] == "nameserver" else { return nil }
            return IPAddress(fields[1])
        }
        self.init(
            gateways: Set((gateways4 + gateways6).filter { !$0.isUnspecified }), resolvers: Set(resolvers))
    }

    /// The words of each line.
    private static func fields(of path: String) -> [[Substring]] {
        ((try? PolicyText(reading: path))?.text ?? "").split(separator: "\n")
            .map { $0.split(whereSeparator: \.isWhitespace) }
    }
}
