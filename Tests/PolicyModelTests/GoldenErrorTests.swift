import Foundation
import PolicyModel
import Testing

/// Files with mistakes, and word for word what is said about them. `VNE_RECORD_GOLDEN=1` writes what is said now, for a
/// reader to compare.
@Suite struct GoldenErrorTests {
    static let directory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")

    static let names: [String] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        return files.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
    }()

    @Test func `there are files to compare`() {
        #expect(Self.names.count >= 16)
    }

    @Test(arguments: names)
    func `every mistake of a file is named with its place, what was expected and the nearest word`(
        name: String
    ) throws {
        let input = try Data(contentsOf: Self.directory.appending(path: "\(name).yaml"))
        let expectation = Self.directory.appending(path: "\(name).txt")
        let errors = #expect(throws: DocumentErrors.self) {
            try PolicyFile.parse(bytes: Array(input), source: "\(name).yaml")
        }
        let said = (errors?.description ?? "") + "\n"
        if ProcessInfo.processInfo.environment["VNE_RECORD_GOLDEN"] != nil {
            try said.write(to: expectation, atomically: true, encoding: .utf8)
        }
        #expect(try said == String(contentsOf: expectation, encoding: .utf8))
    }
}
