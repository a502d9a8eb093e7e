import PolicyModel
import Testing
import VNEPrograms

@testable import VNEBPF

@Suite struct ProtectionLayoutTests {
    @Test func `what an environment requires is in its record, beside its other flags`() throws {
        for requires in Protection.allCases.map({ Set([$0]) }) + [Set(Protection.allCases), []] {
            let policy = Policy(
                addressSpace: [prefix("10.10.0.0/16")],
                environments: [
                    Environment(
                        name: "shop", addresses: [prefix("10.10.2.0/24")], host: false, linkLocal: true, strict: true,
                        mode: .audit, requires: requires)
                ])
            let image = try PolicyImageReader(
                PolicyImage(compiling: policy, text: "", host: HostView(), ids: EnvironmentIDs()))
            let shop = try #require(try image.environment(named: "shop"))
            #expect(shop.requires == requires)
            #expect(!shop.host && shop.linkLocal && shop.needsEgress && shop.mode == .audit)
        }
    }

    @Test func `each protection has a bit of its own, above the flags that programs read`() {
        let bits = Protection.allCases.map { Protection.layout(of: [$0]) }
        #expect(bits.allSatisfy { $0.nonzeroBitCount == 1 && $0 >= 1 << UInt32(VNE_ENVIRONMENT_REQUIRES) })
        #expect(Set(bits).count == bits.count)
    }

    @Test(arguments: [false, true]) func `a record says whether the launch confined it`(confined: Bool) throws {
        let application = AttachedApplication(
            state: .attached, name: "web", environment: "shop", addresses: addresses("10.10.2.1"),
            loopback: PrivateLoopback(ipv4: address("127.1.0.0"), ipv6: address("fd56:4e45::")), cgroupPath: "web",
            cgroupID: 7, cgroupLevel: 1, launcher: AttachedApplication.Launcher(process: 3, startTime: 4),
            confined: confined)
        let record = try ApplicationRecord.record(of: application)
        #expect(ApplicationRecord.application(of: record, cgroupID: 7) == application)
    }
}
