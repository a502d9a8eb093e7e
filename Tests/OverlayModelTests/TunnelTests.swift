import OverlayModel
import PolicyModel
import Testing

@Suite struct TunnelTests {
    @Test func `managers mesh, hosts join theirs, and each underlay that both are on has a tunnel`() throws {
        let topology = try Golden.topology()
        let tunnels = topology.tunnels.map {
            "\($0.kind.rawValue) \($0.first.name) \($0.second.name) \($0.underlay.name)"
        }
        #expect(
            tunnels == [
                "mesh london paris internet", "mesh london paris backbone", "mesh london paris line",
                "spoke london web internet", "spoke london web backbone",
                "spoke london bank internet", "spoke london bank backbone",
                "spoke london edge internet", "spoke london edge backbone", "spoke london edge line",
                "spoke paris web internet", "spoke paris web backbone",
                "spoke paris bank internet", "spoke paris bank backbone",
                "spoke paris edge internet", "spoke paris edge backbone", "spoke paris edge line",
                "direct web bank internet", "direct web bank backbone",
            ])
    }

    @Test
    func `a tunnel takes what the underlay takes, less 60 bytes over IPv4 and 80 over IPv6, and less its padding`()
        throws
    {
        let topology = try Golden.topology()
        let sizes = Dictionary(grouping: topology.tunnels, by: \.mtu).mapValues { Set($0.map(\.underlay.name)) }
        #expect(sizes == [1436: ["internet", "line"], 1420: ["internet"], 8936: ["backbone"]])
        #expect(topology.mtu == 1420)
    }

    @Test(arguments: Array(1280...1600) + [2899, 2900, 2916, 9000, 65535])
    func `what a tunnel makes of a packet fits the underlay, whatever size it believes its device to have`(size: Int)
        throws
    {
        let topology = try Golden.topology()
        var tunnel = try #require(topology.tunnels.first { $0.underlay.name == "backbone" })
        tunnel.underlay.mtu = size
        let mtu = tunnel.mtu
        #expect(mtu > size - 60 - 16 && mtu <= size - 60)
        // As device/send.go of wireguard-go pads a packet, by the device's size or the one that it began with.
        for believed in [mtu, 1420] {
            let most = (1...mtu).map { packet in
                let last = packet > believed ? packet % believed : packet
                return packet - last + min((last + 15) / 16 * 16, believed)
            }.max()
            #expect(try #require(most) + 60 <= size)
        }
    }

    /// Numbers of nodes up to 16 bits, all underlays: no two ends have one address, and no two tunnels of a node one port.
    @Test func `no two ends of tunnels at a node share an address, a device or a port`() throws {
        var text = "network: big\naddressSpace: 10.0.0.0/8\nsubnets: {nodes: 10.200.0.0/20}\n"
        text += "underlays: {one: {port: 20000}, two: , three: }\nmanagers:\n"
        for number in 1...4 {
            let places = ["one", "two", "three"].enumerated().map { "\($1): 192.0.\($0).\(number)" }
            text += "  m\(number): {address: 10.200.0.\(number), endpoints: {\(places.joined(separator: ", "))}}\n"
        }
        text += "hosts:\n"
        for number in 0..<300 { text += "  h\(number): {address: 10.200.\(1 + number / 250).\(1 + number % 250)}\n" }
        let topology = try TopologyFile.parse(text, source: "big.yaml")
        #expect(topology.tunnels.count == (6 + 300 * 4) * 3)
        var keys: [String: WireGuardKey] = [:]
        for node in topology.nodes { keys[node.name] = Self.key(node.number) }
        for node in topology.managers + topology.hosts.prefix(3) {
            let files = try NodeConfiguration(of: node, in: topology, keys: keys).files
            let tunnels = files.filter { $0.path.hasPrefix("wireguard/") }
            let ports = tunnels.map { $0.text.split(separator: "\n").first { $0.hasPrefix("ListenPort") } }
            #expect(Set(ports).count == tunnels.count)
            #expect(tunnels.allSatisfy { $0.path.utf8.count <= "wireguard/.conf".utf8.count + 15 })
            let batch = try #require(files.first { $0.path == "addresses.batch" }).text
            let ends = batch.split(separator: "\n").filter { $0.hasPrefix("address replace 169.254.") }
            #expect(ends.count == topology.tunnels(of: node).count)
            // The other end's, which comes after “peer”.
            #expect(Set(ends.map { $0.split(separator: " ")[4] }).count == ends.count)
        }
    }

    static func key(_ number: UInt32) -> WireGuardKey? {
        let digits = String(number)
        return WireGuardKey(String(repeating: "A", count: 43 - digits.count - 1) + digits + "A" + "=")
    }
}
