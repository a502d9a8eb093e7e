import Glibc
import PolicyModel
import Testing

@testable import VNEBPF

extension KernelSuite {
    /// Hooks that an application has only where its environment asks for them, by the one of socket options. What those of
    /// Unix sockets do is in `OptionalHookTests`.
    @Suite(.serialized) struct AskedHookTests {
        /// The embedded object, as if it came from another build.
        private var other: ObjectImage {
            unsafe ObjectImage(bytes: ObjectImage.embedded.bytes, digest: ObjectImage.embedded.digest &+ 1)
        }

        /// What makes an environment ask for it.
        private enum Asking: CaseIterable {
            case multicast, strict, ping, hostDenied, remotesDenied, oneRemoteDenied
        }

        private static func policy(_ asking: Asking?) -> Policy {
            var policy = KernelWorld.policy
            switch asking {
            case .multicast: policy.environments[0].multicast = true
            case .strict: policy.environments[0].strict = true
            case .ping: policy.environments[0].protocols.insert(.ping)
            case .hostDenied: policy.environments[0].host = false
            case .remotesDenied: policy.environments[0].remoteOut = .deny(line: nil)
            case .oneRemoteDenied:
                policy.environments[0].remoteOut.rules = [RemoteRule(prefix: prefix("2001:db8::1/128"), allows: false)]
            case nil: break
            }
            return policy
        }

        /// Says what comes of a source route, by option.
        private static let sourceRoute = """
            import errno, socket
            def attempt(level, option, value, family):
                try:
                    socket.socket(family, socket.SOCK_DGRAM).setsockopt(level, option, value)
                    return "ok"
                except OSError as e:
                    return errno.errorcode[e.errno]
            loose = bytes([131, 7, 4, 192, 0, 2, 9, 0])
            # A segment routing header: of a kind that every kernel takes.
            routing = bytes([0, 4, 4, 1, 1, 0, 0, 0]) + bytes(16) + socket.inet_pton(10, "2001:db8::9")
            print(attempt(0, 4, loose, 2), attempt(41, 57, routing, 10))
            """

        private func hooks(_ instance: Instance, _ application: AttachedApplication) throws -> [CgroupHook] {
            try instance.attachedHooks(of: application).map(\.hook)
        }

        @Test func `options are judged where the environment asks for it, and source routes are refused`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            let application = world.application(in: cgroup)
            for asking in Asking.allCases {
                try world.publish(Self.policy(asking), by: instance)
                try world.attach(application, cgroup, by: instance)
                #expect(try hooks(instance, application) == world.hooks(egress: false, options: true), "\(asking)")
                #expect(try world.run(in: cgroup, Self.sourceRoute) == "EPERM EPERM", "\(asking)")
                try instance.detach(application)
            }
        }

        @Test func `options are not judged where nothing asks for it, and source routes are accepted`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(Self.policy(nil), by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            #expect(try hooks(instance, application) == world.hooks(egress: false))
            #expect(try world.run(in: cgroup, Self.sourceRoute) == "ok ok")
        }

        @Test func `a policy that starts to ask brings the hook, and one that stops takes it away`() throws {
            let world = try KernelWorld()
            let (cgroup, one) = (try world.makeCgroup(), try world.makeCgroup())
            let instance = try world.open()
            try world.publish(Self.policy(nil), by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            // Of an environment that always asks.
            let beside = world.application(
                "pinger", in: one, environment: "payments", id: 1, address: "10.213.3.1")
            try world.attach(beside, one, by: instance)
            for asking in Asking.allCases {
                try world.publish(Self.policy(asking), by: instance)
                #expect(try hooks(instance, application) == world.hooks(egress: false, options: true), "\(asking)")
                try world.publish(Self.policy(nil), by: instance)
                #expect(try hooks(instance, application) == world.hooks(egress: false), "\(asking)")
                #expect(try hooks(instance, beside) == world.hooks(egress: false, options: true), "\(asking)")
            }
        }

        @Test func `the hook comes before a policy that asks is published, and goes after one that does not`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(Self.policy(nil), by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)

            let failing = try FailingPublication(of: instance)
            #expect(throws: BPFError.self) { try world.publish(Self.policy(.remotesDenied), by: instance) }
            failing.end()
            #expect(try instance.publishedImage()?.environment(named: "shop")?.needsOptions == false)
            #expect(try hooks(instance, application) == world.hooks(egress: false, options: true))

            // What such a command left goes with the next publication.
            try world.publish(Self.policy(nil), by: instance)
            #expect(try hooks(instance, application) == world.hooks(egress: false))

            try world.publish(Self.policy(.remotesDenied), by: instance)
            let failingAgain = try FailingPublication(of: instance)
            #expect(throws: BPFError.self) { try world.publish(Self.policy(nil), by: instance) }
            failingAgain.end()
            #expect(try instance.publishedImage()?.environment(named: "shop")?.needsOptions == true)
            #expect(try hooks(instance, application) == world.hooks(egress: false, options: true))
        }

        @Test func `an application that moves has what its new environment asks for, and no more`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(Self.policy(nil), by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            let moved = world.application(in: cgroup, environment: "payments", id: 1, address: "10.213.3.1")
            try instance.update(moved)
            #expect(try hooks(instance, moved) == world.hooks(egress: false, options: true))
            try instance.update(application)
            #expect(try hooks(instance, application) == world.hooks(egress: false))
        }

        @Test func `an application whose environment nobody knows has every hook`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            let application = world.application(in: cgroup)
            let all = world.hooks(egress: false, unix: true, options: true)
            try world.attach(application, cgroup, by: instance)
            #expect(try hooks(instance, application) == all)
            var without = Self.policy(nil)
            without.environments.removeFirst()
            try world.publish(without, by: instance)
            #expect(try hooks(instance, application) == all)
            try world.publish(Self.policy(nil), by: instance)
            #expect(try hooks(instance, application) == world.hooks(egress: false))
        }

        @Test func `an attachment that is made anew has no hook of options from before`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(Self.policy(nil), by: instance)
            let application = world.application(in: cgroup)
            // What a killed command left, of an environment that asked.
            try instance.attach(application, cgroup: cgroup.descriptor)
            try instance.place(.option, on: cgroup.descriptor)
            try world.attach(application, cgroup, by: instance)
            #expect(try hooks(instance, application) == world.hooks(egress: false))
        }

        @Test func `an upgrade keeps the hook where it is asked for, and leaves none elsewhere`() throws {
            let world = try KernelWorld()
            let (asking, free) = (try world.makeCgroup(), try world.makeCgroup())
            let application = world.application(in: asking, environment: "payments", id: 1, address: "10.213.3.1")
            let freed = world.application("free", in: free)
            var before: [UInt32] = []
            do {
                let instance = try world.open()
                try world.publish(Self.policy(nil), by: instance)
                try world.attach(application, asking, by: instance)
                try world.attach(freed, free, by: instance)
                // A publication that was killed half-way.
                try instance.place(.option, on: free.descriptor)
                before = try instance.attachedHooks(of: application).map(\.programID)
            }
            let opened = try Instance.open(world.name, netns: world.cookie, create: false, object: other)
            let instance = try #require(opened)
            #expect(try hooks(instance, application) == world.hooks(egress: false, options: true))
            #expect(
                try Set(instance.attachedHooks(of: application).map(\.programID)).isDisjoint(with: before))
            #expect(try hooks(instance, freed) == world.hooks(egress: false))
            #expect(try world.run(in: asking, Self.sourceRoute) == "EPERM EPERM")
            #expect(KernelObjects.allGone(programs: before))
        }
    }
}

/// Has the last step of publications fail: the map of policies is no map for as long as this goes on.
private final class FailingPublication {
    private let number: Int32
    private let kept: Int32

    init(of instance: Instance) throws {
        // Read before, since it can't be read meanwhile.
        _ = try #require(try instance.publishedImage())
        number = try instance.map(.policy).handle.descriptor.rawValue
        kept = dup(number)
        let nothing = unsafe Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
        try #require(kept >= 0 && dup2(nothing, number) == number)
        close(nothing)
    }

    func end() {
        dup2(kept, number)
        close(kept)
    }
}
