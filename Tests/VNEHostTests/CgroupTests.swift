import Glibc
import PolicyModel
import Testing
import VNEHost

@Suite(.enabled(if: isRoot)) struct CgroupTests {
    @Test func `an opened cgroup has its inode as id, and its depth as level`() throws {
        let cgroup = try ThrowawayCgroup()
        let host = cgroup.host
        let child = try host.makeCgroup("\(cgroup.path)/a/b")
        defer { host.close(child) }
        var status = stat()
        #expect(unsafe stat("\(try host.cgroupMount())/\(cgroup.path)/a/b", &status) == 0)
        #expect(child.id == UInt64(status.st_ino))
        #expect(child.level == 3)
        #expect(child.path == "\(cgroup.path)/a/b")
        #expect(fcntl(child.descriptor, F_GETFD) == FD_CLOEXEC)
    }

    @Test func `a path may be given whole, and with more slashes than it needs`() throws {
        let cgroup = try ThrowawayCgroup()
        let host = cgroup.host
        for path in ["\(try host.cgroupMount())/\(cgroup.path)", "\(cgroup.path)/", "\(cgroup.path)//"] {
            let open = try host.openCgroup(path)
            host.close(open)
            #expect(open.path == cgroup.path)
            #expect(open.level == 1)
        }
    }

    @Test(arguments: ["", "/", ".", "./", "//"])
    func `the root cgroup is refused`(path: String) throws {
        let host = LinuxHost(instance: "test")
        let error = #expect(throws: HostError.self) { try host.openCgroup(path) }
        #expect(error?.kind == .refused)
        let whole = #expect(throws: HostError.self) { try host.openCgroup(try host.cgroupMount()) }
        #expect(whole?.description.contains("root cgroup holds every process") == true)
    }

    @Test(arguments: ["..", "a/../..", "/etc", "/sys", "../unified/x", "a/../\u{301}b", "/\u{301}etc"])
    func `a path that leads out of the tree is refused`(path: String) throws {
        let host = LinuxHost(instance: "test")
        let error = #expect(throws: HostError.self) { try host.openCgroup(path) }
        #expect(error?.kind == .refused)
        #expect(throws: HostError.self) { try host.makeCgroup(path) }
        #expect(!host.removeCgroup(path))
    }

    @Test func `a cgroup that is not there, and a file of one, are told apart`() throws {
        let cgroup = try ThrowawayCgroup()
        let missing = #expect(throws: HostError.self) { try cgroup.host.openCgroup("\(cgroup.path)/none") }
        #expect(missing?.kind == .missing)
        #expect(missing?.description.contains("There is no such cgroup below") == true)
        let file = #expect(throws: HostError.self) { try cgroup.host.openCgroup("\(cgroup.path)/cgroup.procs") }
        #expect(file?.description.contains("not a cgroup") == true)
    }

    @Test func `a cgroup that was removed and made again is another one`() throws {
        let cgroup = try ThrowawayCgroup()
        let host = cgroup.host
        let path = "\(cgroup.path)/again"
        let first = try host.makeCgroup(path)
        host.close(first)
        #expect(host.cgroupExists(path, id: first.id))
        #expect(host.removeCgroup(path))
        #expect(host.removeCgroup(path))
        #expect(!host.cgroupExists(path, id: first.id))
        host.close(try host.makeCgroup(path))
        #expect(!host.cgroupExists(path, id: first.id))
    }

    @Test func `making stops where the kernel does, and leaves nothing half made`() throws {
        let cgroup = try ThrowawayCgroup()
        // The kernel refuses names with a line end.
        #expect(throws: HostError.self) { try cgroup.host.makeCgroup("\(cgroup.path)/above/bad\nname") }
        #expect(throws: HostError.self) { try cgroup.host.openCgroup("\(cgroup.path)/above") }
    }

    @Test func `a cgroup with processes is populated, also from below, and stays`() throws {
        let cgroup = try ThrowawayCgroup()
        let host = cgroup.host
        let child = try host.makeCgroup("\(cgroup.path)/child")
        defer { host.close(child) }
        #expect(!host.isPopulated(cgroup.path))
        let command = try Launch(["/bin/sleep", "60"]).start(in: child.descriptor)
        #expect(host.isPopulated(cgroup.path))
        #expect(try host.processes(below: cgroup.path) == [command.process])
        #expect(!host.removeCgroup(child.path))
        kill(pid_t(command.process), SIGTERM)
        #expect(try command.wait() == .signaled(SIGTERM))
        #expect(!host.isPopulated(cgroup.path))
        #expect(host.removeCgroup(child.path))
    }

    @Test func `the ids below a cgroup are its own and those of all its children`() throws {
        let cgroup = try ThrowawayCgroup()
        let host = cgroup.host
        var expected: Set<UInt64> = []
        for path in [cgroup.path, "\(cgroup.path)/a", "\(cgroup.path)/a/b", "\(cgroup.path)/c"] {
            let open = try host.makeCgroup(path)
            expected.insert(open.id)
            host.close(open)
        }
        #expect(try host.cgroupIDs(below: cgroup.path) == expected)
        #expect(throws: HostError.self) { try host.cgroupIDs(below: "\(cgroup.path)/none") }
    }
}
