import Glibc
import PolicyModel
import TestSupport

/// A process in a cgroup and a network namespace that makes calls when it is asked: `prober.py`.
final class Prober {
    /// What became of a call.
    struct Answer {
        /// 0 for none.
        var errno: Int32
        /// What else was asked for.
        var words: [String]

        /// The first of it, as a number.
        var value: UInt64 { words.first.flatMap { UInt64($0) } ?? 0 }

        /// A word that is an address; nil where there is none.
        func address(_ index: Int) -> IPAddress? {
            index < words.count ? IPAddress(words[index]) : nil
        }
    }

    private let process: pid_t
    /// Leads to its input and from its output.
    private let line: Int32
    private var received: [UInt8] = []
    private let surroundings: AnyObject

    /// Starts one.
    /// - Parameters:
    ///   - cgroup: its name below the hierarchy's root.
    ///   - surroundings: what must not go before the process has.
    init(cgroup: String, namespace: String, keeping surroundings: AnyObject) throws {
        self.surroundings = surroundings
        let script =
            "echo 0 > \(CgroupMount.path ?? "")/\(cgroup)/cgroup.procs && exec nsenter --net=/run/netns/\(namespace) "
            + "/usr/bin/python3 -I -S \(Repository.root)/Tests/KernelTests/prober.py"
        var ends: [Int32] = [0, 0]
        guard unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw TestFailure("socketpair: \(errno)")
        }
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe _ = posix_spawn_file_actions_destroy(&actions) }
        for descriptor: Int32 in [0, 1] {
            unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], descriptor)
        }
        var process: pid_t = 0
        let words = ["sh", "-c", script]
        var arguments: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
        defer { unsafe arguments.forEach { unsafe free($0) } }
        let code = unsafe posix_spawn(&process, "/bin/sh", &actions, nil, &arguments, environ)
        close(ends[1])
        self.process = process
        line = ends[0]
        guard code == 0 else { throw TestFailure("posix_spawn: \(code)") }
    }

    deinit {
        // The end of its input ends it.
        close(line)
        var status: Int32 = 0
        while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
    }

    /// Asks and waits for the answer.
    @discardableResult
    func ask(_ question: String) throws -> Answer {
        let bytes = Array((question + "\n").utf8)
        guard unsafe write(line, bytes, bytes.count) == bytes.count else { throw TestFailure("the prober is gone") }
        let words = try answer().split(separator: " ")
        guard words.count >= 2, let code = Int32(words[0]) else {
            throw TestFailure("the prober said \(words) to “\(question)”")
        }
        return Answer(errno: code, words: words.dropFirst().map(String.init))
    }

    /// Asks for what must work.
    @discardableResult
    func demand(_ question: String) throws -> UInt64 {
        let answer = try ask(question)
        guard answer.errno == 0 else { throw TestFailure("“\(question)” failed with errno \(answer.errno)") }
        return answer.value
    }

    private func answer() throws -> String {
        while true {
            if let end = received.firstIndex(of: 10) {
                defer { received.removeSubrange(...end) }
                return String(decoding: received[..<end], as: UTF8.self)
            }
            var waiting = pollfd(fd: line, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&waiting, 1, 60_000) == 1 else { throw TestFailure("the prober does not answer") }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = unsafe read(line, &buffer, buffer.count)
            guard count > 0 else { throw TestFailure("the prober is gone") }
            received += buffer[..<count]
        }
    }
}
