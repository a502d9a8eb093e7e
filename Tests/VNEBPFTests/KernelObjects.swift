import Glibc

@testable import VNEBPF

/// Whether the kernel still has an object. Other suites may run beside this one: objects are told by id, not counted.
enum KernelObjects {
    /// Whether all of them are gone, within two seconds: the kernel frees what nobody holds a little later.
    static func allGone(maps: [UInt32] = [], programs: [UInt32] = []) -> Bool {
        for _ in 0..<200 {
            let left =
                maps.contains { (try? BPFMap(id: $0, name: "any")) != nil }
                || programs.contains { BPFProgram.exists(id: $0) }
            if !left { return true }
            usleep(10_000)
        }
        return false
    }
}
