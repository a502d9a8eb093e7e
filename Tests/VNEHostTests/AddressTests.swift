import Glibc
import PolicyModel
import Testing

@testable import VNEHost

/// Addresses, each test in a network namespace of its own.
@Suite(.enabled(if: isRoot)) struct AddressTests {
    @Test func `an address is added once, can be bound to, and goes`() throws {
        try inNewNetworkNamespace {
            let host = LinuxHost(instance: "test")
            let address = try #require(IPv4Address("10.99.2.1"))
            #expect(try host.addAddress(address))
            #expect(try !host.addAddress(address))
            #expect(try LinuxHost(instance: "test").interfaceAddresses().contains(address))
            try SocketFixture().bound(to: "10.99.2.1")
            try host.removeAddress(address)
            try host.removeAddress(address)
            #expect(try !host.interfaceAddresses().contains(address))
        }
    }

    @Test func `the interface is up, and a dummy goes with its last address`() throws {
        try inNewNetworkNamespace {
            let host = LinuxHost(instance: "test")
            let routing = Rtnetlink(try KernelNetlinkSocket(family: 0))
            let first = try #require(IPv4Address("10.99.2.1"))
            let second = try #require(IPv4Address("10.99.2.2"))
            #expect(try host.addAddress(first))
            #expect(try host.addAddress(second))
            let dummy = try routing.link(named: "test0")
            let carrier = try #require(try dummy ?? routing.link(named: "lo"))
            #expect(carrier.isUp)
            try host.removeAddress(first)
            #expect(try routing.link(named: "test0") == dummy)
            try host.removeAddress(second)
            #expect(try routing.link(named: "test0") == nil)
            // And it is made again when it is needed again.
            #expect(try host.addAddress(first))
        }
    }

    @Test func `an address is a single one, of link scope, deprecated and labelled on lo`() throws {
        try inNewNetworkNamespace {
            let host = LinuxHost(instance: "test")
            let address = try #require(IPv4Address("10.99.2.1"))
            _ = try host.addAddress(address)
            let routing = Rtnetlink(try KernelNetlinkSocket(family: 0))
            let entry = try #require(
                try routing.addresses(family: AF_INET).first { $0.bytes == [10, 99, 2, 1] })
            #expect(entry.prefixLength == 32)
            #expect(entry.scope == 253)
            #expect(entry.broadcast == nil)
            #expect(entry.label == (try routing.link(named: "test0") == nil ? "lo:test0" : "test0"))
        }
    }

    @Test func `an interface without an address does not borrow an application's`() throws {
        try inNewNetworkNamespace {
            let host = LinuxHost(instance: "test")
            _ = try host.addAddress(try #require(IPv4Address("10.99.2.1")))
            for command in [
                ["ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0"], ["ip", "link", "set", "a0", "up"],
                ["ip", "link", "set", "b0", "up"], ["ip", "route", "add", "192.0.2.0/24", "dev", "a0"],
            ] { #expect(try run(command).status == 0, "\(command)") }
            let route = try run(["ip", "route", "get", "192.0.2.7"])
            #expect(!route.output.contains("10.99.2.1"), "\(route.output)")
        }
    }

    @Test func `an interface of the instance's name that is no dummy is not touched`() throws {
        try inNewNetworkNamespace {
            #expect(try run(["ip", "link", "add", "test0", "type", "veth", "peer", "name", "b0"]).status == 0)
            let host = LinuxHost(instance: "test")
            let address = try #require(IPv4Address("10.99.2.1"))
            let error = #expect(throws: HostError.self) { try host.addAddress(address) }
            #expect(error?.kind == .refused)
        }
    }

    @Test func `the view has the host's addresses and broadcasts, and neither loopback nor what is excluded`() throws {
        try inNewNetworkNamespace {
            for command in [
                ["ip", "link", "set", "lo", "up"],
                ["ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0"], ["ip", "link", "set", "a0", "up"],
                ["ip", "addr", "add", "192.0.2.2/24", "brd", "192.0.2.127", "dev", "a0"],
                ["ip", "addr", "add", "198.51.100.1/31", "dev", "b0"],
            ] { #expect(try run(command).status == 0, "\(command)") }
            let file = ThrowawayFile("nameserver 127.0.0.53\n")
            let host = LinuxHost(instance: "test", resolvConf: file.path)
            let application = try #require(IPv4Address("10.99.2.1"))
            _ = try host.addAddress(application)
            let view = try host.view(interfaces: ["a0", "none"], excluding: [application])
            #expect(view.addresses.map(\.description).sorted() == ["192.0.2.2", "198.51.100.1"])
            #expect(view.broadcasts.map(\.description).sorted() == ["192.0.2.127", "192.0.2.255"])
            #expect(view.sharedServices.map(\.address.description) == ["127.0.0.53"])
            #expect(view.interfaces.keys.sorted() == ["a0"])
            #expect(try host.view(interfaces: [], excluding: []).addresses.contains(application))
            let addresses = try host.interfaceAddresses().map(\.description)
            #expect(addresses.contains("127.0.0.1") && addresses.contains("10.99.2.1"))
        }
    }

    @Test func `a host without a resolv conf shares no resolver`() throws {
        let host = LinuxHost(instance: "test", resolvConf: "/nonexistent/resolv.conf")
        #expect(try host.view(interfaces: [], excluding: []).sharedServices.isEmpty)
    }

    @Test func `a placeholder can be bound to, comes twice and goes`() throws {
        try inNewNetworkNamespace {
            let host = LinuxHost(instance: "test")
            let address = try #require(IPv4Address("10.99.2.1"))
            let bytes = LinuxHost.placeholder6(instance: "test", address: address)
            guard try host.addPlaceholder(for: address) else { return }
            #expect(try host.addPlaceholder(bytes))
            let text = "fd56:4e45:" + hexadecimal(bytes[4..<8]) + "::a63:201"
            try SocketFixture(AF_INET6).bound(to: text)
            try host.removePlaceholder(bytes)
            try host.removePlaceholder(for: address)
            #expect(throws: SystemError.self) { try SocketFixture(AF_INET6).bound(to: text) }
        }
    }

    @Test func `where IPv6 is disabled a placeholder is no error`() throws {
        try inNewNetworkNamespace {
            let setting = "/proc/sys/net/ipv6/conf"
            for name in ["all", "default", "lo"] {
                _ = try run(["sh", "-c", "echo 1 > \(setting)/\(name)/disable_ipv6"])
            }
            let host = LinuxHost(instance: "test")
            let bytes = LinuxHost.placeholder6(instance: "test", address: try #require(IPv4Address("10.99.2.1")))
            #expect(try !host.addPlaceholder(bytes))
            try host.removePlaceholder(bytes)
        }
    }

    @Test func `a placeholder names its instance and its address`() throws {
        let address = try #require(IPv4Address("10.10.2.1"))
        // The 32-bit FNV-1a hash of "a" is e40c292c.
        #expect(
            LinuxHost.placeholder6(instance: "a", address: address)
                == [0xfd, 0x56, 0x4e, 0x45, 0xe4, 0x0c, 0x29, 0x2c, 0, 0, 0, 0, 10, 10, 2, 1])
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

private func hexadecimal(_ bytes: ArraySlice<UInt8>) -> String {
    let groups = Array(bytes)
    return [0, 2].map { String(UInt16(groups[$0]) << 8 | UInt16(groups[$0 + 1]), radix: 16) }.joined(separator: ":")
}

/// Runs a command in the calling thread's namespaces; its output, both kinds, and its exit status.
private func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
    let file = ThrowawayFile()
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe _ = posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, 1, file.path, O_WRONLY | O_CREAT, 0o600)
    unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
    let strings: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
    defer { for index in unsafe strings.indices { unsafe free(strings[index]) } }
    var process: pid_t = 0
    let code = unsafe posix_spawnp(&process, arguments[0], &actions, nil, strings, environ)
    guard code == 0 else { throw SystemError(call: "posix_spawnp", code: code) }
    var status: Int32 = 0
    unsafe waitpid(process, &status, 0)
    return (status, file.text)
}
