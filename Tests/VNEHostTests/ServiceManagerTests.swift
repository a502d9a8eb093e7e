import Glibc
import Testing

@testable import VNEHost

/// A socket that a service manager listens on.
private final class Listener {
    private let number: Int32

    /// On a path, or on an abstract name that begins with `@`.
    init(_ name: String) {
        number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = name.utf8.map { $0 == UInt8(ascii: "@") ? 0 : $0 }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let size = socklen_t(2 + bytes.count)
        unsafe withUnsafePointer(to: &address) { pointer in
            let address = unsafe UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
            _ = unsafe bind(number, address, size)
        }
    }

    deinit { close(number) }

    /// The next datagram; nil if there is none.
    func next() -> String? {
        var buffer = [UInt8](repeating: 0, count: 1000)
        let count = unsafe recv(number, &buffer, buffer.count, 0)
        return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
    }
}

@Suite struct ServiceManagerTests {
    @Test(arguments: ["@vne-test-notify-\(getpid())", "/tmp/vne-test-notify-\(getpid())"])
    func `assignments arrive in one datagram`(name: String) throws {
        let listener = Listener(name)
        defer { unsafe unlink(name) }
        let manager = ServiceManager(environment: ["NOTIFY_SOCKET": name], process: 1)
        try manager.notify("RELOADING=1", "MONOTONIC_USEC=7")
        try manager.notify("STATUS=two\nREADY=1")
        #expect(listener.next() == "RELOADING=1\nMONOTONIC_USEC=7")
        #expect(listener.next() == "STATUS=two READY=1")
        #expect(listener.next() == nil)
    }

    @Test func `where nobody asked nothing is sent`() throws {
        try ServiceManager(environment: [:], process: 1).notify("READY=1")
    }

    @Test(arguments: ["vsock:2:9999", "@", "/" + String(repeating: "x", count: 200)])
    func `a name that is no socket's is an error`(name: String) {
        #expect(throws: HostError.self) {
            try ServiceManager(environment: ["NOTIFY_SOCKET": name], process: 1).notify("READY=1")
        }
    }

    @Test func `a manager that does not read keeps nobody waiting for long`() throws {
        let name = "@vne-test-full-\(getpid())"
        let listener = Listener(name)
        let manager = ServiceManager(environment: ["NOTIFY_SOCKET": name], process: 1)
        let begun = HostEvents.now
        #expect(throws: HostError.self) {
            for _ in 0..<10_000 { try manager.notify("WATCHDOG=1") }
        }
        #expect(HostEvents.now - begun < .seconds(20))
        withExtendedLifetime(listener) {}
    }

    @Test func `the watchdog is this process's or none`() {
        let interval = ["WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "42"]
        #expect(ServiceManager(environment: interval, process: 42).watchdogInterval == .seconds(2))
        #expect(ServiceManager(environment: interval, process: 43).watchdogInterval == nil)
        #expect(ServiceManager(environment: ["WATCHDOG_USEC": "5"], process: 1).watchdogInterval == .microseconds(5))
        for wrong in ["0", "-1", "soon", ""] {
            #expect(ServiceManager(environment: ["WATCHDOG_USEC": wrong], process: 1).watchdogInterval == nil)
        }
    }

    @Test func `a stream is told by its device and inode`() throws {
        let file = ThrowawayFile("x")
        let descriptor = try Descriptor.open(file.path)
        var status = stat()
        unsafe _ = fstat(descriptor.number, &status)
        #expect(ServiceManager.leadsToJournal(descriptor.number, stream: "\(status.st_dev):\(status.st_ino)"))
        #expect(!ServiceManager.leadsToJournal(descriptor.number, stream: "\(status.st_dev):1"))
        #expect(!ServiceManager.leadsToJournal(descriptor.number, stream: ""))
    }
}
