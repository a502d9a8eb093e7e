import Foundation
import OverlayModel
import PolicyModel
import Testing

/// Where the files are that are compared.
enum Golden {
    static let directory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")

    static func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: directory.appending(path: path))) }

    static func topology() throws -> Topology {
        try TopologyFile.parse(bytes: bytes("network.yaml"), source: "network.yaml")
    }

    static func keys(of topology: Topology) throws -> [String: WireGuardKey] {
        try PublicKeysFile.parse(bytes: bytes("keys.yaml"), source: "keys.yaml", of: topology)
    }

    /// Holds a text to the file that has it; `VNE_RECORD_GOLDEN=1` writes it instead, for a reader to compare.
    static func expect(_ said: String, at path: String) throws {
        let place = directory.appending(path: path)
        if ProcessInfo.processInfo.environment["VNE_RECORD_GOLDEN"] != nil {
            try FileManager.default.createDirectory(
                at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
            try said.write(to: place, atomically: true, encoding: .utf8)
        }
        #expect(try said == String(contentsOf: place, encoding: .utf8), "\(path)")
    }
}

@Suite struct TopologyFileTests {
    static let mistakes = [
        "empty", "keys", "values", "subnets", "nodes", "ways", "ports", "nodes-subnet", "links-family", "links-size",
        "traps", "twice", "links-place", "unread", "applications", "claims", "store", "store-even",
        "policy", "nowhere",
    ]

    @Test(arguments: mistakes)
    func `every mistake of a topology is named with its place, what was expected and the nearest word`(
        name: String
    ) throws {
        let bytes = try Golden.bytes("errors/\(name).yaml")
        let errors = #expect(throws: DocumentErrors.self) {
            try TopologyFile.parse(bytes: bytes, source: "\(name).yaml")
        }
        try Golden.expect((errors?.description ?? "") + "\n", at: "errors/\(name).txt")
    }

    @Test func `nodes have the numbers of their addresses, and a host that says nothing joins through every manager`()
        throws
    {
        let topology = try Golden.topology()
        #expect(topology.nodes.map(\.number) == [1, 2, 11, 12, 13])
        #expect(topology.managers.map(\.name) == ["london", "paris"])
        #expect(topology.node(named: "web")?.managers == ["london", "paris"])
        #expect(
            topology.node(named: "edge")?.endpoints == ["internet": .dynamic, "backbone": .dynamic, "line": .dynamic])
        // Whichever of the two says so.
        #expect(topology.node(named: "bank")?.direct == ["web"])
    }

    @Test func `numbers do not change when nodes come before them in the file`() throws {
        let text = String(decoding: try Golden.bytes("network.yaml"), as: UTF8.self)
        let earlier = text.replacing(
            "hosts:\n", with: "hosts:\n  new: {address: 10.10.255.9, endpoints: {internet: 192.0.2.9}}\n")
        let before = try Golden.topology()
        let after = try TopologyFile.parse(earlier, source: "network.yaml")
        try #require(after.node(named: "new")?.number == 9)
        let keys = try Golden.keys(of: before)
        for node in before.hosts {
            let found = try #require(after.node(named: node.name))
            #expect(found.number == node.number)
            // A host has no tunnel to the new one, so nothing of it changes.
            #expect(
                try NodeConfiguration(of: found, in: after, keys: keys).files
                    == NodeConfiguration(of: node, in: before, keys: keys).files)
        }
    }

    @Test func `a key file names what it is not, and each key once`() throws {
        let text = """
            london: wGXh4XhBfzxhXk2GZ4nZ6kFTFyLFrLr1pJ2Yy3ZQbVE=
            pariss: wGXh4XhBfzxhXk2GZ4nZ6kFTFyLFrLr1pJ2Yy3ZQbVE=
            paris: wGXh4XhBfzxhXk2GZ4nZ6kFTFyLFrLr1pJ2Yy3ZQbVE=
            web: wGXh4XhBfzxhXk2GZ4nZ6kFTFyLFrLr1pJ2Yy3ZQbVF=
            """
        let topology = try Golden.topology()
        let errors = #expect(throws: DocumentErrors.self) {
            try PublicKeysFile.parse(bytes: Array(text.utf8), source: "keys.yaml", of: topology)
        }
        #expect(errors?.errors.map(\.line) == [2, 3, 4])
        #expect(errors?.errors.first?.suggestion == "paris")
    }
}
