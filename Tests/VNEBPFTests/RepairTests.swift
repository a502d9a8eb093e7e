import Glibc
import PolicyModel
import Testing

@testable import VNEBPF

extension KernelSuite {
    /// States that a command leaves which is killed between two system calls, and what the next one makes of them.
    @Suite(.serialized) struct RepairTests {
        /// Takes a hook off as a killed command would have.
        private func remove(_ hook: CgroupHook, from cgroup: OpenCgroup, by instance: Instance) throws {
            try instance.ownPrograms().remove(from: hook, on: cgroup.descriptor)
        }

        @Test func `an attach that stopped after any hook denies and is finished by the next`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let application = world.application(in: cgroup)
            let hooks = world.hooks(egress: false)
            for count in 0...hooks.count {
                do {
                    let killed = try world.open()
                    if count == 0 { try world.publish(by: killed) }
                    try killed.attach(application, cgroup: cgroup.descriptor)
                    for hook in hooks[count...] { try remove(hook, from: cgroup, by: killed) }
                }
                let instance = try world.open(create: false)
                let kept = try instance.attachedHooks(of: application)
                #expect(kept.map(\.hook) == Array(hooks[..<count]))
                if count < hooks.count {
                    let missing = hooks[count...].map(\.rawValue)
                    #expect(throws: BPFError.hooksMissing("web.shop", hooks: missing)) {
                        try instance.open(application)
                    }
                }
                #expect(try instance.attachments().allSatisfy { !$0.isOpen })

                try world.attach(application, cgroup, by: instance)
                let repaired = try instance.attachedHooks(of: application)
                #expect(repaired.map(\.hook) == hooks)
                #expect(Array(repaired[..<count]) == kept)
                #expect(try world.run(in: cgroup, KernelWorld.connect) == "\(EPERM)")
                try instance.detach(application)
            }
        }

        @Test func `a detach that stopped after any hook is finished by the next`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            var application = world.application(in: cgroup, egress: true)
            application.state = .detaching
            let hooks = world.hooks(egress: true)
            for count in 0...hooks.count {
                try world.attach(application, cgroup, by: instance)
                try instance.map(.application).handle.write(ApplicationRecord.record(of: application), at: cgroup.id)
                for hook in hooks.reversed()[..<count] { try remove(hook, from: cgroup, by: instance) }

                #expect(throws: BPFError.alreadyAttached("web.shop", cgroupID: cgroup.id)) {
                    try instance.attach(application, cgroup: cgroup.descriptor)
                }
                #expect(throws: BPFError.notAttached("web.shop")) { try instance.open(application) }
                #expect(try instance.application(named: "web.shop")?.state == .detaching)
                try instance.detach(application)
                #expect(try instance.applications().isEmpty)
                #expect(try instance.owners().isEmpty)
                #expect(try instance.attachments().allSatisfy { !$0.isOpen })
                #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
            }
        }

        @Test func `an attach that never came to a hook is finished or forgotten`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup)
            for forgets in [true, false] {
                // The record is the first thing that an attach leaves.
                try instance.map(.application).handle.write(ApplicationRecord.record(of: application), at: cgroup.id)
                #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
                if forgets {
                    try instance.detach(application)
                    #expect(try instance.applications().isEmpty)
                } else {
                    try world.attach(application, cgroup, by: instance)
                    #expect(try instance.attachedHooks(of: application).map(\.hook) == world.hooks(egress: false))
                }
            }
        }

        @Test func `an egress hook that no record speaks of goes with the next publication`() throws {
            let world = try KernelWorld()
            let (cgroup, strict) = (try world.makeCgroup(), try world.makeCgroup())
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup)
            let other = world.application("strict", in: strict, address: "10.213.2.2", egress: true)
            try world.attach(application, cgroup, by: instance)
            try world.attach(other, strict, by: instance)
            // Attaching one, or taking one away, that stopped half-way.
            try instance.ownPrograms().place(
                instance.program(.egress).handle, id: instance.program(.egress).id, at: .egress,
                on: cgroup.descriptor)
            #expect(try instance.application(cgroupID: cgroup.id)?.egress == false)
            try world.publish(by: instance)
            #expect(try instance.attachedHooks(of: application).map(\.hook) == world.hooks(egress: false))
            #expect(try instance.attachedHooks(of: other).map(\.hook) == world.hooks(egress: true))
        }

        @Test func `an attach that was begun as something else leaves nothing of that`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            try instance.attach(
                world.application("first", in: cgroup, address: "10.213.2.7"), cgroup: cgroup.descriptor)
            try world.attach(world.application(in: cgroup), cgroup, by: instance)
            #expect(try instance.owners().map(\.address) == [address("10.213.2.1")])
            #expect(try instance.application(named: "first") == nil)
            #expect(
                try instance.attachedHooks(of: world.application(in: cgroup)).map(\.hook)
                    == world.hooks(egress: false))
            #expect(try instance.applications().map(\.name) == ["web.shop"])
        }

        @Test func `an address that a killed command claimed and never used is free`() throws {
            let world = try KernelWorld()
            let (one, two) = (try world.makeCgroup(), try world.makeCgroup())
            let instance = try world.open()
            try world.publish(by: instance)
            try world.attach(world.application(in: one), one, by: instance)
            // An update that stopped after its claim.
            let entry = try #require(try instance.rawEntries(of: .owner).first)
            try instance.map(.owner).handle.write(bytes: entry.value, at: address("10.213.2.8").layout)
            #expect(try instance.holder(of: address("10.213.2.8")) == nil)
            try world.attach(world.application("other", in: two, address: "10.213.2.8"), two, by: instance)
            #expect(try instance.holder(of: address("10.213.2.8")) == two.id)
            #expect(try instance.holder(of: address("10.213.2.1")) == one.id)
        }

        @Test func `an update that stopped before its record keeps both addresses`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            let record = try #require(try instance.rawEntries(of: .application).first)
            let owner = try #require(try instance.rawEntries(of: .owner).first)
            let moved = world.application(in: cgroup, address: "10.213.2.5")
            try instance.update(moved)
            try instance.map(.application).handle.write(bytes: record.value, at: cgroup.id)
            try instance.map(.owner).handle.write(bytes: owner.value, at: address("10.213.2.1").layout)

            #expect(try instance.holder(of: address("10.213.2.1")) == cgroup.id)
            #expect(try instance.holder(of: address("10.213.2.5")) == cgroup.id)
            try instance.update(moved)
            #expect(try instance.owners().map(\.address) == [address("10.213.2.5")])
        }

        @Test func `an application whose cgroup is gone can be detached`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            world.removeCgroup(cgroup)
            #expect(try instance.application(named: "web.shop")?.cgroupID == cgroup.id)
            try instance.detach(application)
            #expect(try instance.applications().isEmpty)
            #expect(try instance.owners().isEmpty)
        }

        @Test func `a name is free again once the cgroup that had it is gone and forgotten`() throws {
            let world = try KernelWorld()
            let (cgroup, next) = (try world.makeCgroup(), try world.makeCgroup())
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            world.removeCgroup(cgroup)
            #expect(try instance.attachedHooks(of: application).isEmpty)
            let again = world.application(in: next, address: "10.213.2.2")
            #expect(throws: BPFError.nameTaken("web.shop", cgroupID: cgroup.id)) {
                try instance.attach(again, cgroup: next.descriptor)
            }
            try instance.detach(application)
            try world.attach(again, next, by: instance)
            #expect(try instance.application(named: "web.shop")?.cgroupID == next.id)
            #expect(try world.run(in: next, KernelWorld.connect) == "\(EPERM)")
        }
    }
}
