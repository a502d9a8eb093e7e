import Glibc
import PolicyModel
import Testing

@testable import VNEHost

@Suite struct ProcessTests {
    /// Fields 3 to 22 of a stat file: the state, 18 numbers, the start time.
    private func stat(_ command: String, state: String) -> String {
        "17 (\(command)) \(state) " + (4...21).map(String.init).joined(separator: " ") + " 4711 23 24\n"
    }

    @Test func `the start time is found behind any command name`() {
        #expect(ProcessEntry.startTime(parsing: stat("sh", state: "S")) == 4711)
        #expect(ProcessEntry.startTime(parsing: stat("a) R (b c", state: "S")) == 4711)
    }

    @Test func `a zombie counts as ended`() {
        #expect(ProcessEntry.startTime(parsing: stat("sh", state: "Z")) == nil)
        #expect(ProcessEntry.startTime(parsing: "17 (sh) S 1") == nil)
    }

    @Test func `this process is alive, and a later one with its id is another`() throws {
        let host = LinuxHost(instance: "test")
        var launcher = try LinuxHost.currentLauncher()
        #expect(launcher.process == UInt32(getpid()))
        #expect(host.isAlive(launcher))
        launcher.startTime += 1
        #expect(!host.isAlive(launcher))
    }

    @Test func `the namespace's cookie stays the same`() throws {
        let cookie = try LinuxHost.networkNamespaceCookie()
        #expect(cookie != 0)
        #expect(try LinuxHost.networkNamespaceCookie() == cookie)
    }

    @Test(.enabled(if: isRoot)) func `another namespace has another cookie`() throws {
        let outside = try LinuxHost.networkNamespaceCookie()
        try inNewNetworkNamespace {
            let inside = try LinuxHost.networkNamespaceCookie()
            #expect(inside != outside)
        }
    }

    @Test(.enabled(if: isRoot)) func `processes of another network namespace are named`() throws {
        let cgroup = try ThrowawayCgroup()
        let open = try cgroup.host.openCgroup(cgroup.path)
        defer { cgroup.host.close(open) }
        let inside = try Launch(["/usr/bin/unshare", "-n", "sleep", "60"]).start(in: open.descriptor)
        let other = inside.process
        #expect(eventually { (try? cgroup.host.foreignNamespaceProcesses(of: cgroup.path)) == [other] })
        kill(pid_t(other), SIGKILL)
        #expect(try inside.wait() == .signaled(SIGKILL))
        #expect(try cgroup.host.foreignNamespaceProcesses(of: cgroup.path).isEmpty)
    }
}
