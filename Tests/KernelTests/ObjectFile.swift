import Glibc

@testable import VNEBPF

/// A compiled object from a file, with a digest that no other object of this process has.
enum ObjectFile {
    static func withImage<Success>(of path: String, _ body: (ObjectImage) throws -> Success) throws -> Success {
        let bytes = try bytes(of: path)
        return try unsafe bytes.withUnsafeBytes { bytes in
            let digest = unsafe bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
            return unsafe try body(ObjectImage(bytes: bytes, digest: digest))
        }
    }

    static func bytes(of path: String) throws -> [UInt8] {
        guard let file = unsafe fopen(path, "re") else { throw TestFailure("can't read \(path); run make bpf") }
        defer { unsafe fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe fread(&buffer, 1, buffer.count, file)
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
        }
    }

    static func write(_ text: String, to path: String) throws {
        guard let file = unsafe fopen(path, "we") else { throw TestFailure("can't write \(path)") }
        defer { unsafe fclose(file) }
        let bytes = Array(text.utf8)
        guard unsafe fwrite(bytes, 1, bytes.count, file) == bytes.count else {
            throw TestFailure("can't write \(path)")
        }
    }
}
