internal import CLibBPF
internal import Glibc
internal import Synchronization

/// What libbpf has to say while something is loaded: kept for the error, printed nowhere.
enum LibBPFLog {
    private static let lines = Mutex<String?>(nil)

    /// Takes libbpf's printing over and silences it. The C function is `libbpf_set_print`.
    static func silence() {
        _ = installed
    }

    private static let installed: Bool = {
        _ = unsafe libbpf_set_print { level, format, arguments in
            guard level != LIBBPF_DEBUG, let format = unsafe format, let arguments = unsafe arguments else { return 0 }
            return unsafe LibBPFLog.append(format, arguments)
        }
        return true
    }()

    /// Runs `body` and collects the messages of it. One collection at a time: loading happens under the instance's lock.
    static func collecting<Success: ~Copyable>(
        _ body: () throws(BPFError) -> Success
    ) throws(BPFError) -> Success {
        silence()
        lines.withLock { $0 = "" }
        defer { lines.withLock { $0 = nil } }
        return try body()
    }

    /// What was collected so far; nil if nothing was.
    static var collected: String? {
        lines.withLock { $0.flatMap { $0.isEmpty ? nil : $0 } }
    }

    private static func append(_ format: UnsafePointer<CChar>, _ arguments: CVaListPointer) -> Int32 {
        // The verifier's log of one program has up to 64 KiB in libbpf's own buffer.
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1 << 17) { buffer in
            guard let start = buffer.baseAddress else { return 0 }
            let count = unsafe vsnprintf(start, buffer.count, format, arguments)
            guard count > 0 else { return count }
            let text = unsafe String(cString: start)
            lines.withLock { $0?.append(text) }
            return count
        }
    }
}
