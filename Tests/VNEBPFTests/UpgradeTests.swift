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

        @Test func `another build's programs come behind the same links`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let application = world.application(in: cgroup)
            var before: [Instance.LinkedHook] = []
            var maps: [UInt32] = []
            do {
                let instance = try world.open()
                try world.publish(by: instance)
                try world.attach(application, cgroup, by: instance)
                before = try instance.linkedHooks(of: application)
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
            let after = try instance.linkedHooks(of: application)
            #expect(after.map(\.linkID) == before.map(\.linkID))
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
            for hook in CgroupHook.allCases { #expect(BPFFileSystem.exists(instance.directory.program(hook))) }
            #expect(!BPFFileSystem.exists(instance.directory.oldPrograms))
            #expect(try world.run(in: cgroup, KernelWorld.connect) == "\(EPERM)")
        }

        @Test func `an object that the kernel refuses leaves the old programs and says why`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let application = world.application(in: cgroup)
            var before: [Instance.LinkedHook] = []
            do {
                let instance = try world.open()
                try world.publish(by: instance)
                try world.attach(application, cgroup, by: instance)
                before = try instance.linkedHooks(of: application)
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
            #expect(try instance.linkedHooks(of: application) == before)
            #expect(try world.run(in: cgroup, KernelWorld.connect) == "\(EPERM)")
        }
    }
}
