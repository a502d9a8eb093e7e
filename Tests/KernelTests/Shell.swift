import Glibc

/// Commands of the system, for what the tests set up.
enum Shell {
    /// Runs a script; what it printed is in the error if it fails.
    static func run(_ script: String) throws {
        guard let output = unsafe popen("exec 2>&1; set -e; \(script)", "re") else {
            throw TestFailure("popen: \(errno)")
        }
        var text = ""
        var line = [CChar](repeating: 0, count: 4096)
        while unsafe fgets(&line, Int32(line.count), output) != nil {
            text += String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
        let status = unsafe pclose(output)
        guard status == 0 else { throw TestFailure("status \(status): \(text)") }
    }
}
