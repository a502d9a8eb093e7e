import Foundation
import Testing

@testable import VNEHost

@Suite struct JournalSocketTests {
    @Test func `a field is a line, and a value of several lines has its length before it`() {
        let entry = JournalSocket.entry([("PRIORITY", "6"), ("MESSAGE", "a\nb"), ("VNE_APPLICATION", "web=1")])
        let expected =
            Array("PRIORITY=6\nMESSAGE\n".utf8) + [3, 0, 0, 0, 0, 0, 0, 0] + Array("a\nb\nVNE_APPLICATION=web=1\n".utf8)
        #expect(entry == expected)
    }

    @Test func `an entry arrives whole, and nobody who listens is an error`() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "journal-\(getpid())").path
        #expect(throws: HostError.self) { try JournalSocket(path: path).write([("MESSAGE", "lost")]) }
        let journal = try LocalDatagramSocket()
        try journal.bind(path)
        defer { _ = try? FileManager.default.removeItem(atPath: path) }
        try JournalSocket(path: path).write([("MESSAGE", "kept"), ("PRIORITY", "4")])
        #expect(journal.receive()?.bytes == Array("MESSAGE=kept\nPRIORITY=4\n".utf8))
    }
}
