import Glibc
import PolicyModel
import Testing

@testable import VNEBPF

extension KernelSuite {
    @Suite(.serialized) struct GuardTests {
        private func guarded(_ cgroup: OpenCgroup) -> GuardedCgroup { GuardedCgroup(path: cgroup.path, id: cgroup.id) }

        /// Says whether an address of the address space can be bound.
        private static let bind = """
            import socket
            try:
                s = socket.socket()
                s.setsockopt(socket.IPPROTO_IP, 15, 1)
                s.bind(("10.213.2.9", 0))
                print("bound")
            except OSError as e:
                print(e.errno)
            """

        private var other: ObjectImage {
            unsafe ObjectImage(bytes: ObjectImage.embedded.bytes, digest: ObjectImage.embedded.digest &+ 1)
        }

        private func programs(on cgroup: OpenCgroup) throws -> Int {
            try CgroupHook.guardHooks.reduce(0) {
                try $0 + BPFProgram.attached(at: $1.attachType, to: cgroup.descriptor).count
            }
        }

        @Test func `a guarded cgroup takes no address of the address space`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            #expect(try world.run(in: cgroup, Self.bind) == "bound")
            try instance.protect(guarded(cgroup), descriptor: cgroup.descriptor)
            #expect(try world.run(in: cgroup, Self.bind) == "\(EADDRNOTAVAIL)")
            var recorded = guarded(cgroup)
            recorded.state = .attached
            #expect(try instance.guardedCgroups() == [recorded])
            #expect(try instance.attachedHooks(of: recorded).map(\.hook) == CgroupHook.guardHooks)
            #expect(try instance.refusals(of: recorded) == [.bind: 1])
            try instance.unprotect(recorded)
            #expect(try world.run(in: cgroup, Self.bind) == "bound")
            #expect(try instance.guardedCgroups().isEmpty)
            #expect(try programs(on: cgroup) == 0)
        }

        @Test func `without a policy the host is not cut off`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try instance.protect(guarded(cgroup), descriptor: cgroup.descriptor)
            #expect(try world.run(in: cgroup, Self.bind) == "bound")
        }

        @Test func `a guard begun, or taken away half, is finished by the next command`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            for count in 0...CgroupHook.guardHooks.count {
                for finish in [true, false] {
                    try instance.protect(guarded(cgroup), descriptor: cgroup.descriptor)
                    for hook in CgroupHook.guardHooks[count...] {
                        try instance.ownPrograms().remove(from: hook, on: cgroup.descriptor)
                    }
                    if finish {
                        try instance.protect(guarded(cgroup), descriptor: cgroup.descriptor)
                        #expect(try programs(on: cgroup) == CgroupHook.guardHooks.count)
                    }
                    try instance.unprotect(guarded(cgroup))
                    #expect(try programs(on: cgroup) == 0)
                    #expect(try instance.guardedCgroups().isEmpty)
                }
            }
        }

        @Test func `an upgrade replaces the guard's programs`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            var before: [Instance.AttachedHook] = []
            do {
                let instance = try world.open()
                try world.publish(by: instance)
                try instance.protect(guarded(cgroup), descriptor: cgroup.descriptor)
                before = try instance.attachedHooks(of: guarded(cgroup))
                // A hook that the earlier build had not.
                try instance.ownPrograms().remove(from: .send6, on: cgroup.descriptor)
            }
            let upgraded = try Instance.open(world.name, netns: world.cookie, create: false, object: other)
            let instance = try #require(upgraded)
            let after = try instance.attachedHooks(of: guarded(cgroup))
            #expect(after.map(\.hook) == before.map(\.hook))
            #expect(Set(after.map(\.programID)).isDisjoint(with: before.map(\.programID)))
            #expect(KernelObjects.allGone(programs: before.map(\.programID)))
            #expect(try world.run(in: cgroup, Self.bind) == "\(EADDRNOTAVAIL)")
        }

        @Test(arguments: [true, false])
        func `an unload takes the guard along, also of a build that cannot be read`(readable: Bool) throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let maps: [UInt32]
            let hooks: [Instance.AttachedHook]
            do {
                let instance = try world.open()
                try world.publish(by: instance)
                try instance.protect(guarded(cgroup), descriptor: cgroup.descriptor)
                maps = try PinnedMap.allCases.map { try instance.information(of: $0).id }
                hooks = try instance.attachedHooks(of: guarded(cgroup))
                if readable { try instance.unload() }
            }
            if !readable { #expect(try Instance.unload(world.name)) }
            #expect(try programs(on: cgroup) == 0)
            #expect(KernelObjects.allGone(maps: maps, programs: hooks.map(\.programID)))
        }

        @Test func `an application is not guarded, nor a cgroup under the name of another`() throws {
            let world = try KernelWorld()
            let (one, two) = (try world.makeCgroup(), try world.makeCgroup())
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: one)
            try world.attach(application, one, by: instance)
            #expect(throws: BPFError.alreadyAttached(application.name, cgroupID: one.id)) {
                try instance.protect(guarded(one), descriptor: one.descriptor)
            }
            #expect(throws: BPFError.cgroupMismatch(path: two.path)) {
                try instance.protect(guarded(two), descriptor: one.descriptor)
            }
            #expect(try instance.guardedCgroups().isEmpty)
        }
    }
}
