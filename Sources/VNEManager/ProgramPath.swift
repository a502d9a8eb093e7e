internal import Glibc
internal import Synchronization
internal import SystemPackage

/// Where programs are, looked for once each.
///
/// Subprocess would try a name in each directory of PATH, and make a process for each try.
enum ProgramPath {
    private static let found = Mutex<[String: FilePath]>([:])
    private static let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// The file of a program, by its name; nil if there is none.
    static func find(_ name: String) -> FilePath? {
        if let known = found.withLock({ $0[name] }), isProgram(known) { return known }
        let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? usual
        let places = path.split(separator: ":").filter { $0.hasPrefix("/") }.map { FilePath("\($0)/\(name)") }
        guard let place = places.first(where: isProgram) else { return nil }
        found.withLock { $0[name] = place }
        return place
    }

    private static func isProgram(_ place: FilePath) -> Bool {
        var status = stat()
        guard unsafe stat(place.string, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return false }
        return unsafe access(place.string, X_OK) == 0
    }
}
