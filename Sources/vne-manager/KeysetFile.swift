import FoundationEssentials
import Glibc
import OverlayKeys

/// A keyset in its file, opened.
struct KeysetFile {
    let path: String
    let passphrase: Passphrase
    var keyset: Keyset
    /// Holds the lock of a keyset that is to be changed, until the process ends.
    private let lock: OpenFile

    /// Opens a keyset.
    /// - Parameter changing: whether nobody else may change it until this process ends.
    init(_ path: String, _ source: PassphraseSource, changing: Bool = false) throws {
        lock = try OpenFile(path: path)
        if changing { try Self.lock(lock) }
        let bytes = try lock.read(atMost: SealedFile.maximumBytes + 1)
        let sealed = try Failure.explaining(path) { () throws(KeysError) in try SealedFile(parsing: bytes, as: .keyset)
        }
        let passphrase = try source.known()
        keyset = try Failure.explaining(path) { () throws(KeysError) in try Keyset(sealed, passphrase) }
        // A link stays one, and leads to what was changed.
        self.path = changing ? URL(filePath: path).resolvingSymlinksInPath().path : path
        self.passphrase = passphrase
    }

    /// Takes the lock of what the path is at now, and not of what it was when it was opened.
    private static func lock(_ file: OpenFile) throws {
        guard flock(file.descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw Failure.failed("another command is changing \(file.path); try again once it is done")
        }
        var opened = stat()
        var there = stat()
        guard unsafe fstat(file.descriptor, &opened) == 0, unsafe stat(file.path, &there) == 0,
            opened.st_ino == there.st_ino, opened.st_dev == there.st_dev
        else { throw Failure.failed("\(file.path) was changed meanwhile; try again") }
    }

    /// Writes what was changed, sealed anew under the same passphrase.
    mutating func save() throws {
        var generator = SystemRandomNumberGenerator()
        let sealed = try Failure.explaining(path) { () throws(KeysError) in
            try keyset.sealed(passphrase, using: &generator)
        }
        try WholeFile(path: path, readers: .owner).write(Array(sealed.text.utf8), replacing: true)
    }
}

extension Failure {
    /// Does what may be refused for something about a file, and says so with its name.
    static func explaining<Value>(_ file: String, _ work: () throws(KeysError) -> Value) throws -> Value {
        do {
            return try work()
        } catch {
            switch error.cause {
            case .file: throw Failure(status: 3, description: "\(file): \(error)")
            case .refusal: throw failed("\(file): \(error)")
            case .unknown: throw notFound("\(file): \(error)")
            }
        }
    }
}
