import Glibc
import PolicyModel
import Testing

@testable import VNEHost

/// Addresses, each test in a network namespace of its own.
@Suite(.enabled(if: isRoot)) struct AddressTests {
    @Test(arguments: ["10.99.2.1", "fd00:99::2:1"])
    func `an address of either family is added once, can be bound to, and goes`(text: String) throws {
        try inNewNetworkNamespace {
            let host = LinuxHost(instance: "test")
            let address = try #require(IPAddress(text))
            #expect(try host.addAddress(address, on: nil))
            #expect(try !host.addAddress(address, on: nil))
            #expect(try LinuxHost(instance: "test").interfaceAddresses().contains(address))
            try SocketFixture(of: address).bound(to: text)
            try host.removeAddress(address)
            try host.removeAddress(address)
            #expect(try !host.interfaceAddresses().contains(address))
            #expect(throws: SystemError.self) { try SocketFixture(of: address).bound(to: text) }
        }
    }

    @Test(arguments: ["10.99.2.1", "fd00:99::2:1"])
    func `an address is on the interface that is named, and follows to another one`(text: String) throws {
        try inNewNetworkNamespace {
            for command in [
                ["ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0"], ["ip", "link", "set", "lo", "up"],
                ["ip", "link", "set", "a0", "up"], ["ip", "link", "set", "b0", "up"],
            ] { #expect(try run(command).status == 0, "\(command)") }
            let host = LinuxHost(instance: "test")
            let address = try #require(IPAddress(text))
            #expect(try host.addAddress(address, on: "a0"))
            #expect(try host.addresses(carrier: "a0").carried.contains(address))
            #expect(try !host.addresses(carrier: nil).carried.contains(address))
            #expect(try host.addAddress(address, on: nil))
            try host.removeAddress(address, besides: nil)
            #expect(try !host.addresses(carrier: "a0").carried.contains(address))
            #expect(try host.addresses(carrier: nil).carried.contains(address))
            #expect(try host.addAddress(address, on: "b0"))
            try host.removeAddress(address, besides: "b0")
            try host.removeAddress(address)
            #expect(try !host.interfaceAddresses().contains(address))
            let error = #expect(throws: HostError.self) { try host.addAddress(address, on: "c0") }
            #expect(error?.kind == .missing)
        }
    }

    @Test func `an IPv6 address can be reached as soon as it is there`() throws {
        try inNewNetworkNamespace {
            let host = LinuxHost(instance: "test")
            let listener = try SocketFixture(AF_INET6).bound(to: "::").listening()
            // The kernel routes about one in six of them late.
            for number in 1...100 as ClosedRange<UInt64> {
                let address = IPAddress(high: 0xfd00_0099_0000_0000, low: number)
                #expect(try host.addAddress(address, on: nil))
                try SocketFixture(AF_INET6).connected(to: "\(address)", port: listener.port)
                _ = try listener.accepted()
            }
        }
    }

    @Test func `an IPv6 address whose packets go elsewhere is an error, and does not stay`() throws {
        try inNewNetworkNamespace {
            #expect(try run(["ip", "-6", "rule", "add", "pref", "0", "table", "100"]).status == 0)
            #expect(try run(["ip", "-6", "rule", "del", "pref", "0", "table", "local"]).status == 0)
            #expect(try run(["ip", "-6", "route", "add", "blackhole", "fd00:99::/64", "table", "100"]).status == 0)
            let host = LinuxHost(instance: "test")
            let address = try #require(IPAddress("fd00:99::2:1"))
            let error = #expect(throws: HostError.self) { try host.addAddress(address, on: nil) }
            #expect(error?.hint?.contains("ip -6 rule") == true)
            #expect(try !host.interfaceAddresses().contains(address))
        }
    }

    @Test func `an IPv6 address is a single one, deprecated, undetected, and has no route but the local one`() throws {
        try inNewNetworkNamespace {
            let host = LinuxHost(instance: "test")
            _ = try host.addAddress(try #require(IPAddress("fd00:99::2:1")), on: nil)
            let shown = try run(["ip", "-6", "-o", "address", "show", "to", "fd00:99::2:1"]).output
            #expect(shown.contains("fd00:99::2:1/128 scope global nodad deprecated noprefixroute"), "\(shown)")
            #expect(!shown.contains("tentative"))
            let routes = try run(["ip", "-6", "route", "show", "table", "all", "fd00:99::2:1"]).output
            #expect(routes.split(separator: "\n").count == 1 && routes.hasPrefix("local "), "\(routes)")
        }
    }

    @Test func `the interface is up, and a dummy goes with its last address`() throws {
        try inNewNetworkNamespace {
            let host = LinuxHost(instance: "test")
            let routing = Rtnetlink(try KernelNetlinkSocket(family: 0))
            let first = try #require(IPAddress("10.99.2.1"))
            let second = try #require(IPAddress("10.99.2.2"))
            #expect(try host.addAddress(first, on: nil))
            #expect(try host.addAddress(second, on: nil))
            let dummy = try routing.link(named: "test0")
            let carrier = try #require(try dummy ?? routing.link(named: "lo"))
            #expect(carrier.isUp)
            try host.removeAddress(first)
            #expect(try routing.link(named: "test0") == dummy)
            try host.removeAddress(second)
            #expect(try routing.link(named: "test0") == nil)
            // And it is made again when it is needed again.
            #expect(try host.addAddress(first, on: nil))
        }
    }

    @Test func `an IPv4 address is a single one, of link scope, deprecated and labelled on lo`() throws {
        try inNewNetworkNamespace {
            let host = LinuxHost(instance: "test")
            let address = try #require(IPAddress("10.99.2.1"))
            _ = try host.addAddress(address, on: nil)
            let routing = Rtnetlink(try KernelNetlinkSocket(family: 0))
            let entry = try #require(
                try routing.addresses().first { $0.address == address })
            #expect(entry.prefix.length == 32)
            #expect(entry.scope == 253)
            #expect(entry.broadcast == nil)
            #expect(entry.label == (try routing.link(named: "test0") == nil ? "lo:test0" : "test0"))
        }
    }

    @Test func `an interface without an address does not borrow an application's`() throws {
        try inNewNetworkNamespace {
            let host = LinuxHost(instance: "test")
            _ = try host.addAddress(try #require(IPAddress("10.99.2.1")), on: nil)
            for command in [
                ["ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0"], ["ip", "link", "set", "a0", "up"],
                ["ip", "link", "set", "b0", "up"], ["ip", "route", "add", "192.0.2.0/24", "dev", "a0"],
            ] { #expect(try run(command).status == 0, "\(command)") }
            let route = try run(["ip", "route", "get", "192.0.2.7"])
            #expect(!route.output.contains("10.99.2.1"), "\(route.output)")
        }
    }

    @Test func `where there is another IPv6 address an application's is not picked as a source`() throws {
        try inNewNetworkNamespace {
            let host = LinuxHost(instance: "test")
            _ = try host.addAddress(try #require(IPAddress("fd00:99::2:1")), on: nil)
            for command in [
                ["ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0"], ["ip", "link", "set", "a0", "up"],
                ["ip", "link", "set", "b0", "up"],
                ["ip", "address", "add", "2001:db8::1/64", "dev", "a0", "nodad"],
                // Closer to the application's address than to the host's.
                ["ip", "route", "add", "fd00:99::/64", "dev", "a0"],
            ] { #expect(try run(command).status == 0, "\(command)") }
            let route = try run(["ip", "route", "get", "fd00:99::7"]).output
            #expect(route.contains("src 2001:db8::1"), "\(route)")
        }
    }

    @Test func `an interface of the instance's name that is no dummy is not touched`() throws {
        try inNewNetworkNamespace {
            #expect(try run(["ip", "link", "add", "test0", "type", "veth", "peer", "name", "b0"]).status == 0)
            let host = LinuxHost(instance: "test")
            let address = try #require(IPAddress("10.99.2.1"))
            let error = #expect(throws: HostError.self) { try host.addAddress(address, on: nil) }
            #expect(error?.kind == .refused)
        }
    }

    @Test func `the view has the host's addresses and broadcasts, and neither loopback nor what is excluded`() throws {
        try inNewNetworkNamespace {
            for command in [
                ["ip", "link", "set", "lo", "up"],
                ["ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0"], ["ip", "link", "set", "a0", "up"],
                ["ip", "link", "set", "b0", "up"],
                ["ip", "addr", "add", "192.0.2.2/24", "brd", "192.0.2.127", "dev", "a0"],
                ["ip", "addr", "add", "198.51.100.1/31", "dev", "b0"],
                ["ip", "addr", "add", "2001:db8::2/64", "dev", "a0"],
                ["ip", "addr", "add", "fd56:4e45:1:2::3/128", "dev", "lo"],
            ] { #expect(try run(command).status == 0, "\(command)") }
            let file = ThrowawayFile("nameserver 127.0.0.53\nnameserver ::1\n")
            let host = LinuxHost(instance: "test", resolvConf: file.path)
            let application: Set<IPAddress> = [
                try #require(IPAddress("10.99.2.1")), try #require(IPAddress("fd00:99::2:1")),
            ]
            for address in application { _ = try host.addAddress(address, on: nil) }
            _ = try host.addLoopback(host.privateLoopback(block: 0))
            let addresses = try host.interfaceAddresses()
            #expect(addresses.contains { IPPrefix.linkLocal6.contains($0) })
            #expect(addresses.isSuperset(of: application) && addresses.contains(IPAddress(ipv4: 0x7f00_0001)))

            let view = try host.view(interfaces: ["a0", "none"], excluding: application)
            #expect(view.addresses.map(\.description).sorted() == ["192.0.2.2", "198.51.100.1", "2001:db8::2"])
            #expect(view.broadcasts.map(\.description).sorted() == ["192.0.2.127", "192.0.2.255"])
            #expect(view.sharedServices.map(\.address.description) == ["127.0.0.53", "::1"])
            #expect(view.interfaces.keys.sorted() == ["a0"])
            #expect(try host.view(interfaces: [], excluding: []).addresses.isSuperset(of: application))
        }
    }

    @Test func `the addresses that a router answers on besides are the host's`() throws {
        try inNewNetworkNamespace {
            for command in [
                ["ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0"], ["ip", "link", "set", "a0", "up"],
                ["ip", "link", "set", "b0", "up"], ["ip", "link", "set", "lo", "up"],
                ["ip", "addr", "add", "2001:db8::2/64", "dev", "a0", "nodad"],
                ["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"],
            ] { #expect(try run(command).status == 0, "\(command)") }
            // Why they count: a datagram for one reaches a daemon on the wildcard.
            let daemon = try SocketFixture(AF_INET6, SOCK_DGRAM).bound(to: "::")
            let client = try SocketFixture(AF_INET6, SOCK_DGRAM).connected(to: "2001:db8::", port: daemon.port)
            #expect(client.send() && daemon.hasInput)
            let view = try LinuxHost(instance: "test").view(interfaces: [], excluding: [])
            #expect(view.addresses.map(\.description).sorted() == ["2001:db8::", "2001:db8::2"])
        }
    }

    @Test func `a host without a resolv conf shares no resolver`() throws {
        let host = LinuxHost(instance: "test", resolvConf: "/nonexistent/resolv.conf")
        #expect(try host.view(interfaces: [], excluding: []).sharedServices.isEmpty)
    }

    @Test func `a private loopback can be bound to, is added once and goes`() throws {
        try inNewNetworkNamespace {
            let host = LinuxHost(instance: "test")
            let loopback = host.privateLoopback(block: 3)
            #expect(try host.addLoopback(loopback))
            #expect(try !host.addLoopback(loopback))
            try SocketFixture(AF_INET6).bound(to: "\(loopback.ipv6)")
            try SocketFixture().bound(to: "\(loopback.ipv4)")
            #expect(throws: SystemError.self) {
                try SocketFixture(AF_INET6).bound(to: "\(host.privateLoopback(block: 4).ipv6)")
            }
            try host.removeLoopback(loopback)
            try host.removeLoopback(loopback)
            #expect(throws: SystemError.self) { try SocketFixture(AF_INET6).bound(to: "\(loopback.ipv6)") }
        }
    }

    @Test func `where IPv6 is disabled a loopback is no error, and an address says what to do`() throws {
        try inNewNetworkNamespace {
            let setting = "/proc/sys/net/ipv6/conf"
            for name in ["all", "default", "lo"] {
                _ = try run(["sh", "-c", "echo 1 > \(setting)/\(name)/disable_ipv6"])
            }
            let host = LinuxHost(instance: "test")
            let loopback = host.privateLoopback(block: 0)
            #expect(try !host.addLoopback(loopback))
            try host.removeLoopback(loopback)
            let address = try #require(IPAddress("fd00:99::2:1"))
            let error = #expect(throws: HostError.self) { try host.addAddress(address, on: nil) }
            #expect(error?.kind == .unsupported && error?.code == EACCES)
            #expect(error?.description.contains("disable_ipv6 to 0") == true, "\(String(describing: error))")
            try host.removeAddress(address)
            #expect(try host.addAddress(try #require(IPAddress("10.99.2.1")), on: nil))
        }
    }

    @Test func `private loopbacks are numbered, and name their instance`() {
        // The 32-bit FNV-1a hash of "a" is e40c292c.
        let host = LinuxHost(instance: "a")
        let first = host.privateLoopback(block: 0)
        #expect("\(first.ipv4) \(first.ipv6)" == "127.1.0.0 fd56:4e45:e40c:292c::")
        let other = host.privateLoopback(block: 257)
        #expect("\(other.ipv4) \(other.ipv6)" == "127.2.1.0 fd56:4e45:e40c:292c::101")
        let last = host.privateLoopback(block: LinuxHost.loopbackBlocks - 1)
        #expect("\(last.ipv4) \(last.ipv6)" == "127.254.255.0 fd56:4e45:e40c:292c::fdff")
    }
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
