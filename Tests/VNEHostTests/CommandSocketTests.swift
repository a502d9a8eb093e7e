import Foundation
import Glibc
import Testing

@testable import VNEHost

@Suite struct CommandSocketTests {
    @Test func `lines go both ways, whole ones only, and nobody waits for them`() throws {
        let server = try Server()
        let client = try CommandSocket(server.path)
        let other = server.accept()
        defer { close(other) }
        #expect(try client.lines() == [])
        try client.write("disable all")
        var bytes = [UInt8](repeating: 0, count: 100)
        #expect(unsafe read(other, &bytes, 100) == 12)
        server.say("0001 ready.\n0009 no", other)
        #expect(try client.lines() == ["0001 ready."])
        server.say("w\n", other)
        #expect(try client.lines() == ["0009 now"])
    }

    @Test func `the end of the other program is an error, and so is one that is not there`() throws {
        let server = try Server()
        let client = try CommandSocket(server.path)
        close(server.accept())
        #expect(throws: HostError.self) { try client.lines() }
        #expect(throws: HostError.self) { try CommandSocket("\(server.path)-none") }
    }
}

/// What takes commands.
private final class Server {
    let path: String
    private let number: Int32

    init() throws {
        let name = "commands-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        path = FileManager.default.temporaryDirectory.appending(path: name).path
        number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: Array(path.utf8)) }
        let bound = unsafe withUnsafePointer(to: address) {
            unsafe bind(
                number, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_un>.size))
        }
        try #require(bound == 0 && listen(number, 1) == 0)
    }

    deinit {
        close(number)
        unsafe unlink(path)
    }

    func accept() -> Int32 { Glibc.accept(number, nil, nil) }

    func say(_ text: String, _ other: Int32) {
        let bytes = Array(text.utf8)
        unsafe _ = write(other, bytes, bytes.count)
    }
}
