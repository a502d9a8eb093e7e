import Glibc
import PolicyModel
import Testing

@testable import VNEBPF

extension KernelSuite {
    @Suite(.serialized) struct InstanceTests {
        @Test func `an instance that is not there is not made by asking`() throws {
            let world = try KernelWorld()
            #expect(try Instance.open(world.name, netns: world.cookie, create: false) == nil)
            #expect(try Instance.read(world.name, netns: world.cookie) == nil)
            #expect(try !Instance.unload(world.name))
            #expect(try !Instance.list().contains(world.name))
        }

        @Test func `a new instance has every map and program pinned`() throws {
            let world = try KernelWorld()
            let instance = try world.open()
            #expect(try Instance.list().contains(world.name))
            for map in PinnedMap.allCases {
                #expect(try instance.information(of: map).name == map.rawValue)
            }
            for hook in world.hooks(egress: true, unix: true, options: true) {
                #expect(BPFFileSystem.exists(instance.directory.program(hook)), "\(hook)")
            }
            let record = try instance.instanceRecord()
            #expect(record.isReady)
            #expect(record.networkNamespace == world.cookie)
            #expect(record.programs == ObjectImage.embedded.digest)
            #expect(try instance.publishedPolicy() == nil)
            #expect(try instance.environment(named: "shop") == nil)
            #expect(try instance.owner(of: address("10.213.2.1")) == .noPolicy)
            #expect(!BPFFileSystem.exists(instance.directory.unpublished.path))
        }

        @Test func `another network namespace is refused`() throws {
            let world = try KernelWorld()
            _ = try world.open()
            #expect(throws: BPFError.foreignNamespace(instance: world.name)) {
                try Instance.open(world.name, netns: world.cookie + 1, create: true)
            }
            #expect(throws: BPFError.foreignNamespace(instance: world.name)) {
                try Instance.read(world.name, netns: world.cookie + 1)
            }
        }

        @Test func `another layout is refused and can still be unloaded`() throws {
            let world = try KernelWorld()
            do {
                let instance = try world.open()
                let entry = try #require(try instance.rawEntries(of: .instance).first)
                var value = entry.value
                value[0] = 99
                try instance.map(.instance).handle.write(bytes: value, at: UInt32(0))
            }
            #expect(throws: BPFError.incompatible(instance: world.name, found: 99)) {
                try Instance.open(world.name, netns: world.cookie, create: true)
            }
            #expect(try Instance.unload(world.name))
            #expect(try Instance.read(world.name, netns: nil) == nil)
        }

        @Test func `the hooks of an instance that this build cannot read go with it`() throws {
            let world = try KernelWorld()
            let (cgroup, gone) = (try world.makeCgroup(), try world.makeCgroup())
            var programs: [UInt32] = []
            do {
                let instance = try world.open()
                try world.publish(by: instance)
                let application = world.application(in: cgroup, egress: true)
                try world.attach(application, cgroup, by: instance)
                try world.attach(world.application("gone", in: gone, address: "10.213.2.2"), gone, by: instance)
                programs = try instance.attachedHooks(of: application).map(\.programID)
                // Neither a record nor a claim leads to the cgroups.
                for id in [cgroup.id, gone.id] { try instance.map(.application).handle.remove(id) }
                var record = try #require(try instance.rawEntries(of: .instance).first).value
                record[0] = 99
                try instance.map(.instance).handle.write(bytes: record, at: UInt32(0))
                world.removeCgroup(gone)
            }
            #expect(try Instance.unload(world.name))
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
            #expect(KernelObjects.allGone(programs: programs))
        }

        @Test func `an unload that stopped after it hid the instance is finished by the next command`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            do {
                let instance = try world.open()
                try world.publish(by: instance)
                try world.attach(world.application(in: cgroup), cgroup, by: instance)
                try BPFFileSystem.move(instance.directory.path, to: instance.directory.unpublished.path)
            }
            #expect(try world.run(in: cgroup, KernelWorld.connect) == "\(EPERM)")
            #expect(try Instance.open(world.name, netns: world.cookie, create: false) == nil)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
            #expect(try BPFProgram.attached(at: CgroupHook.ingress.attachType, to: cgroup.descriptor).isEmpty)
        }

        @Test func `a directory that is no instance is left alone`() throws {
            let world = try KernelWorld()
            let path = "\(PinDirectory.root)/\(world.name)"
            try BPFFileSystem.mountIfNeeded()
            try BPFFileSystem.makeDirectory(path)
            defer { try? BPFFileSystem.removeDirectory(path) }
            #expect(throws: BPFError.notAnInstance(path: path)) {
                try Instance.open(world.name, netns: world.cookie, create: true)
            }
            #expect(throws: BPFError.notAnInstance(path: path)) { try Instance.unload(world.name) }
            #expect(BPFFileSystem.exists(path))
        }

        @Test(arguments: ["", ".", "..", "a/b", "../vne", "vne.d", "a:new", String(repeating: "n", count: 64)])
        func `a name that could lead elsewhere is refused`(name: String) throws {
            #expect(throws: BPFError.invalidName(name)) { try Instance.open(name, netns: 1, create: true) }
            #expect(throws: BPFError.invalidName(name)) { try Instance.unload(name) }
        }

        @Test func `one command changes an instance at a time and several read it`() throws {
            let world = try KernelWorld()
            do {
                let instance = try world.open()
                let other = try BPFFileSystem.openDirectory(instance.directory.path)
                #expect(flock(other.rawValue, LOCK_SH | LOCK_NB) != 0)
            }
            let one = try #require(try Instance.read(world.name, netns: world.cookie))
            let two = try #require(try Instance.read(world.name, netns: nil))
            let other = try BPFFileSystem.openDirectory(one.directory.path)
            #expect(flock(other.rawValue, LOCK_EX | LOCK_NB) != 0)
            #expect(throws: BPFError.readOnly) { try world.publish(by: two) }
            #expect(throws: BPFError.readOnly) { try one.unload() }
        }

        @Test func `what a killed loader left is swept`() throws {
            let world = try KernelWorld()
            let directory = try PinDirectory(instance: world.name)
            // Killed after everything was pinned, before the rename.
            _ = try world.open()
            try BPFFileSystem.move(directory.path, to: directory.unpublished.path)
            #expect(try Instance.open(world.name, netns: world.cookie, create: false) == nil)
            #expect(!BPFFileSystem.exists(directory.unpublished.path))

            // Killed half-way, and the next command loads again.
            try BPFFileSystem.makeDirectory(directory.unpublished.path)
            try BPFFileSystem.makeDirectory(directory.unpublished.maps)
            let instance = try world.open()
            #expect(try instance.instanceRecord().isReady)
            #expect(!BPFFileSystem.exists(directory.unpublished.path))
        }

        @Test func `unloading leaves no program and no map`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let before = try openDescriptors()
            var maps: [UInt32] = []
            var hooks: [Instance.AttachedHook] = []
            do {
                let instance = try world.open()
                try world.publish(by: instance)
                let application = world.application(in: cgroup, egress: true)
                try world.attach(application, cgroup, by: instance)
                maps = try PinnedMap.allCases.map { try instance.information(of: $0).id }
                hooks = try instance.attachedHooks(of: application)
                #expect(hooks.map(\.hook) == world.hooks(egress: true))
                try instance.unload()
            }
            #expect(try openDescriptors() == before)
            #expect(!BPFFileSystem.exists("\(PinDirectory.root)/\(world.name)"))
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
            #expect(KernelObjects.allGone(maps: maps, programs: hooks.map(\.programID)))
        }

        @Test func `many openings and closings leave no descriptor`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            _ = try world.open()
            let before = try openDescriptors()
            for _ in 0..<20 {
                let instance = try world.open()
                try world.publish(by: instance)
                let application = world.application(in: cgroup)
                try world.attach(application, cgroup, by: instance)
                _ = try instance.applications()
                _ = try instance.counters(of: application)
                try instance.denials { _ in }
                try instance.detach(application)
            }
            #expect(try openDescriptors() == before)
        }

        private func openDescriptors() throws -> Int {
            try BPFFileSystem.entries(of: "/proc/self/fd").count
        }
    }
}
