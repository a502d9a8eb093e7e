import Glibc
import PolicyModel
import Testing
import VNEHost

@Suite(.enabled(if: isRoot)) struct LaunchTests {
    /// Runs a shell script in a throwaway cgroup to its end.
    private func shell(
        _ script: String, hostname: String? = nil, environment: [String]? = nil,
        confinement: Confinement = Confinement()
    ) throws -> CommandExit {
        let cgroup = try ThrowawayCgroup()
        let open = try cgroup.host.openCgroup(cgroup.path)
        defer { cgroup.host.close(open) }
        return try Launch(
            ["/bin/sh", "-c", script], environment: environment, hostname: hostname, confinement: confinement
        ).run(in: open.descriptor)
    }

    @Test func `a command is in its cgroup from its first instruction`() throws {
        let cgroup = try ThrowawayCgroup()
        let open = try cgroup.host.openCgroup(cgroup.path)
        defer { cgroup.host.close(open) }
        let file = ThrowawayFile()
        let exit = try Launch(["/bin/sh", "-c", "cat /proc/self/cgroup > \(file.path)"]).run(in: open.descriptor)
        #expect(exit == .exited(0))
        #expect(file.text.split(separator: "\n").contains("0::/\(cgroup.path)"))
        #expect(!cgroup.host.isPopulated(cgroup.path))
    }

    @Test func `the exit status is the command's`() throws {
        #expect(try shell("exit 7") == .exited(7))
        #expect(CommandExit.exited(7).status == 7)
    }

    @Test func `a signal that ends the command is told as shells do`() throws {
        #expect(try shell("kill -TERM $$") == .signaled(SIGTERM))
        #expect(CommandExit.signaled(SIGTERM).status == 143)
    }

    @Test func `a signal to the launcher reaches the command`() throws {
        let cgroup = try ThrowawayCgroup()
        let open = try cgroup.host.openCgroup(cgroup.path)
        defer { cgroup.host.close(open) }
        for (signal, name) in [(SIGTERM, "TERM"), (SIGINT, "INT"), (SIGHUP, "HUP"), (SIGUSR1, "USR1")] {
            let file = ThrowawayFile()
            let script = "trap 'exit 42' \(name); echo ready > \(file.path); while :; do sleep 0.02; done"
            let command = try Launch(["/bin/sh", "-c", script]).start(in: open.descriptor)
            #expect(eventually { file.text == "ready\n" })
            // To this thread only, which holds it back for the command.
            pthread_kill(pthread_self(), signal)
            #expect(try command.wait() == .exited(42))
        }
    }

    @Test func `a stopped command goes on when the launcher is told to`() throws {
        let cgroup = try ThrowawayCgroup()
        let open = try cgroup.host.openCgroup(cgroup.path)
        defer { cgroup.host.close(open) }
        let command = try Launch(["/bin/sh", "-c", "kill -STOP $$; exit 3"]).start(in: open.descriptor)
        let process = command.process
        #expect(eventually { Self.state(of: process) == "T" })
        pthread_kill(pthread_self(), SIGCONT)
        #expect(try command.wait() == .exited(3))
    }

    @Test func `a command that does not exist is an error that says so`() throws {
        let cgroup = try ThrowawayCgroup()
        let open = try cgroup.host.openCgroup(cgroup.path)
        defer { cgroup.host.close(open) }
        let missing = #expect(throws: HostError.self) { try Launch(["vne-no-such-command"]).run(in: open.descriptor) }
        #expect(missing?.code == ENOENT)
        #expect(
            missing?.description
                == "cannot execute vne-no-such-command: No such file or directory. No directory of PATH has it.")
        let file = ThrowawayFile("true\n")
        let forbidden = #expect(throws: HostError.self) { try Launch([file.path]).run(in: open.descriptor) }
        #expect(forbidden?.code == EACCES)
        #expect(!cgroup.host.isPopulated(cgroup.path))
        #expect(throws: HostError.self) { try Launch([]).run(in: open.descriptor) }
        #expect(throws: HostError.self) { try Launch(["/bin/echo", "a\0b"]).run(in: open.descriptor) }
    }

    @Test func `a cgroup that hands down controllers is an error that says so`() throws {
        let cgroup = try ThrowawayCgroup()
        let host = cgroup.host
        let child = try host.makeCgroup("\(cgroup.path)/threaded")
        defer { host.close(child) }
        let mount = try host.cgroupMount()
        // A threaded child makes the parent a threaded domain, and the parent's other children invalid for processes.
        #expect(try shell("echo threaded > \(mount)/\(child.path)/cgroup.type") == .exited(0))
        let other = try host.makeCgroup("\(cgroup.path)/invalid")
        defer { host.close(other) }
        let error = #expect(throws: HostError.self) { try Launch(["/bin/true"]).run(in: other.descriptor) }
        #expect(error?.code == EOPNOTSUPP)
        #expect(error?.hint?.contains("cgroup.type") == true)
    }

    @Test func `the hostname is the command's alone`() throws {
        var name = [CChar](repeating: 0, count: 256)
        unsafe gethostname(&name, name.count)
        #expect(try shell("test $(uname -n) = web.shop", hostname: "web.shop") == .exited(0))
        var after = [CChar](repeating: 0, count: 256)
        unsafe gethostname(&after, after.count)
        #expect(name == after)
        #expect(throws: HostError.self) { try shell("true", hostname: String(repeating: "x", count: 65)) }
        #expect(throws: HostError.self) { try shell("true", hostname: "") }
    }

    @Test func `the environment is the given one, or the caller's`() throws {
        #expect(try shell("test \"$VNE_TEST\" = a", environment: ["VNE_TEST=a", "PATH=/bin:/usr/bin"]) == .exited(0))
        #expect(try shell("test -n \"$PATH\"") == .exited(0))
    }

    @Test func `the command blocks and handles no signal, and the caller gets its own mask back`() throws {
        let cgroup = try ThrowawayCgroup()
        let open = try cgroup.host.openCgroup(cgroup.path)
        defer { cgroup.host.close(open) }
        let mask = Self.statusLine("SigBlk", of: "thread-self")
        let command = try Launch(["/bin/sleep", "60"]).start(in: open.descriptor)
        #expect(Self.statusLine("SigBlk", of: "\(command.process)") == "SigBlk:\t0000000000000000")
        #expect(Self.statusLine("SigCgt", of: "\(command.process)") == "SigCgt:\t0000000000000000")
        kill(pid_t(command.process), SIGKILL)
        #expect(try command.wait() == .signaled(SIGKILL))
        #expect(Self.statusLine("SigBlk", of: "thread-self") == mask)
    }

    @Test func `a confined command has none of the capabilities that lead past a VNE, in any set, and keeps others`()
        throws
    {
        let file = ThrowawayFile()
        let script = "cat /proc/self/status > \(file.path)"
        #expect(try shell(script, confinement: .full) == .exited(0))
        let taken: UInt64 = Capability.allCases.reduce(0) { $0 | 1 << Self.number(of: $1) }
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let line = try #require(file.text.split(separator: "\n").first { $0.hasPrefix("\(set):") })
            let mask = try #require(UInt64(line.dropFirst(set.count + 2), radix: 16))
            #expect(mask & taken == 0, "\(set)")
            // CAP_NET_BIND_SERVICE, CAP_SETUID.
            if set == "CapEff" { #expect(mask & 1 << 10 != 0 && mask & 1 << 7 != 0) }
        }
        #expect(file.text.contains("NoNewPrivs:\t1\n") && file.text.contains("Seccomp:\t2\n"))
    }

    @Test func `capabilities are taken one by one, without a filter`() throws {
        let file = ThrowawayFile()
        let script = "cat /proc/self/status > \(file.path)"
        #expect(try shell(script, confinement: Confinement(dropped: [.netRaw])) == .exited(0))
        let line = try #require(file.text.split(separator: "\n").first { $0.hasPrefix("CapBnd:") })
        let mask = try #require(UInt64(line.dropFirst(8), radix: 16))
        #expect(mask & 1 << 13 == 0 && mask & 1 << 12 != 0)
        #expect(file.text.contains("NoNewPrivs:\t0\n") && file.text.contains("Seccomp:\t0\n"))
    }

    /// As `linux/capability.h` has them.
    private static func number(of capability: Capability) -> UInt64 {
        switch capability {
        case .netRaw: 13
        case .netAdmin: 12
        case .sysAdmin: 21
        case .bpf: 39
        case .perfmon: 38
        case .sysPtrace: 19
        case .sysModule: 16
        case .sysRawio: 17
        case .sysBoot: 22
        case .mknod: 27
        }
    }

    @Test func `launches leave no descriptor behind`() throws {
        let cgroup = try ThrowawayCgroup()
        let open = try cgroup.host.openCgroup(cgroup.path)
        defer { cgroup.host.close(open) }
        let file = ThrowawayFile()
        // What the command has beyond the standard ones and the list's own, counted by itself.
        let script =
            "for d in /proc/self/fd/*; do readlink $d; done | grep -c -e cgroup -e signalfd -e pidfd > \(file.path)"
        _ = try Launch(["/bin/sh", "-c", script]).run(in: open.descriptor)
        #expect(file.text == "0\n")
    }

    /// A line of a process's `/proc/PID/status`, by its first word.
    private static func statusLine(_ word: String, of process: String) -> String? {
        VNEHostTests.text(of: "/proc/\(process)/status").split(separator: "\n").first { $0.hasPrefix("\(word):") }.map(
            String.init)
    }

    /// One letter: T for stopped.
    private static func state(of process: UInt32) -> String? {
        statusLine("State", of: "\(process)")?.split(separator: "\t").last.map { String($0.prefix(1)) }
    }
}
