import Foundation
import Testing

/// What the fuzzer kept, run through what it ran: `fuzz/corpus/TARGET`, one input a file. `make fuzz` makes more.
@Suite struct CorpusTests {
    private static let directory = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "fuzz/corpus")

    @Test(arguments: FuzzTarget.allCases)
    func `what holds for any bytes holds for those of the corpus`(target: FuzzTarget) throws {
        let directory = Self.directory.appending(path: target.rawValue)
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
        #expect(names.count >= 10, "a corpus of \(names.count) inputs")
        for name in names {
            let bytes = try Array(Data(contentsOf: directory.appending(path: name)))
            #expect(throws: Never.self, "\(target.rawValue)/\(name)") { try target.run(bytes) }
        }
    }

    @Test(arguments: FuzzTarget.allCases)
    func `no bytes at all, and a few of one kind, are read or refused`(target: FuzzTarget) throws {
        for byte in [UInt8](arrayLiteral: 0, 1, 2, 0x20, 0x3a, 0x7f, 0x80, 0xff) {
            for count in [0, 1, 2, 15, 16, 17, 256, 1024, 2048] {
                try target.run([UInt8](repeating: byte, count: count))
            }
        }
    }
}
