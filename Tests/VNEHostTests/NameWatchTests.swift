import Glibc
import PolicyModel
import Synchronization
import Testing

@testable import VNEHost

/// A directory of a test's own.
private final class ThrowawayDirectory {
    private static let count = Atomic<Int>(0)
    let path: String

    init() {
        let number = Self.count.add(1, ordering: .relaxed).newValue
        path = "/tmp/\(ThrowawayCgroup.prefix)watch-\(getpid())-\(number)"
        unsafe _ = mkdir(path, 0o755)
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        for entry in (try? Descriptor.open(path, flags: O_RDONLY | O_DIRECTORY).entries(of: path)) ?? [] {
            if entry.isDirectory { remove("\(path)/\(entry.name)") } else { unsafe _ = unlink("\(path)/\(entry.name)") }
        }
        unsafe _ = rmdir(path)
    }

    func write(_ name: String, _ text: String = "x") {
        guard let file = unsafe fopen("\(path)/\(name)", "w") else { return }
        unsafe _ = fputs(text, file)
        unsafe _ = fclose(file)
    }
}

@Suite struct NameWatchTests {
    private let directory = ThrowawayDirectory()

    @Test func `names that matter are heard and others are not`() throws {
        let watch = try NameWatch()
        #expect(try watch.listen(to: [directory.path: ["a"]]))
        #expect(try !watch.listen(to: [directory.path: ["a"]]))
        directory.write("b")
        #expect(try !watch.hear())
        directory.write("a")
        #expect(try watch.hear())
        #expect(try !watch.hear())
        unsafe _ = unlink("\(directory.path)/a")
        #expect(try watch.hear())
    }

    @Test func `a way that is made bit by bit is followed to its end`() throws {
        let watch = try NameWatch()
        let interests = NameInterests.leading(to: ["a/b/c"], below: directory.path)
        #expect(try watch.listen(to: interests))
        for path in ["a", "a/b", "a/b/c"] {
            unsafe _ = mkdir("\(directory.path)/\(path)", 0o755)
            #expect(try watch.hear(), "\(path) came")
            _ = try watch.listen(to: interests)
        }
    }

    @Test func `a way that is made anew before anybody looked is heard again`() throws {
        let watch = try NameWatch()
        let interests = NameInterests.leading(to: ["a/b/c"], below: directory.path)
        for _ in 0..<3 {
            for path in ["a", "a/b", "a/b/c"] { unsafe _ = mkdir("\(directory.path)/\(path)", 0o755) }
            _ = try watch.listen(to: interests)
            for path in ["a/b/c", "a/b", "a"] { unsafe _ = rmdir("\(directory.path)/\(path)") }
        }
        for path in ["a", "a/b"] { unsafe _ = mkdir("\(directory.path)/\(path)", 0o755) }
        #expect(try watch.hear())
        #expect(try watch.listen(to: interests))
        unsafe _ = mkdir("\(directory.path)/a/b/c", 0o755)
        #expect(try watch.hear())
    }

    @Test func `what nobody is interested in any more is not heard`() throws {
        let watch = try NameWatch()
        _ = try watch.listen(to: [directory.path: ["a"]])
        _ = try watch.listen(to: [:])
        directory.write("a")
        #expect(try !watch.hear())
    }

    @Test func `a file is read over every link that leads to it`() throws {
        unsafe _ = mkdir("\(directory.path)/v1", 0o755)
        _ = unsafe symlink("v1", "\(directory.path)/current")
        _ = unsafe symlink("current/policy.yaml", "\(directory.path)/policy.yaml")
        let interests = NameInterests.reading("\(directory.path)/policy.yaml")
        #expect(interests[directory.path] == .some(["policy.yaml", "current", "v1"]))
        #expect(interests["\(directory.path)/v1"] == .some(["policy.yaml"]))
        #expect(interests["/tmp"] != nil)
    }

    @Test func `links that lead in a circle end somewhere`() {
        _ = unsafe symlink("b", "\(directory.path)/a")
        _ = unsafe symlink("a", "\(directory.path)/b")
        #expect(NameInterests.reading("\(directory.path)/a")[directory.path] == .some(["a", "b"]))
    }

    @Test func `a relative path begins where the process is`() {
        let above = linkTarget("/proc/self/cwd") ?? ""
        #expect(NameInterests.reading("./policy.yaml")[above] == .some(["policy.yaml"]))
    }

    @Test(.enabled(if: isRoot)) func `cgroups that come and go are heard`() throws {
        let cgroup = try ThrowawayCgroup()
        let watch = try NameWatch()
        _ = try watch.listen(
            to: NameInterests.leading(to: ["\(cgroup.path)/web"], below: try cgroup.host.cgroupMount()))
        cgroup.host.close(try cgroup.host.makeCgroup("\(cgroup.path)/web"))
        #expect(try watch.hear())
        #expect(cgroup.host.removeCgroup("\(cgroup.path)/web"))
        #expect(try watch.hear())
        cgroup.host.close(try cgroup.host.makeCgroup("\(cgroup.path)/other"))
        #expect(try !watch.hear())
    }
}
