import FoundationEssentials
import Glibc
import OverlayKeys

/// A file that is written whole or not at all.
struct WholeFile {
    /// Who may read it.
    enum Readers: mode_t {
        case owner = 0o600
        case everybody = 0o644
    }

    let path: String
    let readers: Readers

    /// Refuses a path that has something, unless that may go. A keyset never goes: nobody could make it again.
    func requireFree(force: Bool) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        guard force else { throw Failure.failed("\(path) is there already; --force overwrites it") }
        let beginning = Array(ArmourKind.sealedKeyset.beginning.utf8)
        let start = try? OpenFile(path: path).read(atMost: beginning.count)
        guard start != beginning else {
            throw Failure.failed("\(path) is a keyset, which nothing overwrites: move it away first")
        }
    }

    /// Writes it, in place of what is there or only where nothing is. Once this returns it is on the disk.
    func write(_ text: [UInt8], replacing: Bool) throws {
        let draft = "\(path).\(UInt64.random(in: .min ... .max))"
        let descriptor = unsafe open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, readers.rawValue)
        guard descriptor >= 0 else { throw failure() }
        defer {
            close(descriptor)
            unsafe unlink(draft)
        }
        var rest = text[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count >= 0 || errno == EINTR else { throw failure() }
            rest = rest.dropFirst(max(count, 0))
        }
        // A link is made only where nothing is, which a look before could not promise.
        guard fsync(descriptor) == 0, unsafe (replacing ? rename(draft, path) : link(draft, path)) == 0 else {
            throw failure()
        }
        let parent = URL(filePath: path).deletingLastPathComponent().path
        let directory = unsafe open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        fsync(directory)
        close(directory)
    }

    private func failure() -> Failure { .failed("cannot write \(path): \(SystemError.text)") }
}

/// A descriptor that is read.
struct OpenFile {
    let path: String
    let descriptor: Int32

    /// Opens a file, which exists.
    init(path: String) throws {
        self.path = path
        descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor < 0 else { return }
        if errno == ENOENT { throw Failure.notFound("there is no file \(path)") }
        throw Failure.failed("cannot read \(path): \(SystemError.text)")
    }

    /// One that is open.
    init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    /// From where it is to its end, or as many bytes.
    func read(atMost limit: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while bytes.count < limit {
            let wanted = min(buffer.count, limit - bytes.count)
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, wanted) }
            if count == 0 { break }
            guard count > 0 || errno == EINTR else { throw Failure.failed("cannot read \(path): \(SystemError.text)") }
            bytes += buffer.prefix(max(count, 0))
        }
        return bytes
    }
}

/// What the kernel said last.
enum SystemError {
    static var text: String { unsafe String(cString: strerror(errno)) }
}
