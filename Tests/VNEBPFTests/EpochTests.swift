import Glibc
import PolicyModel
import Testing
import VNEPrograms

@testable import VNEBPF

extension KernelSuite {
    /// What programs keep of their own environment, and when it ends.
    @Suite(.serialized) struct EpochTests {
        @Test func `what a program knows of its environment ends with the policy`() throws {
            let world = try KernelWorld()
            let (cgroup, instance, application) = try world.makeApplication()
            var fewer = KernelWorld.policy, silent = KernelWorld.policy, none = KernelWorld.policy
            fewer.environments[0].addresses = [prefix("10.213.2.0/29")]
            silent.environments[0].protocols = [.tcp]
            none.environments.remove(at: 0)
            for policy in [fewer, silent, none] {
                // Allowed, but for the application address, which no interface has.
                #expect(try world.run(in: cgroup, Self.inside) == "\(EADDRNOTAVAIL)")
                #expect(
                    try Self.knownEpoch(of: application, by: instance) == instance.publishedPolicy()?.generation)
                try world.publish(policy, by: instance)
                #expect(try world.run(in: cgroup, Self.inside) == "\(EPERM)")
                try world.publish(by: instance)
            }
        }

        @Test func `an application in another environment knows nothing of the first`() throws {
            let world = try KernelWorld()
            let (cgroup, instance, application) = try world.makeApplication()
            #expect(try world.run(in: cgroup, Self.inside) == "\(EADDRNOTAVAIL)")
            try instance.update(
                world.application(in: cgroup, environment: "payments", id: 1, address: "10.213.3.1", egress: true))
            #expect(try Self.knownEpoch(of: application, by: instance) == 0)
            #expect(try world.run(in: cgroup, Self.inside) == "\(EPERM)")
        }

        @Test func `an application that is not open knows nothing`() throws {
            let world = try KernelWorld()
            let (cgroup, instance, application) = try world.makeApplication()
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
            try instance.detach(application)
            try instance.attach(application, cgroup: cgroup.descriptor)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "\(EPERM)")
            #expect(try Self.knownEpoch(of: application, by: instance) == 0)
        }

        @Test func `while a policy is published programs look everything up, and keep nothing`() throws {
            let world = try KernelWorld()
            let (cgroup, application) = try Self.killedWhilePublishing(in: world)
            // The next command begins it anew.
            let instance = try world.open(create: false)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
            #expect(try Self.knownEpoch(of: application, by: instance) == 1)
        }

        /// What a command leaves that was killed before the next epoch began. Its lock goes with it.
        private static func killedWhilePublishing(in world: KernelWorld) throws -> (OpenCgroup, AttachedApplication) {
            let (cgroup, instance, application) = try world.makeApplication()
            try instance.endEpoch()
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
            #expect(try knownEpoch(of: application, by: instance) == 0)
            return (cgroup, application)
        }

        /// Says how a datagram socket's connect to a member of the environment "shop" ends.
        private static let inside = """
            import socket
            try:
                socket.socket(type=socket.SOCK_DGRAM).connect(("10.213.2.9", 81))
                print("connected")
            except OSError as e:
                print(e.errno)
            """

        private static func knownEpoch(of application: AttachedApplication, by instance: Instance) throws -> UInt32? {
            let attachment: vne_attachment? = try instance.map(.attachment).handle.value(of: application.cgroupID)
            return attachment?.own_epoch
        }
    }
}
