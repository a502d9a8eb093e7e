import Testing

@testable import VNEHost

@Suite struct MountTableTests {
    @Test func `a hybrid host has its cgroup2 mount beside the version 1 hierarchies`() {
        let table = MountTable(
            parsing: """
                31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
                35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
                41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw

                """)
        #expect(table.cgroupMounts == [.init(path: "/sys/fs/cgroup/unified", root: "/", device: "0:38")])
    }

    @Test func `a pure host's mount is found whatever optional fields it has`() {
        let line = "28 24 0:25 / /sys/fs/cgroup rw,nosuid shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate"
        #expect(MountTable(parsing: line).cgroupMounts == [.init(path: "/sys/fs/cgroup", root: "/", device: "0:25")])
    }

    @Test func `a mount of a part of the hierarchy says which`() {
        let line = "28 24 0:25 /machine.slice/a /sys/fs/cgroup ro - cgroup2 cgroup2 rw"
        #expect(MountTable(parsing: line).cgroupMounts.first?.root == "/machine.slice/a")
    }

    @Test func `escaped blanks in a path are undone`() {
        #expect(MountTable.unescape("/a\\040b\\134c") == "/a b\\c")
        #expect(MountTable.unescape("/a\\04") == "/a\\04")
        #expect(MountTable.unescape("/a\\999") == "/a\\999")
    }

    @Test func `a line that is cut short counts for nothing`() {
        #expect(MountTable(parsing: "28 24 0:25 / /sys/fs/cgroup rw -").cgroupMounts.isEmpty)
        #expect(MountTable(parsing: "28 24").cgroupMounts.isEmpty)
    }

    @Test func `without a mount the error says how to make one`() {
        #expect(throws: HostError.self) { try CgroupTree(MountTable(parsing: "")) }
        let error = #expect(throws: HostError.self) { try CgroupTree(MountTable(parsing: "")) }
        #expect(error?.kind == .unsupported)
        #expect(error?.description.contains("mount -t cgroup2") == true)
    }

    @Test func `a mount that something covers is passed over`() throws {
        // What is at /tmp is no cgroup2 file system, whatever the table says.
        let table = MountTable(parsing: "28 24 0:25 / /tmp rw - cgroup2 cgroup2 rw")
        #expect(throws: HostError.self) { try CgroupTree(table) }
    }
}
