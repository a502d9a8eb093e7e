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
                #expect(try Self.knownEpochs(of: application, by: instance).contains(instance.instanceRecord().epoch))
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
            #expect(try !Self.knownEpochs(of: application, by: instance).contains(instance.instanceRecord().epoch))
            #expect(try world.run(in: cgroup, Self.inside) == "\(EPERM)")
        }

        @Test func `an application that is not open knows nothing`() throws {
            let world = try KernelWorld()
            let (cgroup, instance, application) = try world.makeApplication()
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
            try instance.detach(application)
            try instance.attach(application, cgroup: cgroup.descriptor)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "\(EPERM)")
            #expect(try Self.knownEpochs(of: application, by: instance).isEmpty)
        }

        @Test func `while a policy is published programs look everything up, and keep nothing`() throws {
            let world = try KernelWorld()
            let (cgroup, application) = try Self.killedWhilePublishing(in: world)
            // The next command begins it anew.
            let instance = try world.open(create: false)
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
            #expect(try Self.knownEpochs(of: application, by: instance) == [instance.instanceRecord().epoch])
        }

        /// What a command leaves that was killed before the next epoch began. Its lock goes with it.
        private static func killedWhilePublishing(in world: KernelWorld) throws -> (OpenCgroup, AttachedApplication) {
            let (cgroup, instance, application) = try world.makeApplication()
            try instance.endEpoch()
            #expect(try world.run(in: cgroup, KernelWorld.create) == "made")
            #expect(try knownEpochs(of: application, by: instance).isEmpty)
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

        /// The epochs that CPUs remember something of the application for; none that has not begun yet.
        private static func knownEpochs(of application: AttachedApplication, by instance: Instance) throws
            -> Set<UInt32>
        {
            let size = try Instance.byteCountOnAllCPUs(of: vne_counters.self)
            let bytes = try #require(
                try instance.map(.counters).handle.value(of: application.cgroupID, byteCount: size))
            let step = (MemoryLayout<vne_counters>.size + 7) & ~7
            let epochs: [UInt32] = stride(from: 0, to: bytes.count, by: step).map { start in
                unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: start, as: UInt32.self) }
            }
            return Set(epochs).subtracting([0])
        }
    }
}
