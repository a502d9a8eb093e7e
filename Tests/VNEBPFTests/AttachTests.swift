import Glibc
import PolicyModel
import Testing
import VNEPrograms

@testable import VNEBPF

extension KernelSuite {
    @Suite(.serialized) struct AttachTests {
        @Test func `an attached application is denied everything until it is opened`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")

            try instance.attach(application, cgroup: cgroup.descriptor)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "\(EPERM)")
            #expect(try instance.application(cgroupID: cgroup.id)?.state == .attaching)
            #expect(try instance.counters(of: application).verdicts[.create]?[.unconfigured] ?? 0 > 0)

            try instance.open(application)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
            #expect(try world.run(in: cgroup, KernelWorld.connect) == "\(EPERM)")
            let counters = try instance.counters(of: application)
            #expect(counters.verdicts[.connect] == [.otherEnvironment: 1])
            #expect(counters.denied > 0)

            try instance.detach(application)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
        }

        @Test func `an attachment is remembered as it was asked for`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            var application = world.application(in: cgroup, egress: true)
            application.fromPolicy = true
            application.addresses = addresses("10.213.2.1", "fd00:213:2::1")
            application.ownsAddresses = [.ipv6]
            application.launcher = AttachedApplication.Launcher(process: 4711, startTime: 123_456_789_012)
            try world.attach(application, cgroup, by: instance)

            application.state = .attached
            #expect(try instance.application(cgroupID: cgroup.id) == application)
            #expect(try instance.application(named: "web.shop") == application)
            #expect(try instance.applications() == [application])
            #expect(try instance.application(named: "web") == nil)
            #expect(try instance.holder(of: address("10.213.2.1")) == cgroup.id)
            #expect(try instance.holder(of: address("fd00:213:2::1")) == cgroup.id)
            #expect(try instance.holder(of: address("fd00:213:2::2")) == nil)
            #expect(try instance.holder(of: address("10.213.2.2")) == nil)
            #expect(try instance.attachedHooks(of: application).map(\.hook) == world.hooks(egress: true))
            let attachment = try #require(try instance.attachments().first { $0.cgroupID == cgroup.id })
            #expect(attachment.isOpen)
            #expect(attachment.addresses == application.addresses)
            #expect(attachment.loopback == KernelWorld.loopback)
            #expect(attachment.networkNamespace == world.cookie)
            #expect(
                try Set(instance.owners().map(\.address))
                    == [address("10.213.2.1"), address("fd00:213:2::1"), KernelWorld.loopback.ipv6])
            #expect(try instance.rawEntries(of: .owner).map(\.key.count) == [16, 16, 16])

            try instance.detach(application)
            #expect(try instance.owners().isEmpty)
            let left = try #require(try instance.attachments().first { $0.cgroupID == cgroup.id })
            #expect(left.addresses == nil)
            #expect(left.loopback == nil)
        }

        @Test func `an application of IPv6 alone is one`() throws {
            let world = try KernelWorld()
            let (cgroup, other) = (try world.makeCgroup(), try world.makeCgroup())
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup, address: "fd00:213:2::7")
            try world.attach(application, cgroup, by: instance)
            #expect(try instance.application(cgroupID: cgroup.id)?.addresses == addresses("fd00:213:2::7"))
            #expect(throws: BPFError.addressHeld(address("fd00:213:2::7"), cgroupID: cgroup.id)) {
                var conflict = world.application("other", in: other)
                conflict.addresses = addresses("10.213.2.9", "fd00:213:2::7")
                try instance.attach(conflict, cgroup: other.descriptor)
            }
            #expect(try instance.owners().count == 1)
        }

        @Test func `an application gives one family's address up and keeps the other`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            var application = world.application(in: cgroup)
            application.addresses = addresses("10.213.2.1", "fd00:213:2::1")
            try world.attach(application, cgroup, by: instance)
            application.addresses = addresses("fd00:213:2::1")
            try instance.update(application)
            #expect(try instance.owners().map(\.address) == [address("fd00:213:2::1")])
            #expect(try instance.attachments().map(\.addresses) == [application.addresses])
            application.addresses = addresses("10.213.2.4", "fd00:213:2::1")
            try instance.update(application)
            #expect(
                try Set(instance.owners().map(\.address))
                    == [address("10.213.2.4"), address("fd00:213:2::1"), KernelWorld.loopback.ipv6])
        }

        @Test func `a conflict changes nothing`() throws {
            let world = try KernelWorld()
            let (one, two) = (try world.makeCgroup(), try world.makeCgroup())
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: one)
            try world.attach(application, one, by: instance)

            #expect(throws: BPFError.addressHeld(address("10.213.2.1"), cgroupID: one.id)) {
                try instance.attach(world.application("other", in: two), cgroup: two.descriptor)
            }
            #expect(throws: BPFError.nameTaken("web.shop", cgroupID: one.id)) {
                try instance.attach(world.application(in: two, address: "10.213.2.2"), cgroup: two.descriptor)
            }
            #expect(throws: BPFError.alreadyAttached("web.shop", cgroupID: one.id)) {
                try instance.attach(world.application("third", in: one), cgroup: one.descriptor)
            }
            #expect(throws: BPFError.cgroupMismatch(path: two.path)) {
                try instance.attach(world.application("other", in: two), cgroup: one.descriptor)
            }
            var root = world.application("root", in: two)
            root.cgroupLevel = 0
            #expect(throws: BPFError.rootCgroup) { try instance.attach(root, cgroup: two.descriptor) }

            #expect(try instance.applications().map(\.cgroupID) == [one.id])
            #expect(try instance.owners().count == 1)
            #expect(try world.run(in: two, KernelWorld.create) == "made")
            #expect(try instance.attachedHooks(of: world.application("other", in: two)).isEmpty)
        }

        @Test func `what the cgroup's storage held before is never trusted`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            let entry = try #require(try instance.rawEntries(of: .attachment).first)
            try instance.detach(application)
            #expect(try instance.attachments().allSatisfy { !$0.isOpen })

            // The storage outlives the attachment; here it says "open" again, as a half-done detach might have left it.
            try instance.map(.attachment).handle.write(bytes: entry.value, at: cgroup.id)
            try instance.attach(application, cgroup: cgroup.descriptor)
            #expect(try instance.attachments().allSatisfy { !$0.isOpen })
            #expect(try world.run(in: cgroup, KernelWorld.create) == "\(EPERM)")
            #expect(try instance.counters(of: application).allowed == 0)
        }

        @Test func `the egress hook comes and goes`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            #expect(try !instance.attachedHooks(of: application).map(\.hook).contains(.egress))

            try instance.setEgress(true, of: application, cgroup: cgroup.descriptor)
            #expect(try instance.attachedHooks(of: application).map(\.hook).contains(.egress))
            #expect(try instance.application(cgroupID: cgroup.id)?.egress == true)
            try instance.setEgress(true, of: application, cgroup: cgroup.descriptor)
            try instance.setEgress(false, of: application, cgroup: cgroup.descriptor)
            #expect(try !instance.attachedHooks(of: application).map(\.hook).contains(.egress))
            #expect(try instance.application(cgroupID: cgroup.id)?.egress == false)
        }

        @Test func `another instance's hooks on the cgroup are left alone`() throws {
            let (world, other) = (try KernelWorld(), try KernelWorld())
            let cgroup = try world.makeCgroup()
            let (instance, neighbour) = (try world.open(), try other.open())
            for (world, instance) in [(world, instance), (other, neighbour)] {
                try world.publish(by: instance)
                try world.attach(world.application(in: cgroup), cgroup, by: instance)
            }
            let application = world.application(in: cgroup)
            let hooks = try neighbour.attachedHooks(of: application)
            let own = try instance.attachedHooks(of: application)
            #expect(own.map(\.hook) == hooks.map(\.hook))
            #expect(Set(own.map(\.programID)).isDisjoint(with: hooks.map(\.programID)))
            #expect(
                try BPFProgram.attached(at: CgroupHook.connect4.attachType, to: cgroup.descriptor).count == 2)

            try instance.detach(application)
            #expect(try instance.attachedHooks(of: application).isEmpty)
            #expect(try neighbour.attachedHooks(of: application) == hooks)
            #expect(try world.run(in: cgroup, KernelWorld.connect) == "\(EPERM)")
            try world.attach(application, cgroup, by: instance)
            try instance.unload()
            #expect(try neighbour.attachedHooks(of: application) == hooks)
        }

        @Test func `a socket that outlives its cgroup is denied everything once the application is forgotten`() throws {
            let world = try KernelWorld()
            let (cgroup, elsewhere) = (try world.makeCgroup(), try world.makeCgroup())
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            let leaver = try world.start(
                in: cgroup,
                """
                import socket, time
                held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                open("\(world.mount)/\(elsewhere.path)/cgroup.procs", "w").write("0")
                time.sleep(0.7)
                try:
                    held.connect(("10.213.2.9", 80))
                    print("connected")
                except OSError as e:
                    print(e.errno)
                socket.socket()
                """)
            usleep(300_000)
            world.removeCgroup(cgroup)
            try instance.detach(application)
            #expect(try instance.applications().isEmpty)
            #expect(leaver.finish() == "\(EPERM)")
        }

        @Test func `an application takes another address and stays open`() throws {
            let world = try KernelWorld()
            let (cgroup, other) = (try world.makeCgroup(), try world.makeCgroup())
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            try world.attach(world.application("other", in: other, address: "10.213.2.9"), other, by: instance)

            let moved = world.application(in: cgroup, environment: "payments", id: 1, address: "10.213.3.1")
            try instance.update(moved)
            #expect(try instance.holder(of: address("10.213.3.1")) == cgroup.id)
            #expect(try instance.holder(of: address("10.213.2.1")) == nil)
            #expect(try instance.application(cgroupID: cgroup.id)?.environment == "payments")
            // What was another environment's is its own now: the connect gets as far as the missing address.
            #expect(try world.run(in: cgroup, KernelWorld.connect) != "\(EPERM)")
            #expect(try instance.counters(of: application).verdicts[.connect]?[.otherEnvironment] == nil)

            #expect(throws: BPFError.addressHeld(address("10.213.2.9"), cgroupID: other.id)) {
                try instance.update(world.application(in: cgroup, address: "10.213.2.9"))
            }
        }

        @Test func `an application can be denied again and moved while it is`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            try instance.deny(application)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "\(EPERM)")
            #expect(try instance.application(cgroupID: cgroup.id)?.state == .attaching)

            let moved = world.application(in: cgroup, address: "10.213.2.3")
            try instance.update(moved)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "\(EPERM)")
            #expect(try instance.application(cgroupID: cgroup.id)?.addresses == addresses("10.213.2.3"))
            #expect(try instance.attachments().allSatisfy { !$0.isOpen })
            try instance.open(moved)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
            #expect(try instance.attachments().map(\.addresses) == [addresses("10.213.2.3")])
        }

        @Test func `recorded flows outlive a change of the record alone`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            var application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            // Three flows as the programs record them: two young ones, one from before the floor.
            var entry = try #require(try instance.rawEntries(of: .attachment).first)
            let floor = try #require(try instance.publishedImage()?.flowFloor)
            usleep(10_000)
            let young = FlowClock.now & ~1
            let flows: [(remote: String, ports: UInt32, stamp: UInt32)] = [
                ("10.213.3.9", 0x0035_9c40, young | 1), ("fd00:213:3::9", 0x0036_9c40, young),
                ("10.213.3.10", 0x0037_9c40, floor & ~1),
            ]
            unsafe entry.value.withUnsafeMutableBytes { bytes in
                for (index, flow) in flows.enumerated() {
                    let way = index + 1
                    unsafe bytes.storeBytes(
                        of: address(flow.remote).layout, toByteOffset: FlowOffset.remotes + way * 16,
                        as: vne_address.self)
                    unsafe bytes.storeBytes(of: flow.ports, toByteOffset: FlowOffset.ports + way * 4, as: UInt32.self)
                    unsafe bytes.storeBytes(of: flow.stamp, toByteOffset: FlowOffset.stamps + way * 4, as: UInt32.self)
                }
            }
            try instance.map(.attachment).handle.write(bytes: entry.value, at: cgroup.id)
            application.hostname = "other.example"
            try instance.update(application)
            let live = try instance.flows(of: application)
            #expect(live.map(\.remote) == [address("10.213.3.9"), address("fd00:213:3::9")])
            #expect(live.map(\.remotePort) == [53, 54])
            #expect(live.map(\.localPort) == [40000, 40000])
            #expect(live.map(\.incoming) == [true, false])
            #expect(live.allSatisfy { $0.idle < 1000 })
            #expect(try instance.attachments().map(\.usedFlows) == [3])
            #expect(try instance.application(cgroupID: cgroup.id)?.hostname == "other.example")

            try world.publish(by: instance, revoking: true)
            #expect(try instance.flows(of: application).isEmpty)
        }

        @Test func `denials come out of the ring buffer once`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            try world.attach(world.application(in: cgroup), cgroup, by: instance)
            #expect(try world.run(in: cgroup, KernelWorld.connect) == "\(EPERM)")

            var stream = try instance.denialStream()
            #expect(throws: BPFError.denialsBusy(instance: world.name, process: "\(getpid())")) {
                try instance.denials { _ in }
            }
            var denials: [Denial] = []
            try stream.poll(milliseconds: 1000) { denials.append($0) }
            let denial = try #require(denials.first { $0.hook == .connect })
            #expect(denial.reason == .otherEnvironment)
            #expect(denial.cgroupID == cgroup.id)
            #expect(denial.remote == address("10.213.3.9"))
            #expect(denial.remotePort == 81)
            #expect(denial.command.hasPrefix("python"))
            #expect(try stream.poll(milliseconds: 0) { _ in } == 0)
        }
    }
}
