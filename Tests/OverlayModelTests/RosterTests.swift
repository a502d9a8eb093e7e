import PolicyModel
import Testing

@testable import OverlayModel

@Suite struct RosterTests {
    private static let text = """
        network: acme
        addressSpace: [10.10.0.0/16, 10.20.0.0/16]
        subnets: {nodes: 10.10.255.0/24, links: 172.31.0.0/16}
        underlays:
          internet:
          backbone: {mtu: 9000, use: data, port: 52820}
          office: {use: management}
        environments: {shop: 10.10.2.0/24}
        managers:
          london: {address: 10.10.255.1, endpoints: {internet: 192.0.2.1, backbone: 198.51.100.1, office: "2001:db8::1"}}
          paris: {address: 10.10.255.2, endpoints: {internet: 192.0.2.2, backbone: 198.51.100.2}}
          rome: {address: 10.10.255.3, endpoints: {internet: 192.0.2.3, office: "2001:db8::3"}}
        hosts:
          web: {address: 10.10.255.11, endpoints: {internet: dynamic, backbone: 198.51.100.11}, direct: bank}
          bank: {address: 10.10.255.12, managers: [paris, rome], applications: 10.10.2.0/28, claims: 10.10.2.128/25}
        store: [london, paris, rome]

        """
    private let topology: Topology

    init() throws {
        topology = try TopologyFile.parse(Self.text, source: "network.yaml")
    }

    @Test func `an excerpt of a topology has the same tunnels, ports and devices as the whole of it`() throws {
        for (name, managers) in [
            ("web", ["london"]), ("web", ["london", "paris"]), ("bank", ["rome"]), ("rome", ["london"]),
        ] {
            let node = try #require(topology.node(named: name))
            let excerpt = topology.excerpt(for: node, reaching: managers)
            let part = try TopologyFile.parse(excerpt, source: "excerpt")
            let own = try #require(part.node(named: name))
            #expect(part.nodes.count == managers.count + 1 && own.number == node.number)
            let whole = topology.tunnels(of: node).filter { managers.contains($0.peer(of: node).name) }
            let near = part.tunnels(of: own)
            #expect(near.count == whole.count && !near.isEmpty)
            for (one, other) in zip(near, whole) {
                #expect(one.peer(of: own).name == other.peer(of: node).name && one.mtu == other.mtu)
                #expect(part.device(of: one, at: own) == topology.device(of: other, at: node))
                #expect(part.port(of: one, at: own) == topology.port(of: other, at: node))
                #expect(
                    part.linkAddress(of: one.peer(of: own), over: one.underlayIndex)
                        == topology.linkAddress(of: other.peer(of: node), over: other.underlayIndex))
            }
        }
    }

    @Test func `nodes without a key are left out, and one that is invited gets the nodes' own talk only`() throws {
        let london = try #require(topology.node(named: "london"))
        let keys = ["london", "paris", "web"].reduce(into: [String: WireGuardKey]()) { keys, name in
            keys[name] = WireGuardKey(String(repeating: String(name.prefix(1)), count: 42) + "A=")
        }
        #expect(throws: NodeConfiguration.Missing.self) {
            try NodeConfiguration(of: london, in: topology, keys: keys)
        }
        let whole = try NodeConfiguration(of: london, in: topology, keys: keys, absence: .leftOut)
        #expect(whole.devices.map(\.name) == ["hosts-0", "hosts-1", "node2-0", "node2-1"])
        #expect(whole.text("bird.conf").contains("hosts_0_11") && !whole.text("bird.conf").contains("node3"))
        let part = try NodeConfiguration(of: london, in: topology, keys: keys, absence: .leftOut, invited: ["web"])
        #expect(part.devices.map(\.name) == whole.devices.map(\.name))
        #expect(!part.text("bird.conf").contains("hosts_0_11") && !part.text("probes.json").contains("hosts_0_11"))
        #expect(whole.text("wireguard/hosts-0.conf").contains("AllowedIPs = 172.31.0.11/32, 10.10.255.11/32"))
        #expect(part.text("wireguard/hosts-0.conf").contains("AllowedIPs = 172.31.0.11/32\n"))
    }

    @Test func `versions are read as they are written, and a term counts before a revision`() throws {
        for text in ["0.0", "1.7", "12.18446744073709551615"] { #expect(RosterVersion(text).map { "\($0)" } == text) }
        for text in ["", "1", "1.", ".1", "01.1", "1.1.1", "+1.1", "-1.1", " 1.1"] {
            #expect(RosterVersion(text) == nil)
        }
        let versions = [(1, 1), (1, 9), (2, 2), (2, 10)].map {
            RosterVersion(term: UInt64($0.0), revision: UInt64($0.1))
        }
        #expect(versions == versions.sorted())
    }
}
