import Foundation
import OverlayModel
import PolicyModel
import Testing

@Suite struct NodeConfigurationTests {
    @Test(arguments: ["london", "paris", "web", "bank", "edge"])
    func `the files of a node are byte for byte what was read and found right`(name: String) throws {
        let topology = try Golden.topology()
        let node = try #require(topology.node(named: name))
        let files = try NodeConfiguration(of: node, in: topology, keys: try Golden.keys(of: topology)).files
        let directory = Golden.directory.appending(path: "nodes/\(name)")
        for file in files { try Golden.expect(file.text, at: "nodes/\(name)/\(file.path)") }
        let kept = try FileManager.default.subpathsOfDirectory(atPath: directory.path)
        #expect(Set(kept.filter { $0.contains(".") }) == Set(files.map(\.path)))
    }

    @Test func `a node without the key of a neighbour has no configuration`() throws {
        let topology = try Golden.topology()
        var keys = try Golden.keys(of: topology)
        keys["paris"] = nil
        let web = try #require(topology.node(named: "web"))
        let missing = #expect(throws: NodeConfiguration.Missing.self) {
            try NodeConfiguration(of: web, in: topology, keys: keys)
        }
        #expect(missing?.description == "there is no public key of “paris”")
    }

    @Test func `of a host are believed its own address and the applications that it has, and nothing else`() throws {
        let topology = try Golden.topology()
        let keys = try Golden.keys(of: topology)
        let application = try #require(IPAddress("10.10.2.5"))
        let london = try #require(topology.node(named: "london"))
        let files = try NodeConfiguration(of: london, in: topology, keys: keys, places: ["web": [application]]).files
        let hosts = try #require(files.first { $0.path == "wireguard/hosts-0.conf" }).text
        let allowed = hosts.split(separator: "\n").filter { $0.hasPrefix("AllowedIPs") }
        #expect(
            allowed == [
                "AllowedIPs = 169.254.0.11/32, 10.10.255.11/32, 10.10.2.5/32",
                "AllowedIPs = 169.254.0.12/32, 10.10.255.12/32", "AllowedIPs = 169.254.0.13/32, 10.10.255.13/32",
            ])
        let routing = try #require(files.first { $0.path == "bird.conf" }).text
        #expect(routing.contains("if net ~ [ 10.10.255.11/32, 10.10.2.5/32 ] then accept;"))
        // The host itself announces it.
        let web = try #require(topology.node(named: "web"))
        let own = try NodeConfiguration(of: web, in: topology, keys: keys, places: ["web": [application]]).files
        #expect(own.first { $0.path == "bird.conf" }?.text.contains("route 10.10.2.5/32 via \"lo\";") == true)
    }

    @Test func `what the isolator is told is a policy that it takes`() throws {
        let topology = try Golden.topology()
        let web = try #require(topology.node(named: "web"))
        let files = try NodeConfiguration(of: web, in: topology, keys: try Golden.keys(of: topology)).files
        let text = try #require(files.first { $0.path == "policy.yaml" }).text
        let policy = try PolicyFile.parse(text, source: "policy.yaml")
        #expect(policy.addressSpace == topology.addressSpace)
        #expect(policy.environments.map(\.name) == topology.environments.map(\.name))
    }
}
