import Glibc
import PolicyModel
import Testing

@testable import VNEBPF

extension KernelSuite {
    @Suite(.serialized) struct UpgradeTests {
        /// The embedded object, as if it came from another build.
        private var other: ObjectImage {
            unsafe ObjectImage(bytes: ObjectImage.embedded.bytes, digest: ObjectImage.embedded.digest &+ 1)
        }

        @Test func `another build's programs take the place of the old ones in one step`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let application = world.application(in: cgroup)
            var before: [Instance.AttachedHook] = []
            var maps: [UInt32] = []
            do {
                let instance = try world.open()
                try world.publish(by: instance)
                try world.attach(application, cgroup, by: instance)
                before = try instance.attachedHooks(of: application)
                maps = try PinnedMap.allCases.map { try instance.information(of: $0).id }
            }
            let loop = try world.start(
                in: cgroup,
                """
                import socket, time
                seen = set()
                end = time.time() + 1
                while time.time() < end:
                    try:
                        s = socket.socket()
                        s.connect(("10.213.3.9", 81))
                        seen.add("connected")
                    except OSError as e:
                        seen.add(e.errno)
                print(sorted(map(str, seen)))
                """)
            usleep(300_000)
            let upgraded = try Instance.open(world.name, netns: world.cookie, create: false, object: other)
            let instance = try #require(upgraded)
            let after = try instance.attachedHooks(of: application)
            #expect(after.map(\.hook) == before.map(\.hook))
            for (old, new) in zip(before, after) {
                #expect(old.programID != new.programID)
                #expect(try BPFProgram(pinnedAt: instance.directory.program(new.hook)).id() == new.programID)
            }
            #expect(try PinnedMap.allCases.map { try instance.information(of: $0).id } == maps)
            #expect(try instance.instanceRecord().programs == other.digest)
            #expect(!BPFFileSystem.exists(instance.directory.oldPrograms))
            #expect(!BPFFileSystem.exists(instance.directory.newPrograms))
            #expect(loop.finish() == "['\(EPERM)']")
            #expect(try instance.application(cgroupID: cgroup.id)?.state == .attached)
            #expect(KernelObjects.allGone(programs: before.map(\.programID)))
        }

        @Test func `an upgrade that stopped between its renames is done over`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let application = world.application(in: cgroup)
            do {
                let instance = try world.open()
                try world.publish(by: instance)
                try world.attach(application, cgroup, by: instance)
                try BPFFileSystem.move(instance.directory.programs, to: instance.directory.oldPrograms)
                try BPFFileSystem.makeDirectory(instance.directory.newPrograms)
            }
            let upgraded = try Instance.open(world.name, netns: world.cookie, create: false, object: other)
            let instance = try #require(upgraded)
            for hook in world.hooks(egress: true, unix: true, options: true) {
                #expect(BPFFileSystem.exists(instance.directory.program(hook)))
            }
            #expect(!BPFFileSystem.exists(instance.directory.oldPrograms))
            #expect(try world.run(in: cgroup, KernelWorld.connect) == "\(EPERM)")
        }

        @Test func `an upgrade that stopped between two hooks is done over, and no program of either is left`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let application = world.application(in: cgroup)
            var before: [UInt32] = []
            do {
                let instance = try world.open()
                try world.publish(by: instance)
                try world.attach(application, cgroup, by: instance)
                before = try instance.attachedHooks(of: application).map(\.programID)
            }
            // Some hooks have the programs of a third build, which is pinned nowhere any more.
            do {
                let instance = try world.open()
                try BPFFileSystem.makeDirectory(instance.directory.newPrograms)
                let object = try BPFObject.open(other, name: "vne")
                for name in object.mapNames {
                    try object.reuse(try BPFMap(pinnedAt: "\(instance.directory.maps)/\(name)", name: name), for: name)
                }
                try object.choose(Set(world.hooks(egress: true, unix: true, options: true)))
                try object.load()
                for hook in [CgroupHook.ingress, .connect4, .name6] {
                    let path = "\(instance.directory.newPrograms)/\(hook.programName)"
                    try object.pinProgram(hook.programName, at: path)
                    let program = try BPFProgram(pinnedAt: path)
                    try instance.ownPrograms().place(program, id: try program.id(), at: hook, on: cgroup.descriptor)
                }
            }
            let mixed = try world.open().attachedHooks(of: application).map(\.programID)
            #expect(Set(mixed).subtracting(before).count == 3)
            #expect(try world.run(in: cgroup, KernelWorld.connect) == "\(EPERM)")

            let upgraded = try Instance.open(world.name, netns: world.cookie, create: false, object: other)
            let instance = try #require(upgraded)
            let after = try instance.attachedHooks(of: application)
            #expect(after.map(\.hook) == world.hooks(egress: false))
            #expect(Set(after.map(\.programID)).isDisjoint(with: mixed))
            #expect(KernelObjects.allGone(programs: mixed + before))
            try instance.detach(application)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
        }

        @Test func `a hook that the old programs lacked comes with the new ones`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let application = world.application(in: cgroup)
            do {
                let instance = try world.open()
                try world.publish(by: instance)
                try world.attach(application, cgroup, by: instance)
                try instance.ownPrograms().remove(from: .send6, on: cgroup.descriptor)
            }
            let upgraded = try Instance.open(world.name, netns: world.cookie, create: false, object: other)
            #expect(
                try #require(upgraded).attachedHooks(of: application).map(\.hook) == world.hooks(egress: false))
        }

        @Test func `an upgrade keeps what the cgroup's storage holds`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let application = world.application(in: cgroup)
            var before: [Instance.AttachmentRecord] = []
            do {
                let instance = try world.open()
                try world.publish(by: instance)
                try world.attach(application, cgroup, by: instance)
                #expect(try world.run(in: cgroup, KernelWorld.connect) == "\(EPERM)")
                before = try instance.attachments()
            }
            let upgraded = try Instance.open(world.name, netns: world.cookie, create: false, object: other)
            let instance = try #require(upgraded)
            #expect(try instance.attachments() == before)
            #expect(try instance.counters(of: application).verdicts[.connect] == [.otherEnvironment: 1])
        }

        @Test func `an object that the kernel refuses leaves the old programs and says why`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let application = world.application(in: cgroup)
            var before: [Instance.AttachedHook] = []
            do {
                let instance = try world.open()
                try world.publish(by: instance)
                try world.attach(application, cgroup, by: instance)
                before = try instance.attachedHooks(of: application)
            }
            // No ELF at all.
            let embedded = ObjectImage.embedded
            let broken = unsafe ObjectImage(
                bytes: UnsafeRawBufferPointer(rebasing: embedded.bytes[64...]), digest: 1)
            let error = #expect(throws: BPFError.self) {
                try Instance.open(world.name, netns: world.cookie, create: false, object: broken)
            }
            #expect(error?.log?.isEmpty == false)
            let instance = try world.open()
            #expect(try instance.attachedHooks(of: application) == before)
            #expect(try world.run(in: cgroup, KernelWorld.connect) == "\(EPERM)")
        }
    }
}
