import Glibc
import PolicyModel
import Testing

@testable import VNEHost

/// Stands in for a kernel that has dummies and no IPv6: answers each request with an `errno`, and keeps the types.
private final class KernelWithoutIPv6: NetlinkSocket {
    /// RTM_….
    private(set) var requests: [UInt16] = []
    private var answers: [[UInt8]] = []
    private var hasDummy = false

    func send(_ datagram: [UInt8]) throws(HostError) {
        let type = datagram[...].number(at: 4, as: UInt16.self) ?? 0
        requests.append(type)
        let sequence = Array(datagram[8..<12])
        switch type {
        case 18 where hasDummy:  // RTM_GETLINK
            answers = [Self.dummy(sequence), Self.outcome(0, sequence)]
        case 18: answers = [Self.outcome(ENODEV, sequence)]
        case 16, 17:  // RTM_NEWLINK, RTM_DELLINK
            hasDummy = type == 16
            answers = [Self.outcome(0, sequence)]
        case 22: answers = [Self.outcome(0, sequence)]  // RTM_GETADDR
        default: answers = [Self.outcome(EOPNOTSUPP, sequence)]
        }
    }

    func receive() throws(HostError) -> [UInt8] {
        guard !answers.isEmpty else { throw HostError(.failed, "receive", "nothing") }
        return answers.removeFirst()
    }

    /// NLMSG_ERROR.
    private static func outcome(_ code: Int32, _ sequence: [UInt8]) -> [UInt8] {
        UInt32(20).nativeBytes + UInt16(2).nativeBytes + [0, 0] + sequence + [0, 0, 0, 0] + (-code).nativeBytes
    }

    /// RTM_NEWLINK of `test0`, up, with index 4.
    private static func dummy(_ sequence: [UInt8]) -> [UInt8] {
        var message = NetlinkMessage(type: 16, flags: 0)
        message.append(
            [0, 0, 0, 0] + UInt32(4).nativeBytes + UInt32(IFF_UP).nativeBytes + UInt32(0).nativeBytes)
        message.attribute(3, string: "test0")
        message.attribute(18) { $0.attribute(1, Array("dummy".utf8)) }
        return message.bytes(sequence: sequence[...].number(at: 0, as: UInt32.self) ?? 0)
    }
}

@Suite struct InstanceInterfaceTests {
    @Test func `on a kernel without IPv6 an address says so, and the dummy that was made for it goes`() throws {
        let kernel = KernelWithoutIPv6()
        let interface = InstanceInterface(instance: "test", rtnetlink: Rtnetlink(kernel))
        let address = try #require(IPAddress("fd00:99::2:1"))
        guard case .withoutIPv6(let error) = try interface.add(address, on: nil) else {
            Issue.record("it was added")
            return
        }
        #expect(error.kind == .unsupported && error.code == EOPNOTSUPP)
        #expect(error.hint?.contains("ipv6.disable=1") == true)
        #expect(kernel.requests.last == 17)
        // Nothing is there to remove.
        try interface.remove(address)
    }

    @Test func `an instance's interface name fits the kernel`() {
        #expect(InstanceInterface.name(for: "vne") == "vne0")
        #expect(InstanceInterface.name(for: "fourteen-bytes") == "fourteen-bytes0")
        let long = InstanceInterface.name(for: "an-instance-with-a-long-name")
        #expect(long.hasPrefix("vne-") && long.utf8.count == 12)
        #expect(long != InstanceInterface.name(for: "an-instance-with-a-long-nam"))
        #expect(InstanceInterface.name(for: "a/b").utf8.count == 12)
    }
}
