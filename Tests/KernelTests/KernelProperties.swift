import Glibc
import TestSupport
import Testing

/// What holds the programs in the kernel to the model. One test after the other: each has the machine's two cores to
/// keep busy, and counts packets.
@Suite(.serialized, .enabled(if: Repository.canRun, "needs root and cgroup2"))
struct KernelProperties {}

/// Where the kernel half lies, beside these tests.
enum Repository {
    static let canRun = geteuid() == 0 && CgroupMount.path != nil

    /// The directory with the Makefile.
    static let root: String = {
        let parts = #filePath.split(separator: "/").dropLast(3)
        return "/" + parts.joined(separator: "/")
    }()

    static let programs = "bpf/.output/vne.bpf.o"
    static let decision = "bpf/.output/decision_test.bpf.o"
}

/// What the kernel answered otherwise than the model: how to find it again, and what it is.
struct Mismatch: Error, CustomStringConvertible {
    var seed: UInt64
    var attempt: Int
    var text: String

    var description: String { "seed \(seed), attempt \(attempt): \(text)" }
}

/// Something that a test rests on and that did not work.
struct TestFailure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) {
        self.description = description
    }
}
