import PolicyModel
import TestSupport
import Testing

/// Files that nobody would write.
@Suite struct FuzzTests {
    /// One to eight random changes: bytes replaced, inserted, dropped, doubled or swapped, and lines likewise.
    private func mutate(_ text: String, _ random: inout SeededGenerator) -> [UInt8] {
        var bytes = Array(text.utf8)
        let interesting = Array("{}[]:,-#&*!|>'\"%@`\n\t \\0/.~?<=\u{e9}".utf8) + [0, 0xff, 0xc3, 0x80]
        for _ in 0..<Int.random(in: 1...8, using: &random) where !bytes.isEmpty {
            let index = bytes.indices.randomElement(using: &random) ?? 0
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[index] = interesting.randomElement(using: &random) ?? 0
            case 1: bytes.insert(interesting.randomElement(using: &random) ?? 0, at: index)
            case 2: bytes.remove(at: index)
            case 3: bytes[index] = UInt8.random(in: 0...255, using: &random)
            case 4:
                let end = min(index + Int.random(in: 1...40, using: &random), bytes.count)
                bytes.insert(contentsOf: bytes[index..<end], at: bytes.indices.randomElement(using: &random) ?? 0)
            default:
                bytes.removeSubrange(index..<min(index + Int.random(in: 1...40, using: &random), bytes.count))
            }
        }
        return bytes
    }

    @Test(arguments: 0..<20)
    func `no mutation of a file crashes the reader, and errors lie in the file`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<150 {
            let bytes = mutate(wholeFile, &random)
            let lines = bytes.count { $0 == 10 || $0 == 13 || $0 == 0x85 || $0 == 0xa8 || $0 == 0xa9 } + 1
            do {
                let policy = try PolicyFile.parse(bytes: bytes, source: "p")
                // What is accepted is valid, whatever it says.
                #expect(!policy.addressSpace.isEmpty)
                for environment in policy.environments {
                    #expect(!environment.addresses.isEmpty && !environment.protocols.isEmpty)
                }
                #expect(
                    Plan.make(current: policy, desired: policy, attached: [], cgroupsPresent: { _ in true }).revokes
                        == false)
            } catch {
                #expect(!error.errors.isEmpty)
                for one in error.errors {
                    #expect((1...lines + 1).contains(one.line) && one.column >= 1)
                    #expect(!one.description.contains("\n"))
                }
            }
        }
    }

    @Test func `every beginning of a file is read or refused`() {
        let bytes = Array(wholeFile.utf8)
        for length in bytes.indices {
            _ = try? PolicyFile.parse(bytes: Array(bytes[..<length]), source: "p")
        }
    }

    @Test(arguments: ["[", "{", "- ", "? ", "{a: ", "[{", "&a [", "!!x ", "'", "\"", "|", "a: |\n ", "*", "%"])
    func `a hundred thousand times the same is refused in time`(text: String) {
        let bytes = Array(String(repeating: text, count: 100_000).utf8)
        let time = processorTime {
            #expect(throws: DocumentErrors.self) { try PolicyFile.parse(bytes: bytes, source: "p") }
        }
        #expect(time < .seconds(20))
    }
}
