import Foundation
@testable import OverlayModel
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

    @Test func `of a host are believed its own address and those that its applications may have, and nothing else`()
        throws
    {
        let topology = try Golden.topology()
        let keys = try Golden.keys(of: topology)
        let london = try #require(topology.node(named: "london"))
        let files = try NodeConfiguration(of: london, in: topology, keys: keys).files
        let hosts = try #require(files.first { $0.path == "wireguard/hosts-0.conf" }).text
        let allowed = hosts.split(separator: "\n").filter { $0.hasPrefix("AllowedIPs") }
        #expect(
            allowed == [
                "AllowedIPs = 169.254.0.11/32, 10.10.255.11/32, 10.10.2.0/28, 10.10.3.1/32",
                "AllowedIPs = 169.254.0.12/32, 10.10.255.12/32, 10.10.2.16/28",
                "AllowedIPs = 169.254.0.13/32, 10.10.255.13/32",
            ])
        let routing = try #require(files.first { $0.path == "bird.conf" }).text
        let own = "10.10.255.11/32, 10.10.2.0/28, 10.10.3.1/32"
        #expect(routing.contains("if net !~ [ \(own), 10.10.2.128/25{32,32} ] then reject;"))
        // Of what it may claim, only what it has, and whatever the path says that it came by.
        #expect(
            routing.contains(
                "if net ~ [ 10.10.2.128/25{32,32} ] && roa_check(claims, net, 4200000011) != ROA_VALID then {"))
        #expect(routing.contains("if roa_check(alternates, net, 4200000011) != ROA_VALID then reject;"))
        // The host announces what is its own as a whole, of what it may claim what is ready, and takes from others what is theirs.
        let web = try #require(topology.node(named: "web"))
        let told = try NodeConfiguration(of: web, in: topology, keys: keys).files
        let text = try #require(told.first { $0.path == "bird.conf" }).text
        for prefix in ["10.10.2.0/28", "10.10.3.1/32"] { #expect(text.contains("    route \(prefix) unreachable;")) }
        #expect(text.contains("if net !~ [ 10.10.2.128/25{32,32} ] then reject;"))
        #expect(text.contains("if net ~ [ 10.10.255.11/32+, 10.10.2.0/28+, 10.10.3.1/32+ ] then reject;"))
        #expect(text.contains("if net !~ [ 10.10.0.0/16+ ] then reject;"))
    }

    @Test func `what a host claimed is its own at managers, and nothing else of them changes`() throws {
        let topology = try Golden.topology()
        let keys = try Golden.keys(of: topology)
        // The third one is none that the topology lets the host claim.
        let claims = try #require(
            Claims(text: "10.10.2.129 web 7\n10.10.2.130 bank 8\n10.10.3.5 bank 9\n10.10.4.7 bank 12\n"))
        for name in ["london", "paris"] {
            let node = try #require(topology.node(named: name))
            let before = try NodeConfiguration(of: node, in: topology, keys: keys)
            let after = try NodeConfiguration(of: node, in: topology, keys: keys, claims: claims)
            let changed = zip(before.files, after.files).filter { $0 != $1 }.map(\.0.path)
            #expect(changed == ["bird.conf", "wireguard/hosts-0.conf", "wireguard/hosts-1.conf"])
            let origins = after.text("bird.conf").split(separator: "\n").filter { $0.contains(" max 32 as ") }
            #expect(
                origins == [
                    "    route 10.10.2.129/32 max 32 as 4200000011;", "    route 10.10.2.130/32 max 32 as 4200000012;",
                    "    route 10.10.4.7/32 max 32 as 4200000012;",
                ])
            let allowed = after.text("wireguard/hosts-1.conf").split(separator: "\n").filter { $0.hasPrefix("Allowed") }
            #expect(
                allowed == [
                    "AllowedIPs = 169.254.1.11/32, 10.10.255.11/32, 10.10.2.0/28, 10.10.3.1/32, 10.10.2.129/32",
                    "AllowedIPs = 169.254.1.12/32, 10.10.255.12/32, 10.10.2.16/28, 10.10.2.130/32, 10.10.4.7/32",
                    "AllowedIPs = 169.254.1.13/32, 10.10.255.13/32",
                ])
        }
        let web = try #require(topology.node(named: "web"))
        #expect(
            try NodeConfiguration(of: web, in: topology, keys: keys)
                == NodeConfiguration(of: web, in: topology, keys: keys, claims: claims))
    }

    @Test func `a node that drains asks for other ways, and differs in nothing else`() throws {
        let topology = try Golden.topology()
        let keys = try Golden.keys(of: topology)
        let london = try #require(topology.node(named: "london"))
        let usual = try NodeConfiguration(of: london, in: topology, keys: keys)
        let draining = try NodeConfiguration(of: london, in: topology, keys: keys, isDraining: true)
        let changed = zip(usual.files, draining.files).filter { $0 != $1 }.map(\.0.path)
        #expect(changed == ["bird.conf"])
        let text = try #require(draining.files.first { $0.path == "bird.conf" }).text
        let added = text.split(separator: "\n").filter {
            !usual.files.contains { $0.text.contains("bgp_community.add") } && $0.contains("bgp_community.add")
        }
        #expect(added == ["    bgp_community.add((65535, 0));"])
    }

    @Test func `what the isolator is told is a policy that it takes`() throws {
        let topology = try Golden.topology()
        let web = try #require(topology.node(named: "web"))
        let files = try NodeConfiguration(of: web, in: topology, keys: try Golden.keys(of: topology)).files
        let text = try #require(files.first { $0.path == "policy.yaml" }).text
        let policy = try PolicyFile.parse(text, source: "policy.yaml")
        #expect(policy.addressSpace == topology.addressSpace)
        #expect(policy.environments.map(\.name) == topology.environments.map(\.name))
        #expect(policy.environments.first?.permits.map(\.target) == ["payments/books"])
        // Each host knows both, and has the cgroup of what may be on it.
        #expect(policy.applications.map(\.hostname) == ["till.acme", "books.acme"])
        #expect(policy.applications.map(\.cgroup) == ["system.slice/till.service", nil])
        #expect(policy.hostnames == .all)
        // A network that is kept apart is somebody else's than the machine's cgroups.
        let apart = topology.policy(of: web, interfaces: [], isApart: true)
        #expect(apart.applications.map(\.cgroup) == [nil, nil])
        #expect(apart.environments == topology.environments)
    }
}
