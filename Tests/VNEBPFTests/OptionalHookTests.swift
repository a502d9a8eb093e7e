import Glibc
import PolicyModel
import Testing

@testable import VNEBPF

extension KernelSuite {
    /// Hooks that a kernel may lack, and what those of Unix sockets do. BPF LSM has its tests in
    /// `Tests/EndToEnd/test_protections.py`, which also run on a kernel that has it.
    @Suite(.serialized) struct OptionalHookTests {
        /// The embedded object, as if it came from another build.
        private var other: ObjectImage {
            unsafe ObjectImage(bytes: ObjectImage.embedded.bytes, digest: ObjectImage.embedded.digest &+ 1)
        }

        private let without = Set(CgroupHook.allCases.filter { !$0.isOptional })

        @Test func `an instance has the optional hooks that the kernel has, and says what they hold`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(Self.policy(unixPrivate: true), by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            let usable = try KernelHooks().usable
            #expect(try instance.loadedHooks() == usable)
            for hook in CgroupHook.allCases {
                #expect(BPFFileSystem.exists(instance.directory.program(hook)) == usable.contains(hook), "\(hook)")
            }
            let refused = try Instance.probeProtections()
            #expect(
                try instance.protections() == Set(Protection.allCases.filter { refused[$0] == nil && $0 != .closing }))
            #expect(try instance.protections(of: application) == instance.protections().subtracting([.dualStack]))
            #expect(refused.values.allSatisfy { !$0.isEmpty })
        }

        @Test func `of the two ways to keep Unix sockets apart an instance has one`() throws {
            let usable = try KernelHooks().usable
            let sets = CgroupHook.holding(.unix)
            #expect(sets.filter { !usable.isDisjoint(with: $0) }.count <= 1)
        }

        @Test func `an upgrade gives applications the optional hooks that their instance lacked, and takes them`()
            throws
        {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let application = world.application(in: cgroup)
            do {
                let opened = try Instance.open(
                    world.name, netns: world.cookie, create: true, object: .embedded, hooks: without)
                let instance = try #require(opened)
                try world.publish(Self.policy(unixPrivate: true), by: instance)
                try world.attach(application, cgroup, by: instance)
                #expect(try Set(instance.attachedHooks(of: application).map(\.hook)).isSubset(of: without))
                #expect(try instance.protections().isSubset(of: [.dualStack]))
            }
            do {
                let opened = try Instance.open(world.name, netns: world.cookie, create: false, object: other)
                let instance = try #require(opened)
                #expect(
                    try instance.attachedHooks(of: application).map(\.hook) == world.hooks(egress: false, unix: true))
                #expect(try instance.loadedHooks() == KernelHooks().usable)
            }
            let opened = try Instance.open(
                world.name, netns: world.cookie, create: false, object: .embedded, hooks: without)
            let instance = try #require(opened)
            #expect(try Set(instance.attachedHooks(of: application).map(\.hook)).isSubset(of: without))
            #expect(try world.run(in: cgroup, KernelWorld.connect) == "\(EPERM)")
        }

        @Test func `detaching takes optional hooks that this instance has no programs for`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(Self.policy(unixPrivate: true), by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            let attached = try instance.attachedHooks(of: application)
            for hook in CgroupHook.allCases where hook.isOptional {
                try BPFFileSystem.removePin(instance.directory.program(hook))
            }
            instance.forgetPrograms()
            try instance.detach(application)
            #expect(try instance.attachedHooks(of: application).isEmpty)
            #expect(attached.allSatisfy { without.contains($0.hook) || !BPFProgram.exists(id: $0.programID) })
        }

        /// Names of Unix sockets that somebody outside has: an abstract stream and datagram one, and one with a path.
        private static let servers = """
            import socket, time
            name = "NAME"
            kept = []
            for kind, address in ((1, "\\0" + name), (2, "\\0" + name + "d"), (1, "/tmp/" + name)):
                s = socket.socket(socket.AF_UNIX, kind)
                s.bind(address)
                if kind == 1:
                    s.listen()
                kept.append(s)
            print("ready", flush=True)
            time.sleep(1 << 20)
            """

        /// Says how it fares with each of them, and with an abstract one of its own.
        private static let attempts = """
            import errno, os, socket
            own = "\\0own%d" % os.getpid()
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(own)
            listener.listen()
            a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            def attempt(body):
                try:
                    body()
                    return "ok"
                except OSError as e:
                    return errno.errorcode[e.errno]
            print(" ".join(attempt(body) for body in (
                lambda: socket.socket(socket.AF_UNIX).connect("\\0NAME"),
                lambda: socket.socket(socket.AF_UNIX, 2).connect("\\0NAMEd"),
                lambda: socket.socket(socket.AF_UNIX, 2).sendto(b"x", "\\0NAMEd"),
                lambda: socket.socket(socket.AF_UNIX).connect("/tmp/NAME"),
                lambda: a.send(b"x"),
                lambda: socket.socket(socket.AF_UNIX).connect(own))))
            """

        private static func policy(unixPrivate: Bool, mode: Mode = .enforce) -> Policy {
            var policy = KernelWorld.policy
            policy.environments[0].unixPrivate = unixPrivate
            policy.environments[0].mode = mode
            return policy
        }

        @Test func `an application that moves to a private environment has the hooks before it is judged by it`() throws
        {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            var policy = KernelWorld.policy
            policy.environments[1].unixPrivate = true
            try world.publish(policy, by: instance)
            try world.attach(world.application(in: cgroup), cgroup, by: instance)
            let moved = world.application(in: cgroup, environment: "payments", id: 1, address: "10.213.3.1")
            try instance.update(moved)
            // That one names ping, too, so its socket options are judged.
            #expect(
                try instance.attachedHooks(of: moved).map(\.hook)
                    == world.hooks(egress: false, unix: true, options: true))
            try instance.update(world.application(in: cgroup))
            #expect(try instance.attachedHooks(of: moved).map(\.hook) == world.hooks(egress: false))
        }

        @Test func `abstract Unix sockets of others are out of reach where the environment says private`() throws {
            // Where the kernel has neither way, the policy's word has no effect, and `protections` says so.
            let held = try Instance.probeProtections()[.unix] == nil
            let tellsOwn = try KernelHooks().usable.contains(.lsmConnect)
            let world = try KernelWorld()
            let (cgroup, outside) = (try world.makeCgroup(), try world.makeCgroup())
            let name = "vne-test-\(getpid())-\(UInt32.random(in: 0...99999))"
            defer { _ = unsafe unlink("/tmp/\(name)") }
            func said(_ text: String) -> String { text.replacing("NAME", with: name) }
            _ = try world.start(in: outside, said(Self.servers))
            while unsafe access("/tmp/\(name)", F_OK) != 0 { usleep(10_000) }
            usleep(100_000)
            let instance = try world.open()
            try world.publish(Self.policy(unixPrivate: false), by: instance)
            let free = "ok ok ok ok ok ok"
            #expect(try world.run(in: cgroup, said(Self.attempts)) == free)

            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            #expect(try world.run(in: cgroup, said(Self.attempts)) == free)
            #expect(try instance.attachedHooks(of: application).map(\.hook) == world.hooks(egress: false))
            let own = tellsOwn ? "ok" : "EPERM"
            try world.publish(Self.policy(unixPrivate: true), by: instance)
            #expect(
                try world.run(in: cgroup, said(Self.attempts)) == (held ? "EPERM EPERM EPERM ok ok \(own)" : free))
            #expect(try instance.attachedHooks(of: application).map(\.hook) == world.hooks(egress: false, unix: true))
            if held {
                let counted = try instance.counters(of: application)
                // To the security hooks, to connect a datagram socket is to send.
                #expect(counted.verdicts[.connect]?[.unix] == (tellsOwn ? 1 : 3))
                #expect(counted.verdicts[.send]?[.unix] == (tellsOwn ? 2 : 1))
                var recorded: [Denial] = []
                try instance.denials { recorded.append($0) }
                #expect(recorded.contains { $0.hook == .send && $0.reason == .unix && $0.cgroupID == cgroup.id })
            }
            try world.publish(Self.policy(unixPrivate: true, mode: .audit), by: instance)
            #expect(try world.run(in: cgroup, said(Self.attempts)) == free)
            try world.publish(Self.policy(unixPrivate: false), by: instance)
            #expect(try instance.attachedHooks(of: application).map(\.hook) == world.hooks(egress: false))
            try world.publish(Self.policy(unixPrivate: true), by: instance)
            // Denied everything, as while an attachment is made.
            try instance.deny(application)
            #expect(
                try world.run(in: cgroup, said(Self.attempts)) == (held ? "EPERM EPERM EPERM ok ok EPERM" : free))
            try instance.detach(application)
            #expect(try world.run(in: cgroup, said(Self.attempts)) == free)
        }
    }
}
