import Glibc
import PolicyModel
import Testing

@testable import VNEBPF

extension KernelSuite {
    @Suite(.serialized) struct PublishTests {
        @Test func `a published policy is found without its text`() throws {
            let world = try KernelWorld()
            let instance = try world.open()
            try world.publish(by: instance)
            #expect(
                try instance.publishedPolicy()
                    == PublishedPolicy(text: "# the text", source: "test.yaml", generation: 1))
            #expect(
                try instance.environment(named: "shop")
                    == PublishedEnvironment(id: 0, needsEgress: false, families: [.ipv4, .ipv6]))
            #expect(
                try instance.environment(named: "payments")
                    == PublishedEnvironment(id: 1, needsEgress: true, families: [.ipv4]))
            #expect(try instance.environment(named: "none") == nil)
            #expect(try instance.owner(of: address("10.213.2.9")) == .environment(id: 0, reserved: false))
            #expect(try instance.owner(of: address("10.213.9.9")) == .unassigned)
            #expect(try instance.owner(of: address("8.8.8.8")) == .outside)
            #expect(try instance.owner(of: address("fd00:213:2::1")) == .environment(id: 0, reserved: false))
            #expect(try instance.owner(of: address("fd00:213:9::1")) == .unassigned)
            #expect(try instance.owner(of: address("2001:db8::1")) == .outside)
            try world.publish(by: instance)
            #expect(try instance.publishedPolicy()?.generation == 2)
        }

        @Test func `a policy that does not fit leaves the old one`() throws {
            let world = try KernelWorld()
            let instance = try world.open()
            try world.publish(by: instance)
            var policy = KernelWorld.policy
            policy.environments[0].permits = [Permit(to: "nobody", line: 7)]
            #expect(throws: BPFError.self) { try world.publish(policy, by: instance) }
            #expect(try instance.publishedPolicy()?.generation == 1)
        }

        @Test func `an environment that an attachment refers to keeps its id and denies while it is gone`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)

            let other = Policy(
                addressSpace: KernelWorld.policy.addressSpace,
                environments: [Environment(name: "new", addresses: [prefix("10.213.2.0/24")])])
            try world.publish(other, by: instance, revoking: true)
            // "payments" had 1, which nobody refers to.
            #expect(try instance.environment(named: "new")?.id == 1)
            #expect(try instance.publishedImage()?.environment(id: 0) == nil)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "\(EPERM)")

            try world.publish(by: instance)
            #expect(try instance.environment(named: "shop")?.id == 0)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
        }

        @Test func `a revoking policy stops counting flows of before and no other does`() throws {
            let world = try KernelWorld()
            let instance = try world.open()
            try world.publish(by: instance)
            let first = try #require(try instance.publishedImage())
            #expect(first.flowsOpen)
            try world.publish(by: instance, revoking: false)
            let second = try #require(try instance.publishedImage())
            #expect(second.flowsOpen)
            #expect(second.flowFloor == first.flowFloor)
            usleep(10_000)
            let before = FlowClock.now
            try world.publish(by: instance, revoking: true)
            let third = try #require(try instance.publishedImage())
            #expect(third.flowsOpen)
            #expect(Int32(bitPattern: third.flowFloor &- before) > 0)
        }

        @Test func `a publication that was killed before flows counted is made good by the next`() throws {
            let world = try KernelWorld()
            let instance = try world.open()
            try world.publish(by: instance)
            let id: UInt32 = try #require(try instance.map(.policy).handle.value(of: UInt32(0)))
            let map = try BPFMap(id: id, name: "image")
            var header = try #require(try map.value(of: UInt32(0), byteCount: 1024))
            for offset in 0..<4 { header[PolicyImage.HeaderOffset.flowsOpen + offset] = 0 }
            try map.write(bytes: header, at: UInt32(0))
            #expect(try instance.publishedImage()?.flowsOpen == false)
            try world.publish(by: instance)
            #expect(try instance.publishedImage()?.flowsOpen == true)
        }

        @Test func `no call is judged by half a policy while it is replaced`() throws {
            let world = try KernelWorld()
            let cgroup = try world.makeCgroup()
            let instance = try world.open()
            try world.publish(by: instance)
            let application = world.application(in: cgroup)
            try world.attach(application, cgroup, by: instance)
            let loop = try world.start(
                in: cgroup,
                """
                import socket, time
                seen = set()
                end = time.time() + 1.5
                s = socket.socket()
                while time.time() < end:
                    try:
                        s.connect(("10.213.3.9", 81))
                        seen.add("connected")
                    except OSError as e:
                        seen.add(e.errno)
                print(sorted(map(str, seen)))
                """)
            var large = KernelWorld.policy
            large.environments += (0..<200).map { number in
                let network = IPAddress(ipv4: 0x0ad5_0a00 + UInt32(number))
                return Environment(
                    name: "env-\(number)", addresses: [IPPrefix(network)],
                    permits: [Permit(to: "payments", ports: [PortRule(.tcp, 81...81)])])
            }
            for round in 0..<20 {
                try world.publish(round % 2 == 0 ? large : KernelWorld.policy, by: instance, revoking: round % 3 == 0)
                usleep(50_000)
            }
            #expect(loop.finish() == "['\(EPERM)']")
            let counters = try instance.counters(of: application)
            #expect(counters.verdicts[.connect]?.keys.sorted { $0.rawValue < $1.rawValue } == [.otherEnvironment])
            #expect(counters.verdicts[.connect]?[.otherEnvironment] ?? 0 > 1000)
        }

        @Test func `the image in the kernel is the one that was compiled`() throws {
            let world = try KernelWorld()
            let instance = try world.open()
            try world.publish(by: instance)
            let reader = try #require(try instance.publishedImage())
            let image = try PolicyImage(
                compiling: KernelWorld.policy, text: "# the text", host: HostView(),
                publication: PolicyImage.Publication(generation: 1, flowsOpen: true, flowFloor: reader.flowFloor))
            let pages = try instance.rawEntries(of: .policy)
            #expect(pages.count == image.pageCount)
            #expect(unsafe pages.flatMap(\.value) == image.words.withUnsafeBytes { unsafe Array($0) })
        }
    }
}
