import Foundation
import OverlayModel
import Testing

@testable import OverlayKeys

/// What the tests seal, with little work: the derivation is the least that is read.
enum Sample {
    static let topologyText = """
        network: acme
        addressSpace: 10.10.0.0/16
        subnets: {nodes: 10.10.255.0/24}
        underlays: {internet: }
        managers:
          london: {address: 10.10.255.1, endpoints: {internet: 192.0.2.1}}
          paris: {address: 10.10.255.2, endpoints: {internet: 192.0.2.2}}
        hosts:
          web: {address: 10.10.255.11}

        """
    static let start = Timestamp(seconds: 1_769_860_800)
    static let day: Int64 = 86_400

    static func topology(_ text: String = topologyText) throws -> Topology {
        try TopologyFile.parse(text, source: "network.yaml")
    }

    static func passphrase(_ text: String = "correct horse battery staple") throws -> Passphrase {
        try Passphrase(Array(text.utf8))
    }

    static func cost() throws -> DerivationCost { try #require(DerivationCost(exponent: 10)) }

    static func authority(_ number: UInt64 = 1) throws -> Authority {
        var generator = CountingGenerator(state: number)
        return try #require(Authority(seed: [UInt8](random: 32, using: &generator)))
    }

    static func sealed(
        _ plain: [UInt8] = Array(topologyText.utf8), by authority: Authority? = nil
    ) throws -> SealedFile {
        var generator = CountingGenerator(state: 99)
        return try SealedFile.seal(
            plain, .topology, of: "acme", revision: 7, by: authority ?? self.authority(), passphrase(), cost(),
            using: &generator)
    }

    /// A sealed topology with any fields and bytes, signed.
    static func signed(_ fields: [(String, String)], _ box: [UInt8] = [UInt8](repeating: 7, count: 60)) throws
        -> [UInt8]
    {
        var armour = Armour(kind: .sealedTopology, fields: fields, body: box)
        armour.body += try authority().signature(of: Array(armour.header.utf8) + box)
        return Array(armour.text.utf8)
    }

    static func key(_ letter: Character) throws -> WireGuardKey {
        try #require(WireGuardKey(String(repeating: letter, count: 42) + "A="))
    }

    // MARK: Files that are compared

    private static let directory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")

    static func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: directory.appending(path: path))) }

    /// Holds a text to the file that has it; `VNE_RECORD_GOLDEN=1` writes it instead. What is sealed in a format of some
    /// version stays as it is for ever.
    static func expect(_ said: String, at path: String) throws {
        let place = directory.appending(path: path)
        if ProcessInfo.processInfo.environment["VNE_RECORD_GOLDEN"] != nil {
            try said.write(to: place, atomically: true, encoding: .utf8)
        }
        #expect(try said == String(contentsOf: place, encoding: .utf8), "\(path)")
    }
}

/// The same numbers each time: SplitMix64 (Steele, Lea and Flood, 2014).
struct CountingGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
