import Glibc
import VNEAgent

/// A policy file as it was read.
struct PolicyText {
    /// Its name as it was given; `<stdin>` for `-`.
    var source: String
    var text: String

    /// No policy is larger; a file that is was named by mistake.
    private static let limit = 256 << 20

    init(reading path: String) throws(AgentError) {
        source = path == "-" ? "<stdin>" : path
        let descriptor = path == "-" ? dup(STDIN_FILENO) : unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure(path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe read(descriptor, &buffer, buffer.count)
            if count == 0 { break }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw Self.failure(path)
            }
            bytes += buffer[..<count]
            guard bytes.count <= Self.limit else {
                throw AgentError(.policyFile, "\(source) is larger than any policy: \(Self.limit >> 20) MiB")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw AgentError(.policyFile, "\(source) is no UTF-8 text")
        }
        self.text = text
    }

    private static func failure(_ path: String) -> AgentError {
        let code = errno
        let reason = unsafe String(cString: strerror(code))
        return AgentError(code == ENOENT ? .notFound : .failure, "cannot read \(path): \(reason)")
    }
}
