import Glibc
import Synchronization
import TestSupport

@testable import VNEBPF

/// Names for what a test makes outside its process, by which whoever comes later knows whose it was.
enum Leftovers {
    /// Not a beginning of what other tests call theirs, as they sweep too.
    private static let prefix = "vne-test-kernel-"
    private static let directories = [PinDirectory.root, CgroupMount.path ?? "/nowhere", "/run/netns", "/tmp"]
    private static let count = Atomic<Int>(0)

    /// A name that nothing has, `vne-test-kernel-PROCESS-NUMBER`. What is made may have a `-` and more behind it.
    static func newName() -> String {
        "\(prefix)\(getpid())-\(count.add(1, ordering: .relaxed).newValue)"
    }

    /// Removes whatever has a name: an instance or other pins, cgroups, network namespaces, a directory in `/tmp`.
    static func remove(_ name: String) {
        _ = try? Instance.unload(name)
        for suffix in ["", ":new"] { try? BPFFileSystem.sweep("\(PinDirectory.root)/\(name)\(suffix)") }
        func entries(_ directory: String) -> [String] {
            let all = (try? BPFFileSystem.entries(of: directory).map(\.name)) ?? []
            return all.filter { $0 == name || $0.hasPrefix("\(name)-") }
        }
        for cgroup in entries(directories[1]) { CgroupMount.remove(cgroup) }
        for namespace in entries(directories[2]) { try? Shell.run("ip netns del \(namespace)") }
        for directory in entries(directories[3]) { try? Shell.run("rm -rf /tmp/\(directory)") }
    }

    /// Removes what test processes left that are no more. Their probers ended with them.
    static func sweep() {
        let entries = directories.flatMap { (try? BPFFileSystem.entries(of: $0).map(\.name)) ?? [] }
        let left = entries.filter { CgroupMount.isLeft($0, prefix: prefix) }.map { entry in
            let parts = entry.dropFirst(prefix.count).split { $0 == "-" || $0 == ":" }.prefix(2)
            return prefix + parts.joined(separator: "-")
        }
        for name in Set(left) { remove(name) }
    }
}
