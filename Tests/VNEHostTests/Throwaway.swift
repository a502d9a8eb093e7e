import Glibc
import Synchronization
import PolicyModel
import VNEHost

/// Whether these tests may make cgroups and namespaces.
let isRoot = getuid() == 0

/// A cgroup of a test's own, swept with everything below it.
final class ThrowawayCgroup {
    static let prefix = "vne-test-host-"
    private static let count = Atomic<Int>(0)

    let host = LinuxHost(instance: "test")
    let path: String

    init() throws {
        Self.sweep(host)
        let number = Self.count.add(1, ordering: .relaxed).newValue
        path = "\(Self.prefix)\(getpid())-\(number)"
        host.close(try host.makeCgroup(path))
    }

    deinit {
        Self.remove(path, host)
    }

    /// Removes what crashed runs left: cgroups of this prefix whose maker is gone.
    private static func sweep(_ host: LinuxHost) {
        guard let mount = try? host.cgroupMount() else { return }
        for name in directories(in: mount) where name.hasPrefix(prefix) {
            let maker = name.dropFirst(prefix.count).prefix { $0 != "-" }
            guard let process = pid_t(maker), kill(process, 0) != 0, errno == ESRCH else { continue }
            remove(name, host)
        }
    }

    /// Kills what still runs in the cgroup, waits until it is gone, and removes it from the leaves up.
    private static func remove(_ path: String, _ host: LinuxHost) {
        for process in (try? host.processes(below: path)) ?? [] { _ = kill(pid_t(process), SIGKILL) }
        _ = eventually { !host.isPopulated(path) }
        if let mount = try? host.cgroupMount() {
            for name in directories(in: "\(mount)/\(path)") { remove("\(path)/\(name)", host) }
        }
        _ = host.removeCgroup(path)
    }

    private static func directories(in path: String) -> [String] {
        guard let stream = unsafe opendir(path) else { return [] }
        defer { unsafe _ = closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            guard unsafe entry.pointee.d_type == UInt8(DT_DIR) else { continue }
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }
}

/// A file of a test's own.
final class ThrowawayFile {
    private static let count = Atomic<Int>(0)
    let path: String

    init(_ text: String? = nil) {
        path = "/tmp/\(ThrowawayCgroup.prefix)\(getpid())-\(Self.count.add(1, ordering: .relaxed).newValue)"
        guard let text, let file = unsafe fopen(path, "w") else { return }
        unsafe _ = fputs(text, file)
        unsafe _ = fclose(file)
    }

    deinit {
        unsafe _ = unlink(path)
    }

    /// What is in it; empty if it is not there.
    var text: String { VNEHostTests.text(of: path) }
}

/// What is in a file; empty if it is not there.
func text(of path: String) -> String {
    guard let file = unsafe fopen(path, "r") else { return "" }
    defer { unsafe _ = fclose(file) }
    var bytes: [UInt8] = []
    while case let byte = unsafe getc(file), byte != EOF { bytes.append(UInt8(byte)) }
    return String(decoding: bytes, as: UTF8.self)
}

/// Whether a condition comes true within five seconds.
func eventually(_ condition: () -> Bool) -> Bool {
    for _ in 0..<500 {
        if condition() { return true }
        usleep(10_000)
    }
    return false
}

/// Runs a test's body on a thread in a network namespace of its own, which goes with the thread.
func inNewNetworkNamespace(_ body: @escaping @Sendable () throws -> Void) throws {
    let outcome = Outcome(body)
    var thread = pthread_t()
    let code = unsafe pthread_create(
        &thread, nil,
        { argument in
            guard let argument = unsafe argument else { return nil }
            unsafe Unmanaged<Outcome>.fromOpaque(argument).takeUnretainedValue().run()
            return nil
        }, Unmanaged.passUnretained(outcome).toOpaque())
    guard code == 0 else { throw SystemError(call: "pthread_create", code: code) }
    pthread_join(thread, nil)
    try outcome.result.withLock { try $0.get() }
}

/// What a thread did.
private final class Outcome: Sendable {
    private let body: @Sendable () throws -> Void
    let result = Mutex<Result<Void, any Error>>(.failure(SystemError(call: "thread", code: 0)))

    init(_ body: @escaping @Sendable () throws -> Void) {
        self.body = body
    }

    func run() {
        let outcome = Result<Void, any Error> {
            // The C library declares it for GNU sources only.
            guard let unshare = unsafe dlsym(nil, "unshare") else { throw SystemError(call: "dlsym", code: 0) }
            let call = unsafe unsafeBitCast(unshare, to: (@convention(c) (Int32) -> Int32).self)
            let newNetworkNamespace: Int32 = 0x4000_0000
            guard call(newNetworkNamespace) == 0 else { throw SystemError(call: "unshare", code: errno) }
            try body()
        }
        result.withLock { $0 = outcome }
    }
}

/// A system call of a test that failed.
struct SystemError: Error {
    var call: String
    var code: Int32
}
